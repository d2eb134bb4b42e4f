"""Limits that calls share: of requests per minute, and of retries."""
