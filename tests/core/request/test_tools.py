"""`tool_choice` in one form, and tools under names that the service accepts."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import Message, ToolCall
from nvcf_core.request.tools import (
    function_tool,
    named_tool,
    tool_choice,
    tool_names_of,
    with_wire_names,
)
from nvcf_core.tools.names import safe_name

NAMES = ["weather", "stocks"]
STOCKS = {"type": "function", "function": {"name": "stocks"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        ("stocks", STOCKS),
        (STOCKS, STOCKS),
        ({"type": "tool", "name": "stocks"}, STOCKS),
        ({"type": "any"}, "required"),
    ],
)
def test_every_form_of_choice(choice: Any, sent: Any) -> None:
    assert tool_choice(choice, NAMES) == sent


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"$ref": "#/$defs/A", "$defs": {}}, {"$ref": "#/$defs/A", "$defs": {}}),
        ({"anyOf": [{"type": "object"}]}, {"anyOf": [{"type": "object"}]}),
        ({"type": "string"}, {"type": "string"}),
        ("no schema", "no schema"),
    ],
)
def test_parameters_are_at_least_those_of_an_object(schema: Any, sent: Any) -> None:
    for tool in (
        {"name": "f", "parameters": schema},
        {"function": {"name": "f", "parameters": schema}},
    ):
        found = function_tool(tool)
        assert found is not None
        assert found["function"]["parameters"] == sent


def test_a_tool_may_be_called_like_a_word() -> None:
    assert tool_choice("auto", ["auto"]) == named_tool("auto")
    assert tool_choice({"type": "function", "name": "function"}, ["function"]) == named_tool(
        "function"
    )


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_tools_there_is_nothing_to_choose(choice: str) -> None:
    assert tool_choice(choice, []) is None


@pytest.mark.parametrize(
    ("choice", "names", "words"),
    [
        ("bread", NAMES, "'bread' is not one of the tools: weather, stocks"),
        ("bread", [], "there are none"),
        ({"type": "tool", "name": "bread"}, NAMES, "'bread' is not one of"),
        ("any", [], "'any', and there are no tools"),
        ({"type": "function"}, NAMES, "does not name a tool"),
        (7, NAMES, "does not name a tool"),
    ],
)
def test_a_choice_of_nothing_is_refused(choice: Any, names: list[str], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as raised:
        tool_choice(choice, names)
    assert raised.value.field == "tool_choice"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("get_weather-1", "get_weather-1"),
        ("the city", "the_city"),
        ("", "tool"),
        ("é" * 70, "_" * 64),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_offered_chosen_and_called_names_agree() -> None:
    tool = {"type": "function", "function": {"name": "a.b"}}
    body = {"tools": [tool], "tool_choice": named_tool("a.b")}
    called = Message(role="assistant", tool_calls=(ToolCall(0, "1", "c d"),))
    names = tool_names_of([called], body)
    sent = with_wire_names(body, names)
    assert sent["tools"][0]["function"]["name"] == "a_b"
    assert sent["tool_choice"] == named_tool("a_b")
    assert names.to_wire("c d") == "c_d"
    assert (names.from_wire("a_b"), names.from_wire("c_d")) == ("a.b", "c d")
    assert body["tools"] == [tool]
