"""Whether a JSON schema that a request brings can be understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nvcf_emulator.specs.rejections import Rejection

__all__ = ["require_schema"]

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

_DEEPEST = 64
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")


def require_schema(name: str, value: object, depth: int = 0) -> None:
    """Raise `Rejection` unless `value` is a schema whose keywords have the right form.

    Args:
        name: Path of the field that holds it.
        value: The parsed JSON value.
        depth: How deep it lies in another schema.
    """
    if depth > _DEEPEST:
        raise Rejection(f"Invalid schema: nested deeper than {_DEEPEST}", field=name)
    if isinstance(value, bool):
        return
    if not isinstance(value, dict):
        raise Rejection("Invalid schema: it is neither an object nor a boolean", field=name)
    _keywords(name, value)
    for place, inner in _inner(name, value):
        require_schema(place, inner, depth + 1)


def _keywords(name: str, schema: Mapping[str, Any]) -> None:
    types = schema.get("type", [])
    listed = types if isinstance(types, list) else [types]
    good = {
        "type": all(isinstance(item, str) and item in TYPES for item in listed),
        "enum": _is_filled_list(schema.get("enum", [None])),
        "required": _is_texts(schema.get("required", [])),
        "$ref": isinstance(schema.get("$ref", ""), str),
        "format": isinstance(schema.get("format", ""), str),
    }
    for key in ("minItems", "maxItems", "minLength", "maxLength"):
        good[key] = isinstance(schema.get(key, 0), int)
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        good[key] = isinstance(schema.get(key, 0), int | float)
    step = schema.get("multipleOf", 1)
    good["multipleOf"] = isinstance(step, int | float) and step > 0
    wrong = [key for key, is_good in good.items() if not is_good]
    if wrong:
        raise Rejection(f"Invalid schema: {wrong[0]!r} has the wrong form", field=name)


def _is_filled_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _inner(name: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the schemas that `schema` holds, each with its path."""
    for key in _LISTS:
        if key in schema:
            if not _is_filled_list(schema[key]):
                raise Rejection(f"Invalid schema: {key!r} has the wrong form", field=name)
            yield from ((f"{name}.{key}[{place}]", item) for place, item in enumerate(schema[key]))
    for key in _MAPS:
        if key in schema:
            if not isinstance(schema[key], dict):
                raise Rejection(f"Invalid schema: {key!r} has the wrong form", field=name)
            yield from ((f"{name}.{key}.{inner}", item) for inner, item in schema[key].items())
    if "items" in schema:
        yield f"{name}.items", schema["items"]
