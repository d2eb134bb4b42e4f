"""Rules for single body fields: each knows which values are allowed and says what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nvcf_emulator.specs.rejections import Rejection, unsupported
from nvcf_emulator.specs.schemas import require_schema

__all__ = [
    "INT64",
    "SAFE_INTEGER",
    "Choice",
    "Flag",
    "Number",
    "Object",
    "ResponseFormat",
    "Rule",
    "Stop",
    "Text",
    "ToolChoice",
    "Tools",
    "function_name",
    "integer",
    "is_integer",
    "only_keys",
    "require_object",
    "require_text",
    "wrong_type",
]

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
INT64 = 2**63
SAFE_INTEGER = 2**53 - 1


class Rule(Protocol):
    """Something that a body field's value must pass."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` unless `value` is allowed for the field called `name`."""


def wrong_type(name: str, wanted: str, value: object) -> Rejection:
    """Return the rejection of a value of the wrong JSON type."""
    return Rejection(f"Input should be {wanted}, got {_json_type(value)}", field=name)


def is_integer(value: object) -> bool:
    """Tell whether a parsed JSON value is an integer; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def require_object(name: str, value: object) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else raise `Rejection`."""
    if not isinstance(value, dict):
        raise wrong_type(name, "an object", value)
    return value


def require_text(name: str, value: object, empty: bool = True) -> str:
    """Return `value` if it is a string (and not empty, unless `empty`), else raise `Rejection`."""
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    if not value and not empty:
        raise Rejection("String should have at least 1 character", field=name)
    return value


def only_keys(name: str, value: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Raise `Rejection` if the object `value` has keys that are not documented."""
    extra = sorted(set(value) - allowed)
    if extra:
        raise unsupported([f"{name}.{key}" for key in extra])


def _json_type(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", str: "a string", list: "an array"}
    names |= {dict: "an object", int: "an integer", float: "a number"}
    return names[type(value)]


@dataclass(frozen=True)
class Number:
    """A number between `low` and `high`, both allowed."""

    low: float
    high: float
    integer: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` for another type, a fraction where none may be, or out of range."""
        if self.integer and not is_integer(value):
            raise wrong_type(name, "an integer", value)
        if not is_integer(value) and not isinstance(value, float):
            raise wrong_type(name, "a number", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise Rejection("Input should be a finite number", field=name)
        if not self.low <= value <= self.high:
            raise Rejection(
                f"Input should be between {self.low} and {self.high}, got {value}", field=name
            )


def integer(low: int, high: int) -> Number:
    """Return the rule for an integer between `low` and `high`, both allowed."""
    return Number(low, high, integer=True)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` unless `value` is a boolean."""
        if not isinstance(value, bool):
            raise wrong_type(name, "a boolean", value)


@dataclass(frozen=True)
class Text:
    """Any string."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` unless `value` is a string."""
        require_text(name, value)


@dataclass(frozen=True)
class Choice:
    """One of a few strings."""

    allowed: tuple[str, ...]

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` unless `value` is one of the allowed strings."""
        if require_text(name, value) not in self.allowed:
            listed = ", ".join(repr(item) for item in self.allowed)
            raise Rejection(f"Input should be one of {listed}, got {value!r}", field=name)


@dataclass(frozen=True)
class Object:
    """An object; the keys named in `rules` are checked, others are refused unless `open`."""

    rules: Mapping[str, Rule]
    open: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` unless `value` is an object whose keys pass their rules."""
        require_object(name, value)
        if not self.open:
            only_keys(name, value, frozenset(self.rules))
        for key, rule in self.rules.items():
            if key in value:
                rule.check(f"{name}.{key}", value[key])


@dataclass(frozen=True)
class Stop:
    """A string, or a list of strings; none of them empty."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` unless `value` is a stop sequence or a list of them."""
        if isinstance(value, str):
            require_text(name, value, empty=False)
            return
        if not isinstance(value, list):
            raise wrong_type(name, "a string or an array of strings", value)
        for position, item in enumerate(value):
            require_text(f"{name}[{position}]", item, empty=False)


@dataclass(frozen=True)
class Tools:
    """A list of function definitions, at least one, no two of the same name."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` for an entry that is malformed or repeated."""
        if not isinstance(value, list):
            raise wrong_type(name, "an array", value)
        if not value:
            raise Rejection("Array should have at least 1 item, got []", field=name)
        seen: set[str] = set()
        for position, tool in enumerate(value):
            function = self._function(f"{name}[{position}]", tool)
            if function in seen:
                raise Rejection(f"Tool names must be unique, {function!r} is repeated", field=name)
            seen.add(function)

    @staticmethod
    def _function(name: str, tool: Any) -> str:
        only_keys(name, require_object(name, tool), frozenset({"type", "function"}))
        if tool.get("type") != "function":
            raise Rejection("Input should be 'function'", field=f"{name}.type")
        inner = f"{name}.function"
        function = require_object(inner, tool.get("function"))
        only_keys(inner, function, frozenset({"name", "description", "parameters", "strict"}))
        if "description" in function:
            require_text(f"{inner}.description", function["description"])
        if "strict" in function:
            Flag().check(f"{inner}.strict", function["strict"])
        if "parameters" in function:
            _object_schema(f"{inner}.parameters", function["parameters"])
        return function_name(f"{inner}.name", function.get("name"))


def function_name(name: str, value: object) -> str:
    """Return `value` if it may name a function, else raise `Rejection`."""
    if not isinstance(value, str) or not FUNCTION_NAME.fullmatch(value):
        raise Rejection(
            f"Function names must match ^[a-zA-Z0-9_-]{{1,64}}$, got {value!r}", field=name
        )
    return value


def _object_schema(name: str, value: object) -> None:
    schema = require_object(name, value)
    if schema.get("type", "object") != "object":
        raise Rejection("A function's parameters must be a schema of type object", field=name)
    require_schema(name, schema)


@dataclass(frozen=True)
class ToolChoice:
    """The strings auto, none and required, or an object that names a function."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` for another string or a malformed object."""
        if isinstance(value, str):
            Choice(("auto", "none", "required")).check(name, value)
            return
        only_keys(name, require_object(name, value), frozenset({"type", "function"}))
        if value.get("type") != "function":
            raise Rejection("Input should be 'function'", field=f"{name}.type")
        function = require_object(f"{name}.function", value.get("function"))
        only_keys(f"{name}.function", function, frozenset({"name"}))
        function_name(f"{name}.function.name", function.get("name"))


@dataclass(frozen=True)
class ResponseFormat:
    """text, json_object, or json_schema with a named schema."""

    def check(self, name: str, value: Any) -> None:
        """Raise `Rejection` for an unknown type, or a json_schema without name or schema."""
        kind = require_object(name, value).get("type")
        Choice(("text", "json_object", "json_schema")).check(f"{name}.type", kind)
        allowed = {"type", "json_schema"} if kind == "json_schema" else {"type"}
        only_keys(name, value, frozenset(allowed))
        if kind != "json_schema":
            return
        inner = f"{name}.json_schema"
        asked = require_object(inner, value.get("json_schema"))
        only_keys(inner, asked, frozenset({"name", "description", "schema", "strict"}))
        function_name(f"{inner}.name", asked.get("name"))
        require_schema(f"{inner}.schema", require_object(f"{inner}.schema", asked.get("schema")))
