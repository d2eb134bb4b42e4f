"""The keywords that script a reply or a failure: what each takes, and a mistake told where it is made."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from nvcf_emulator.script.shapes import form_of
from nvcf_emulator.script.steps import FAILURES, Reply

__all__ = [
    "CONTENT_FILTER",
    "REPLY_KEYWORDS",
    "each_reply",
    "nearest",
    "reply_of",
    "require_failure",
    "require_times",
    "status_of",
]

CONTENT_FILTER = "content_filter"

REPLY_KEYWORDS = tuple(item.name for item in fields(Reply) if item.name != "function")
_CALL_KEYS = ("name", "arguments", "id")
_STATUSES = range(200, 600)


@dataclass(frozen=True)
class _Kind:
    """What a keyword takes, in words, and whether a value is of it."""

    words: str
    holds: Callable[[Any], bool]


def _list_of(kind: type | tuple[type, ...]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and all(isinstance(item, kind) for item in value)
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TEXT = _Kind("a text", lambda value: isinstance(value, str))
_PIECES = _Kind(
    "a text or a list of texts", lambda value: isinstance(value, str) or _list_of(str)(value)
)
_TEXT_OR_FUNCTION = _Kind(
    "a text, a list of texts or dicts, or a function",
    lambda value: _PIECES.holds(value) or callable(value),
)
_OBJECT = _Kind("a dict", lambda value: isinstance(value, Mapping))
_OBJECTS = _Kind("a list of dicts", _list_of(Mapping))
_SECONDS = _Kind("a number of seconds, 0 or more", lambda value: _number(value) and value >= 0)
_FLAG = _Kind("True or False", lambda value: isinstance(value, bool))

_REPLY: Mapping[str, _Kind] = {
    "text": _TEXT_OR_FUNCTION,
    "reasoning": _PIECES,
    "tool_calls": _OBJECTS,
    "finish_reason": _TEXT,
    "usage": _OBJECT,
    "logprobs": _OBJECTS,
    "message": _OBJECT,
    "shape": _TEXT,
    "model": _TEXT,
    "delay": _SECONDS,
    "chunk_delay": _SECONDS,
    "extra": _OBJECT,
    "unchecked": _FLAG,
}
_CALL: Mapping[str, _Kind] = {
    "name": _TEXT,
    "arguments": _Kind("a dict, or a text", lambda value: isinstance(value, Mapping | str)),
    "id": _TEXT,
}
_FAILURE: Mapping[str, _Kind] = {
    "retry_after": _Kind(
        "a number of seconds, or a date", lambda value: _number(value) or isinstance(value, str)
    ),
    "body": _Kind(
        "a dict, a list, a text or bytes",
        lambda value: isinstance(value, Mapping | Sequence),
    ),
    "headers": _Kind(
        "a dict of texts",
        lambda value: isinstance(value, Mapping) and _list_of(str)([*value, *value.values()]),
    ),
}


def nearest(word: object, known: Iterable[str]) -> str:
    """Return the hint at the word that was meant, empty if there is none."""
    close = difflib.get_close_matches(str(word), list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def each_reply(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the keywords of each reply: several where `text` is a list of dicts.

    Raises:
        TypeError: The list holds both texts and dicts.
    """
    text = given.get("text")
    if isinstance(text, str) or not isinstance(text, Sequence):
        return [given]
    kinds = {isinstance(item, Mapping) for item in text}
    if kinds == {True, False}:
        raise TypeError(
            "a list of texts is one reply in pieces, a list of dicts are several: not both"
        )
    if kinds != {True}:
        return [given]
    common = {name: value for name, value in given.items() if name != "text"}
    return [{**common, **item} for item in text]


def reply_of(given: Mapping[str, Any]) -> Reply:
    """Return the reply of these keywords.

    Raises:
        TypeError: One of them is unknown, or its value of another type than it takes.
        ValueError: The shape is unknown.
    """
    unknown = [name for name in given if name not in REPLY_KEYWORDS]
    if unknown:
        raise TypeError(
            f"unknown keyword {unknown[0]!r} of a reply{nearest(unknown[0], REPLY_KEYWORDS)}: it "
            f"takes {', '.join(REPLY_KEYWORDS)}; fields of another server go into extra={{…}}"
        )
    _require(given, _REPLY)
    if given.get("shape") is not None:
        form_of(given["shape"])
    for call in given.get("tool_calls") or ():
        _require_call(call)
    if callable(given.get("text")):
        return Reply(**{**given, "text": None}, function=given["text"])
    return Reply(**given)


def require_failure(given: Mapping[str, Any]) -> None:
    """Check the keywords of a failure.

    Raises:
        TypeError: A value of another type than its keyword takes.
    """
    _require(given, _FAILURE)


def require_times(times: object) -> None:
    """Check for how many requests a step is.

    Raises:
        TypeError: It is not a whole number, nor None.
        ValueError: It is below 1.
    """
    if times is None:
        return
    if not isinstance(times, int) or isinstance(times, bool):
        raise TypeError(f"times takes a whole number, or None for any number; got {times!r}")
    if times < 1:
        raise ValueError(f"times must be at least 1, or None for any number, got {times}")


def status_of(status: int | str) -> tuple[int, str]:
    """Return the status code of a failure, and its name if it has one.

    Raises:
        ValueError: An unknown name, or no status of a response.
    """
    if isinstance(status, int) and not isinstance(status, bool) and status in _STATUSES:
        return status, ""
    if status not in FAILURES:
        known = (*FAILURES, CONTENT_FILTER)
        raise ValueError(
            f"unknown failure {status!r}{nearest(status, known)}: a status from 200 to 599, or one "
            f"of {', '.join(known)}"
        )
    return FAILURES[str(status)], str(status)


def _require(given: Mapping[str, Any], kinds: Mapping[str, _Kind], owner: str = "") -> None:
    for name, kind in kinds.items():
        value = given.get(name)
        if value is not None and not kind.holds(value):
            raise TypeError(f"{name}{owner} takes {kind.words}; got {value!r}")


def _require_call(call: Mapping[str, Any]) -> None:
    if call.get("name") is None:
        raise TypeError(
            f"a tool call is a dict with name, arguments and, if wanted, id; got {call!r}"
        )
    unknown = [key for key in call if key not in _CALL_KEYS]
    if unknown:
        raise TypeError(
            f"unknown key {unknown[0]!r} of a tool call: it takes {', '.join(_CALL_KEYS)}"
        )
    _require(call, _CALL, " of a tool call")
