"""Images, audio and video."""
