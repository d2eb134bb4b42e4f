"""Vectors of texts, in which those that share words are near; the same for the same text always."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from nvcf_emulator.answers.tool_selection import words

__all__ = ["embed", "similarity"]

_PLACES = 8
"""In how many dimensions a word leaves a mark."""


def embed(text: str, dimensions: int) -> list[float]:
    """Return the vector of a text, of length 1.

    Args:
        text: The text; its telling words decide, or all of it where there are none.
        dimensions: How many numbers the vector has.
    """
    vector = [0.0] * dimensions
    for word in sorted(words(text)) or [text.strip().lower()]:
        digest = hashlib.blake2b(word.encode(), digest_size=5 * _PLACES).digest()
        for start in range(0, len(digest), 5):
            place = int.from_bytes(digest[start : start + 4], "big") % dimensions
            vector[place] += 1.0 if digest[start + 4] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [round(value / length, 8) for value in vector]


def similarity(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors of length 1."""
    return sum(one * other for one, other in zip(first, second, strict=True))
