"""The stand-in's tokens: words with the space before them, long words cut."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\s*\S{1,16}|\s+")

MEDIUM = 256
"""Tokens that one picture, sound or film counts for."""


def split(text: str) -> list[str]:
    """Return the tokens of `text`; joined, they are `text` again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Return the number of tokens of `text`."""
    return len(split(text))
