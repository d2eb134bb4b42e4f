"""Images, audio and video: what files are, and what was uploaded."""
