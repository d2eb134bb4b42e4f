"""A JSON schema that stands in the text of a prompt, where a model is asked for an object of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["prompt_schema"]

_DECODER = json.JSONDecoder()
_HINTS = ('"properties"', '"$defs"', '"items"')
_ASKED_FOR = re.compile(r"json|schema", re.IGNORECASE)
_BEFORE = 200
_MOST_TRIES = 200


def prompt_schema(text: str) -> tuple[Mapping[str, Any], str] | None:
    """Return the last schema in `text` that is asked for, and the text without it.

    A schema is asked for where the 200 characters before it speak of JSON or of a schema; those
    of tools that are only described are not.
    """
    if not any(hint in text for hint in _HINTS):
        return None
    found: tuple[Mapping[str, Any], str] | None = None
    start = text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            break
        value, end = _object_at(text, start)
        before = text[max(0, start - _BEFORE) : start]
        if value is not None and _is_schema(value) and _ASKED_FOR.search(before):
            found = value, f"{text[:start].rstrip()} {text[end:].lstrip()}".strip()
        start = text.find("{", end)
    return found


def _object_at(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """Return the JSON object that begins at `start` and where it ends; None if it is not one."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start + 1
    return value, end


def _is_schema(value: Mapping[str, Any]) -> bool:
    if isinstance(value.get("properties"), dict) or isinstance(value.get("$defs"), dict):
        return True
    return value.get("type") == "array" and isinstance(value.get("items"), dict)
