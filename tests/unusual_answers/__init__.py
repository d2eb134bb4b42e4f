"""Answers that are not what they seem, over a socket, in both frameworks, whole and streamed, sync and async."""
