"""Which of the offered tools the emulator calls: one general rule over words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["forced", "matching", "score", "words"]

Function = Mapping[str, Any]

ENOUGH = 1.0
"""Score from which a tool is called: half the words of its name, say."""

SURE = 2.0
"""Score from which a tool is called beside a better one: every word of its name."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by call can do for from function get give given has have how i in "
        "is it its me my of on or please return set take tell that the this to tool two use used "
        "user was what when where which who with you your",
    )
)


def words(text: str) -> set[str]:
    """Return the telling words of a text or a name, in lower case and without plural s."""
    found = {word.lower() for word in _WORD.findall(text)}
    return {word.removesuffix("s") if len(word) > 3 else word for word in found - _COMMON}


def score(function: Function, asked: set[str]) -> float:
    """Return how well a function matches the words that were asked: 0 for not at all, 3 at most.

    The share of its name's words that occur counts double; three words of its description
    count as one.
    """
    name = words(function["name"])
    described = words(function.get("description", "")) - name
    by_name = 2 * len(name & asked) / len(name) if name else 0.0
    return by_name + min(1.0, len(described & asked) / 3)


def matching(functions: Sequence[Function], text: str, parallel: bool) -> list[Function]:
    """Return the functions that `text` asks for, in the order in which they were offered.

    Args:
        functions: What is offered.
        text: The user's words.
        parallel: Whether more than one may be returned.
    """
    asked = words(text)
    scores = {function["name"]: score(function, asked) for function in functions}
    best = max(functions, key=lambda function: scores[function["name"]], default=None)
    if best is None or scores[best["name"]] < ENOUGH:
        return []
    if not parallel:
        return [best]
    return [item for item in functions if item is best or scores[item["name"]] >= SURE]


def forced(functions: Sequence[Function], text: str, called: set[str]) -> Function:
    """Return the function to call where one must be: rather one that was not called yet."""
    asked = words(text)
    return max(
        functions,
        key=lambda function: (function["name"] not in called, score(function, asked)),
    )
