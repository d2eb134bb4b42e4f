"""Requests in, responses out, and every way to break them."""
