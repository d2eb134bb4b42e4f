"""How one answer is to be read: what follows from the model's row and from what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from nvcf_core.models.spec import ModelSpec, TextToolCalls
from nvcf_core.tools.names import ToolNames
from nvcf_core.values import value_class
from nvcf_core.wire import get_list, get_object, get_text

__all__ = ["DecodeOptions", "ignore_warning", "options_for"]


def ignore_warning(reason: str, message: str) -> None:
    """Warn of nothing."""


@value_class(kw_only=True)
class DecodeOptions:
    """How one answer is to be read."""

    model: str | None = None
    """The model that was asked, for answers that do not name it."""
    stream: bool = False
    """Whether a stream of events was asked for."""
    stops: Sequence[str] = ()
    """Stop sequences that the client enforces."""
    names: ToolNames = field(default_factory=lambda: ToolNames(()))
    single_call: bool = False
    """Whether every tool call but the first is left out."""
    keeps_raw: bool = True
    """Whether each chunk has the event that it came in."""
    no_calls: bool = False
    """Whether every tool call is left out, with a warning: none was allowed."""
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """The JSON schema of the parameters of each offered tool, by the name that was sent."""
    text_tool_calls: TextToolCalls | None = None
    """The form of tool calls that the model's server may leave in the text, None: they stay there."""
    splits_unopened_think: bool = False
    """Whether what stands before a `</think>` that nothing opened is reasoning, in a whole answer."""
    reasoning_is_content: bool = False
    """Whether the reasoning of an answer without content is its content: thinking was switched off."""
    warn: Callable[[str, str], None] = ignore_warning
    """Takes a reason, for which it warns only once, and the message."""


def options_for(spec: ModelSpec, fields: Mapping[str, Any]) -> DecodeOptions:
    """What follows for the answer from the model and from the body of the request.

    Args:
        spec: the model's row.
        fields: the body of the request but for its messages.
    """
    tools = get_list(fields, "tools")
    return DecodeOptions(
        model=spec.id,
        stream=fields.get("stream") is True,
        single_call=fields.get("parallel_tool_calls") is False,
        no_calls=fields.get("tool_choice") == "none",
        schemas={
            get_text(function, "name"): get_object(function, "parameters")
            for function in (get_object(tool, "function") for tool in tools)
        },
        text_tool_calls=spec.text_tool_calls if tools else None,
        splits_unopened_think=spec.supports_reasoning,
        reasoning_is_content=spec.thinking_is_off(fields),
    )
