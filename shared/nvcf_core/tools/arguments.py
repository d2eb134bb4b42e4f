"""The JSON text of one tool call's arguments as it arrives, with what is certainly meant otherwise put right."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from nvcf_core.wire import get_list, get_object, get_text

__all__ = ["ArgumentsDecoder", "decode_arguments", "parse_arguments"]

_NOTHING = frozenset(("", "null", "none", "nil", "undefined", "[]", "{}", '""', "''"))
"""How servers and models write that a call has no arguments, in lower case."""

_MOST_WRAPPINGS = 3
"""How often arguments are taken out of a JSON string that holds JSON."""

_LONGEST_HELD = 65_536
"""Characters of a string that are held back at most, until it is whole."""

_DEEPEST_REFERENCE = 8
"""How many references and alternatives of a schema are followed to find the type of one value."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.S)
_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*+', re.S)
_BETWEEN = re.compile(r'[^"{}\[\],]+')
_INTEGER = re.compile(r"-?(?:0|[1-9]\d*)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_BOOLEANS = {"true": "true", "True": "true", "false": "false", "False": "false"}
_NULLS = frozenset(("null", "None"))
_ANY_TYPE = frozenset(("string",))

_DECODER = json.JSONDecoder(strict=False)


class ArgumentsDecoder:
    """Passes the arguments of one call on as they arrive. An object is passed on letter for letter, except that:

    - a string where the tool's schema wants a boolean, a number, null, a list or an object, and has no string, becomes
      that value if its text is exactly one;
    - copies of the object behind it are left out.

    What does not begin as an object is held back until the end: then an object inside a JSON string is unwrapped, and
    what means nothing becomes an empty text. Everything else comes out as it came, and is not a JSON object.
    """

    __slots__ = ("_first", "_held", "_levels", "_root", "_state", "_unfinished")

    def __init__(self, schema: Mapping[str, Any] | None = None) -> None:
        """Begin.

        Args:
            schema: the JSON schema of the tool's parameters, as far as it is known.
        """
        self._root = schema or {}
        self._state = "start"
        self._held: list[str] = []
        self._levels: list[_Level] = []
        self._unfinished = ""
        self._first: list[str] = []
        """What has been passed on of the object."""

    @property
    def complete(self) -> bool:
        """Whether a whole object has arrived."""
        return self._state == "after"

    @property
    def empty(self) -> bool:
        """Whether nothing has arrived."""
        return self._state == "start" and not self._held

    def is_duplicate(self, text: str) -> bool:
        """Return whether the object that has arrived is the same text."""
        return self.complete and "".join(self._first).strip() == text.strip()

    def feed(self, text: str) -> str:
        """Take the next fragment; return what is certain."""
        if self._goes_on_with_string(text):
            self._first.append(text)
            return text
        if self._state == "start":
            text = "".join((*self._held, text))
            begin = text.lstrip()
            self._held = [] if begin else [text]
            if not begin:
                return ""
            self._state = "object" if begin[0] == "{" else "other"
        if self._state != "object":
            self._held.append(text)
            return ""
        passed = "".join(self._scan(self._unfinished + text))
        self._first.append(passed)
        return passed

    def flush(self) -> str:
        """Return what was held back until the end. The second time there is nothing."""
        held, self._held = "".join(self._held), []
        if self._state == "object":
            unfinished, self._unfinished = self._unfinished, ""
            return unfinished
        if self._state == "after":
            return "" if self._repeats(held) else held
        if self._state == "other":
            return self._unwrapped(held)
        return ""

    def _goes_on_with_string(self, text: str) -> bool:
        """Return whether a fragment is the middle of a string that is being passed on, as most are."""
        open_string = self._levels and self._levels[-1].in_string and not self._unfinished
        return bool(open_string) and '"' not in text and "\\" not in text

    def _scan(self, text: str) -> Iterator[str]:
        """Pass on a part of the object, token by token."""
        self._unfinished = ""
        place = 0
        while place < len(text):
            level = self._levels[-1] if self._levels else None
            if level is not None and level.in_string:
                end = level.end_of_string(text, place)
            elif text[place] == '"' and level is not None:
                token = _STRING.match(text, place)
                held = len(text) - place <= _LONGEST_HELD
                if token is None and held and level.waits_for_string():
                    self._unfinished = text[place:]
                    return
                if token is not None:
                    yield level.converted(token[0])
                    place = token.end()
                    continue
                level.in_string = True
                end = place + 1
            else:
                end = self._structure(text, place)
            if end == place:  # The first half of an escape.
                self._unfinished = text[place:]
                return
            yield text[place:end]
            place = end
            if self.complete:
                self._held.append(text[place:])
                return

    def _structure(self, text: str, place: int) -> int:
        """Take what is not in a string: a bracket, a comma, or what stands between those."""
        character = text[place]
        if character in "{[":
            schema = self._levels[-1].value_schema() if self._levels else self._root
            self._levels.append(_Level(self._root, schema, is_object=character == "{"))
        elif character in "}]" and self._levels:
            self._levels.pop()
            self._state = "object" if self._levels else "after"
        elif character == "," and self._levels:
            self._levels[-1].begin_item()
        else:
            between = _BETWEEN.match(text, place)
            return between.end() if between else place + 1
        return place + 1

    def _repeats(self, held: str) -> bool:
        """Return whether nothing but copies of the object stand behind it."""
        rest = held.lstrip()
        if not rest:
            return False
        try:
            first = json.loads("".join(self._first), strict=False)
            while rest:
                value, end = _DECODER.raw_decode(rest)
                if value != first:
                    return False
                rest = rest[end:].lstrip()
        except (ValueError, RecursionError):
            return False
        return True

    def _unwrapped(self, held: str) -> str:
        text = held.strip()
        for _ in range(_MOST_WRAPPINGS):
            if text.casefold() in _NOTHING:
                return ""
            try:
                value = json.loads(text, strict=False)
            except (ValueError, RecursionError):
                return held
            if not isinstance(value, str):
                return held
            text = value.strip()
            if text.startswith("{"):
                return decode_arguments(text, self._root)
        return held


def decode_arguments(text: str, schema: Mapping[str, Any] | None = None) -> str:
    """Whole arguments, as `ArgumentsDecoder` passes them on."""
    decoder = ArgumentsDecoder(schema)
    return decoder.feed(text) + decoder.flush()


def parse_arguments(text: str, *, strict: bool = False) -> Any:
    """The JSON value of whole arguments.

    Args:
        text: as `decode_arguments` returns it.
        strict: whether line breaks inside of strings are refused, which models write and not every parser takes.

    Raises:
        ValueError: it is not JSON, or a number in it is none: NaN, an infinity, or one that is too large. Python's
            parser takes these, and a call made with them could not be sent back with the next turn.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text, strict=strict, parse_constant=_refused_number, parse_float=_finite_number
    )


def _refused_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite_number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


class _Level:
    """An object or a list that is open, and what its schema says."""

    __slots__ = ("_expects_key", "_is_object", "_key", "_root", "_schema", "in_string")

    def __init__(
        self, root: Mapping[str, Any], schema: Mapping[str, Any], *, is_object: bool
    ) -> None:
        self._root = root
        self._schema = _resolved(root, schema)
        self._is_object = is_object
        self._expects_key = is_object
        self._key = ""
        self.in_string = False
        """Whether a string is open whose fragments are passed on as they arrive."""

    def begin_item(self) -> None:
        """Take a comma."""
        self._expects_key = self._is_object

    def end_of_string(self, text: str, place: int) -> int:
        """Return where the open string ends, or the part of it that has arrived."""
        rest = _REST_OF_STRING.match(text, place)
        end = rest.end() if rest else place
        if text[end : end + 1] == '"':
            self.in_string = False
            return end + 1
        return end

    def waits_for_string(self) -> bool:
        """Return whether the next string is passed on only when it is whole: it is a key, or may become another
        value."""
        return self._expects_key or bool(self._wanted_types())

    def converted(self, token: str) -> str:
        """A whole string as it is passed on."""
        if self._expects_key:
            self._expects_key = False
            self._key = _text_of(token)
            return token
        types = self._wanted_types()
        return _as_one_of(types, token) if types else token

    def value_schema(self) -> Mapping[str, Any]:
        """The schema of the value that comes next."""
        if not self._is_object:
            return get_object(self._schema, "items")
        properties = get_object(self._schema, "properties")
        if self._key in properties:
            return get_object(properties, self._key)
        return get_object(self._schema, "additionalProperties")

    def _wanted_types(self) -> frozenset[str]:
        """The types that the next value may have; empty where a string is one of them, or nothing is known."""
        types = _types(self._root, self.value_schema())
        return frozenset() if "string" in types else types


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that says what an object or a list holds: where a `$ref` leads, or the first fitting alternative."""
    schema = _referenced(root, schema)
    for option in _alternatives(schema):
        found = _referenced(root, option)
        if "properties" in found or "items" in found:
            return found
    return schema


def _referenced(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a `$ref` leads to; a schema without one itself."""
    reference = get_text(schema, "$ref")
    if not reference.startswith("#/"):
        return schema
    for step in reference[2:].split("/"):
        root = get_object(root, step)
    return root


def _alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    options = [*get_list(schema, "anyOf"), *get_list(schema, "oneOf"), *get_list(schema, "allOf")]
    return [option if isinstance(option, Mapping) else {} for option in options]


def _types(
    root: Mapping[str, Any], schema: Mapping[str, Any], depth: int = _DEEPEST_REFERENCE
) -> frozenset[str]:
    """The JSON types that a schema allows; with "string" among them where that is not certain."""
    if depth == 0:
        return _ANY_TYPE
    if "$ref" in schema:
        found = _referenced(root, schema)
        return _ANY_TYPE if found is schema else _types(root, found, depth - 1)
    if alternatives := _alternatives(schema):
        return frozenset().union(*(_types(root, option, depth - 1) for option in alternatives))
    declared = schema.get("type")
    named = [declared] if isinstance(declared, str) else get_list(schema, "type")
    return frozenset(name for name in named if isinstance(name, str)) or _ANY_TYPE


def _as_one_of(types: frozenset[str], token: str) -> str:
    """A string of JSON as the value that it spells, where it is exactly one of these types; else as it is."""
    text = _text_of(token)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if "integer" in types and _INTEGER.fullmatch(text):
        return text
    if "number" in types and _NUMBER.fullmatch(text):
        return text
    if "null" in types and text in _NULLS:
        return "null"
    kinds = tuple(kind for name, kind in (("array", list), ("object", dict)) if name in types)
    return text if kinds and _is_json_of(text, kinds) else token


def _is_json_of(text: str, kinds: tuple[type, ...]) -> bool:
    try:
        return isinstance(parse_arguments(text), kinds)
    except (ValueError, RecursionError):
        return False


def _text_of(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:  # An escape that JSON does not have.
        return token
