"""A small valid instance of a JSON schema, filled with what a text offers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["SampleMaker"]

Schema = Mapping[str, Any]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|[“„]([^”“]+)[”“]|`([^`]+)`")
_WORD = re.compile(r"\w+")
_DEEP = 4
_DEEPEST = 32
_MOST_VALUES = 10_000
_FORMATS = {
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "date-time": "2026-01-01T12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


class SampleMaker:
    """Makes instances of schemas out of one text.

    Numbers and quoted strings found in the text fill number and string properties in order; of
    an enum the first value whose words occur in the text is taken; other strings are the whole
    text. What a schema does not require is filled only where the text has something for it.

    Args:
        text: Where the values come from.
        root: The schema that `$ref`s point into.
    """

    def __init__(self, text: str, root: Schema) -> None:
        self._text = text.strip()
        self._root = root
        self._left = _MOST_VALUES
        self._words = {word.lower() for word in _WORD.findall(text)}
        self._quoted = [next(filter(None, found)) for found in _QUOTED.findall(text)]
        self._numbers = [float(found) for found in _NUMBER.findall(text)]

    def make(self, schema: Any, depth: int = 0) -> Any:
        """Return an instance of `schema`; None where it has no end, or is not an object."""
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._left < 0:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chosen(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self.make(self._option(schema[key], depth), depth + 1)
        return self._of_type(_type(schema), schema, depth)

    def _resolved(self, schema: Schema, depth: int = 0) -> Schema:
        """Return `schema` with its references followed and its `allOf` merged in."""
        merged: dict[str, Any] = dict(schema)
        seen: set[str] = set()
        while "$ref" in merged and merged["$ref"] not in seen:
            seen.add(merged["$ref"])
            reference = merged.pop("$ref")
            merged = {**_pointed(self._root, reference), **merged}
        for part in merged.pop("allOf", ()):
            if depth > _DEEP or not isinstance(part, Mapping):
                continue
            other = self._resolved(part, depth + 1)
            properties = {**merged.get("properties", {}), **other.get("properties", {})}
            required = [*merged.get("required", ()), *other.get("required", ())]
            merged = {**other, **merged}
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _option(self, options: Sequence[Schema], depth: int) -> Schema:
        usable = [option for option in options if isinstance(option, Mapping)] or [{}]
        nothing = [option for option in usable if option.get("type") == "null"]
        something = [option for option in usable if option.get("type") != "null"]
        if nothing and (depth > _DEEP or not something):
            return nothing[0]
        return something[0]

    def _mentioned(self, value: object) -> bool:
        words = {word.lower() for word in _WORD.findall(str(value).replace("_", " "))}
        return bool(words) and words <= self._words

    def _chosen(self, values: Sequence[Any]) -> Any:
        return next((value for value in values if self._mentioned(value)), values[0])

    def _of_type(self, kind: str, schema: Schema, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind in ("number", "integer"):
            return self._number(schema, kind == "integer")
        if kind == "boolean":
            return "false" not in self._words
        return None if kind == "null" else self._string(schema)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        bare = () if depth else [name for name, inner in properties.items() if _needed(inner)]
        required = schema.get("required", bare)
        made: dict[str, Any] = {}
        for name, inner in properties.items():
            if name in required or (depth < _DEEP and self._offers(inner)):
                made[name] = self.make(inner, depth + 1)
        for name in required:
            made.setdefault(name, self._text)
        return made

    def _offers(self, schema: object, depth: int = 0) -> bool:
        """Tell whether the text has a value for a property that may be left out."""
        if not isinstance(schema, Mapping) or depth > _DEEP:
            return False
        schema = self._resolved(schema)
        for options in (schema.get("anyOf"), schema.get("oneOf")):
            if options:
                return self._offers(self._option(options, 0), depth + 1)
        if "enum" in schema:
            return any(self._mentioned(value) for value in schema["enum"])
        kind = _type(schema)
        if kind in ("number", "integer"):
            return self._next_number(kind == "integer") is not None
        return kind == "string" and bool(self._quoted) and "format" not in schema

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        made = [self.make(inner, depth + 1) for inner in schema.get("prefixItems", ())]
        items = schema.get("items", not made)
        if items is False:
            return made
        least = schema.get("minItems", 0)
        wanted = max(least, min(1, schema.get("maxItems", 1)) if depth <= _DEEP else 0)
        inner = items if isinstance(items, Mapping) else {"type": "string"}
        return made + [self.make(inner, depth + 1) for _ in range(wanted - len(made))]

    def _next_number(self, integer: bool) -> int | None:
        """Return where in the list the next number is that fits, None if none is left."""
        fitting = (
            place for place, value in enumerate(self._numbers) if not integer or value.is_integer()
        )
        return next(fitting, None)

    def _number(self, schema: Schema, integer: bool) -> int | float:
        place = self._next_number(integer)
        value = 0.0 if place is None else self._numbers.pop(place)
        step = schema.get("multipleOf", 1 if integer else 0)
        smallest = step or 1e-6
        low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
        high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
        value = min(max(value, low), high)
        if value == schema.get("exclusiveMinimum"):
            value += smallest
        if value == schema.get("exclusiveMaximum"):
            value -= smallest
        if step:
            value = math.ceil(value / step) * step if value < high else value // step * step
        return int(value) if integer or float(value).is_integer() else value

    def _string(self, schema: Schema) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        value = self._quoted.pop(0) if self._quoted else self._text
        value = value.ljust(schema.get("minLength", 0), "x")
        return value[: schema.get("maxLength", len(value))]


def _needed(schema: object) -> bool:
    """Tell whether a property is filled in a schema that does not say which ones are required."""
    return not isinstance(schema, Mapping) or "default" not in schema


def _pointed(root: Schema, reference: str) -> Schema:
    """Return what a reference such as `#/$defs/Name` points to; an open schema if nothing."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)
