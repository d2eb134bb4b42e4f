"""From messages and settings to a JSON body."""
