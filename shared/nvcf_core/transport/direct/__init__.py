"""An HTTP/1.1 client of our own: names looked up, connections opened, kept and closed within the limits of time."""
