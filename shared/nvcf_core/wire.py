"""JSON out, naming what cannot be JSON; JSON in, mending lone surrogates; access to its fields; `Retry-After`."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

from pydantic_core import from_json, to_json

from .errors import InvalidRequestError

__all__ = [
    "JSON",
    "LONGEST_DOCUMENT",
    "dump_json",
    "dump_plain_json",
    "get_int",
    "get_list",
    "get_object",
    "get_text",
    "parse_json",
    "retry_after",
    "why_unencodable",
    "without_half_characters",
]

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"
"""Any JSON value."""

LONGEST_DOCUMENT = 32 * 1024 * 1024
"""Bytes of one JSON document, past which it is refused: its objects take some thirty times as much memory."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dump_json(content: object) -> bytes:
    """JSON, as UTF-8.

    Raises:
        InvalidRequestError: it holds NaN, an infinity, half a character, or something that is not JSON at all.
            The message names the place.
    """
    try:
        return _encode(content).encode()
    except (TypeError, ValueError, RecursionError) as error:
        place = _find_unserializable(content)
        field, reason = place or ("the request", str(error))
        raise InvalidRequestError(f"{field} cannot be sent: {reason}", field=field) from None


def dump_plain_json(content: object) -> bytes:
    """Fast version of `dump_json` for values made of dicts, lists, str and None only: a third of its cost.

    Of anything else the faster encoder makes something else: text of a date, `NaN`, numbers in another form.

    Raises:
        InvalidRequestError: a text holds half a character. The message names the place.
    """
    try:
        return to_json(content)
    except ValueError:
        return dump_json(content)  # It says where.


def _find_unserializable(content: object) -> tuple[str, str] | None:
    """Find the first value that cannot be JSON; return its place and the reason."""
    stack: list[tuple[str, object, int]] = [("", content, 0)]
    while stack:
        place, value, depth = stack.pop()
        if depth > 500:
            return place[:100], "it is nested too deeply"
        if reason := _why_unserializable(value):
            return place or "the request", reason
        if isinstance(value, Mapping):
            for key in value:
                if reason := _why_unserializable(key):
                    return f"a key of {place or 'the request'}", reason
            items = [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
        elif isinstance(value, (list, tuple)):
            items = [(f"{place}[{number}]", item) for number, item in enumerate(value)]
        else:
            items = []
        stack += [(name, item, depth + 1) for name, item in reversed(items)]
    return None


def _why_unserializable(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a JSON number"
    if isinstance(value, str):
        return why_unencodable(value)
    if value is not None and not isinstance(value, (bool, int, float, Mapping, list, tuple)):
        return f"{type(value).__name__} is not JSON"
    return ""


def why_unencodable(text: str) -> str:
    """Return why a text cannot be sent as UTF-8, empty if it can."""
    if text.isascii():  # Known without a look at the characters.
        return ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"character {error.start} is half of a surrogate pair"
    return ""


def parse_json(data: bytes) -> Any:
    """Parse JSON. Escaped halves of a character that stand alone, which the fast parser refuses, are replaced."""
    try:
        return from_json(data)
    except ValueError:
        if b"\\ud" not in data.lower():
            raise
        try:
            text = json.dumps(json.loads(data), ensure_ascii=False)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        return from_json(without_half_characters(text))


def without_half_characters(text: str) -> str:
    """The text, with halves of a character that stand alone replaced, so that it can be sent."""
    if not why_unencodable(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def get_text(value: object, key: str) -> str:
    """A field of a JSON value that is a string; empty where it is anything else, or the value has no fields."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def get_int(value: object, key: str) -> int | None:
    """A field that is a whole number, also where it is written as `12.0`; None where it is anything else."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if type(found) is int else None


def get_object(value: object, key: str) -> dict[str, Any]:
    """A field that is a JSON object; empty where it is anything else."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def get_list(value: object, key: str) -> list[Any]:
    """A field that is a list; empty where it is anything else."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` gives: a number, or a date set against the response's own
    `Date`, or else against this machine's clock."""
    value = headers.get("retry-after")
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    until, now = _date(value), _date(headers.get("date", ""))
    if until is None:
        return None
    return max(0.0, until - (time.time() if now is None else now))


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
