"""Answers: made up or scripted, as values, JSON bodies and streams."""
