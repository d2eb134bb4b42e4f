"""Tool calls with their arguments parsed, or the reason why they must not be made."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core import ToolCall
from nvcf_core.response.tool_arguments import parse_tool_calls, shorten


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
    ],
)
@pytest.mark.parametrize("finish_reason", [None, "stop", "tool_calls"])
def test_arguments_that_may_be_used(arguments: str, parsed: Any, finish_reason: str | None) -> None:
    [read] = parse_tool_calls([ToolCall(0, "a", "f", arguments)], finish_reason)
    assert (read.arguments, read.error) == (parsed, None)


@pytest.mark.parametrize(
    "arguments",
    ['{"a": 12', '{"a": 1}}', '{"a": 1,}', "nonsense", "[1]", "5", '{"a": NaN}', '{"a": [1e999]}'],
)
@pytest.mark.parametrize("finish_reason", [None, "stop", "tool_calls"])
def test_arguments_that_must_not_be_used(arguments: str, finish_reason: str | None) -> None:
    good, bad = ToolCall(0, "a", "f", "{}"), ToolCall(1, "b", "g", arguments)
    first, second = parse_tool_calls([good, bad], finish_reason)
    assert first.arguments == {}
    assert second.arguments is None
    assert second.call is bad
    assert "JSON" in (second.error or "")


def test_arguments_nested_without_end_are_refused() -> None:
    [read] = parse_tool_calls([ToolCall(0, "a", "f", '{"a":' * 100_000)], None)
    assert read.arguments is None


def test_no_call_of_an_answer_that_was_cut_is_made() -> None:
    calls = [ToolCall(0, "a", "f", '{"a": 1}'), ToolCall(1, "b", "g", "")]
    for read in parse_tool_calls(calls, "length"):
        assert read.arguments is None
        assert "max_tokens" in (read.error or "")


def test_what_an_error_shows() -> None:
    assert shorten("short") == "short"
    assert shorten("x" * 1_000) == "x" * 1_000
    assert shorten("x" * 1_001) == "x" * 1_000 + "…"
