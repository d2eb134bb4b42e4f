"""JSON values in a text: whole, and as far as they have arrived."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from .filters import split_unopened_think

__all__ = ["find_answer", "find_json", "find_value", "partial_answer", "partial_json"]

_MOST_TRIES = 1_000
"""Brackets of a text that are tried as the beginning of a value. Each failure costs time by its place."""

_DECODER = json.JSONDecoder(strict=False)
_OBJECT = re.compile(r"\{")
_OBJECT_OR_LIST = re.compile(r"[{\[]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.S)
_FENCE = re.compile(r"\A\s*```\w*\s*(.*?)\s*```\s*\Z", re.S)
_CONTROL = re.compile(r"[\x00-\x1f]")


def find_json(text: str, objects_only: bool = False) -> Iterator[Any]:
    """The JSON objects and lists in a text, one after the other: alone, in a code fence, or among words.

    Strings may hold unescaped line breaks, as models write them. What lies inside of a value is not found
    again. After a place that is not JSON the search goes on where reading it failed, so that a text is read about once.

    Args:
        text: what the model wrote.
        objects_only: whether lists are passed over; the objects in them are found then.
    """
    opening = _OBJECT if objects_only else _OBJECT_OR_LIST
    place = 0
    for _ in range(_MOST_TRIES):
        start = opening.search(text, place)
        if start is None:
            return
        try:
            value, place = _DECODER.raw_decode(text, start.start())
        except json.JSONDecodeError as error:
            if error.msg.startswith("Unterminated"):
                return
            place = max(start.end(), error.pos)
        except RecursionError:
            return
        else:
            yield value


def partial_json(text: str, objects_only: bool = False) -> Any:
    """The first JSON object or list in a text of which more may follow, as far as it has arrived.

    A string that breaks off is given as far as it goes; a key or a literal that breaks off is left out.

    Args:
        text: what has arrived.
        objects_only: whether only objects count.

    Returns:
        The value. None where there is none yet, or where what stands there cannot become one.
    """
    opening = _OBJECT if objects_only else _OBJECT_OR_LIST
    start = opening.search(text)
    if start is None:
        return None
    whole = next(find_json(text, objects_only), None)
    return _complete(text[start.start() :]) if whole is None else whole


def find_answer(text: str, objects_only: bool = False) -> Iterator[Any]:
    """Like `find_json`, for models that may think first: values after an unopened `</think>` come first."""
    _, answer = split_unopened_think(text)
    if answer != text:
        yield from find_json(answer, objects_only)
    yield from find_json(text, objects_only)


def find_value(text: str) -> Iterator[Any]:
    """Like `find_answer`, also for values that are no objects or lists: the whole text comes last, if it is one.

    Some models write `"good"`, `3` or even the bare word where only such a value is requested.
    """
    yield from find_answer(text)
    _, answer = split_unopened_think(text)
    fenced = _FENCE.match(answer)
    alone = fenced[1] if fenced else answer.strip()
    try:
        yield json.loads(alone, strict=False)
    except (ValueError, RecursionError):
        if alone and not any(letter.isspace() for letter in alone):
            yield alone


def partial_answer(text: str, objects_only: bool = False) -> Any:
    """Like `partial_json`, for models that may think first: it starts again after an unopened `</think>`."""
    _, answer = split_unopened_think(text)
    found = partial_json(answer, objects_only)
    return partial_json(text, objects_only) if found is None and answer != text else found


def _complete(text: str) -> Any:
    if (len(text) - len(text.rstrip("\\"))) % 2:
        text = text[:-1]  # Half of an escape, of which parsers make different things.
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        pass  # Perhaps only for unescaped line breaks, which the parser refuses.
    try:
        return from_json(_STRING.sub(_escaped, text), allow_partial="trailing-strings")
    except ValueError:
        return None


def _escaped(string: re.Match[str]) -> str:
    return _CONTROL.sub(lambda control: f"\\u{ord(control[0]):04x}", string[0])
