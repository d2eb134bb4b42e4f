"""An HTTP/1.1 client of our own: looks up hosts; opens, keeps and closes connections, within time limits."""
