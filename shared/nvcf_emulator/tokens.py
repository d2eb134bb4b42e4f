"""The emulator's tokens: words with the space before them, long words cut."""

from __future__ import annotations

import re

__all__ = ["MEDIA_TOKENS", "count", "split"]

_TOKEN = re.compile(r"\s*\S{1,16}|\s+")

MEDIA_TOKENS = 256
"""Tokens that one image, audio or video counts for."""


def split(text: str) -> list[str]:
    """Return the tokens of `text`; joined, they are `text` again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Return the number of tokens of `text`."""
    return len(split(text))
