"""The only folder that waits, sends and receives."""
