"""Tool calls with their arguments parsed, or the reason why they must not be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nvcf_core.messages import ToolCall
from nvcf_core.tools.arguments import decode_arguments, parse_arguments
from nvcf_core.values import value_class

from .finish_reason import cut_reason

__all__ = ["ParsedToolCall", "parse_tool_calls", "shorten"]

_LONGEST_SHOWN = 1_000
"""Characters of an answer that an error shows."""


@value_class
class ParsedToolCall:
    """A tool call of an answer that has ended: its arguments, or why it must not be made."""

    call: ToolCall
    arguments: dict[str, Any] | None
    """None: the call must not be made."""
    error: str | None = None
    """Why it must not be made. None: it may be."""


def parse_tool_calls(calls: Sequence[ToolCall], finish_reason: str | None) -> list[ParsedToolCall]:
    """Parse the arguments of an answer that has ended. Nothing is guessed or completed.

    Where the answer was cut, no call of it is made: what the model meant to call, and how often, is not known. A
    call without arguments has `{}`.

    Args:
        calls: the calls, whole.
        finish_reason: why the answer ended, as the service said it.
    """
    if cut := cut_reason(finish_reason):
        return [ParsedToolCall(call, None, cut) for call in calls]
    return [_parse(call) for call in calls]


def _parse(call: ToolCall) -> ParsedToolCall:
    text = decode_arguments(call.arguments)
    try:
        arguments = parse_arguments(text) if text else {}
    except (ValueError, RecursionError) as error:
        return ParsedToolCall(call, None, f"the arguments are not JSON: {error}")
    if not isinstance(arguments, dict):
        return ParsedToolCall(call, None, "the arguments are not a JSON object")
    return ParsedToolCall(call, arguments)


def shorten(text: str) -> str:
    """As much of what a model wrote as an error shows, with `…` where more follows."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
