"""From bytes to Chunks. Also of error bodies."""
