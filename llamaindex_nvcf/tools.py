"""Tools as the service wants them, and the calls that it answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

from nvcf_core import ToolCall
from nvcf_core.request.tools import tool_choice as chosen_tool
from nvcf_core.response.json_text import partial_json
from nvcf_core.response.tool_arguments import parse_tool_calls, shorten

from .messages import tool_calls_of


def tool_arguments(
    tools: Sequence[BaseTool],
    choice: str | dict[str, Any] | None,
    *,
    required: bool,
    parallel: bool,
) -> dict[str, Any]:
    """The keywords with which a chat offers `tools`; none at all where there are none.

    Args:
        tools: the tools.
        choice: "auto", "none", "required" (or "any"), a tool's name, or the service's own dict.
            None leaves the choice to `required`.
        required: whether some tool has to be called.
        parallel: whether several may be called at once.

    Raises:
        InvalidRequestError: `choice` names a tool that is not there.
    """
    if not tools:
        return {}
    arguments: dict[str, Any] = {"tools": [_specification(tool) for tool in tools]}
    if choice is None and required:
        choice = "required"
    if choice is not None:
        names = [tool.metadata.get_name() for tool in tools]
        arguments["tool_choice"] = chosen_tool(choice, names)
    if not parallel:
        arguments["parallel_tool_calls"] = False
    return arguments


def _specification(tool: BaseTool) -> dict[str, Any]:
    # LlamaIndex limits descriptions to what OpenAI takes, and alters names without a way back. The
    # service has no such limit, and the core maps names in both directions.
    specification = tool.metadata.to_openai_tool(skip_length_check=True)
    specification["function"]["name"] = tool.metadata.get_name()
    return specification


def tool_selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The tool calls of a response, ready to be run.

    While an answer streams, its calls hold what has arrived of their arguments. Of a complete
    answer, one that has a `finish_reason`, nothing is guessed.

    Raises:
        ValueError: there is no call and `error_on_no_tool_call`; or the answer is complete, and it
            was cut by its length or a call's arguments are no JSON object.
    """
    calls = tool_calls_of(response.message)
    if not calls and error_on_no_tool_call:
        raise ValueError(
            "Expected at least one tool call, but the model answered: "
            f"{shorten(response.message.content or '')!r}"
        )
    finish_reason = response.additional_kwargs.get("finish_reason")
    if calls and finish_reason == "length":
        raise ValueError(
            "The answer was cut by its length (finish_reason 'length', see max_tokens) in a call "
            f"of {calls[-1][1]!r}, whose arguments may be incomplete: {shorten(str(calls[-1][2]))!r}"
        )
    return [
        ToolSelection(
            tool_id=call_id,
            tool_name=name,
            tool_kwargs=_parsed(name, arguments, complete=finish_reason is not None),
        )
        for call_id, name, arguments in calls
    ]


def _parsed(name: str, arguments: Any, *, complete: bool) -> dict[str, Any]:
    if isinstance(arguments, dict):
        return arguments
    if not complete:
        return partial_json(arguments, objects_only=True) or {}
    [parsed] = parse_tool_calls([ToolCall(0, "", name, arguments)], None)
    if parsed.arguments is None:
        raise ValueError(
            f"The call of {name!r} is not valid: {parsed.error}: {shorten(arguments)!r}"
        )
    return parsed.arguments


def keep_first_tool_call(response: ChatResponse) -> ChatResponse:
    """The response without every tool call but the first."""
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    plain = message.additional_kwargs.get("tool_calls") or ()
    if len(calls) <= 1 and len(plain) <= 1:
        return response
    # Rebuilt, not changed: whoever listens to the events holds the response as it came.
    trimmed = message.model_copy(
        update={
            "blocks": [
                block
                for block in message.blocks
                if not isinstance(block, ToolCallBlock) or block is calls[0]
            ],
            "additional_kwargs": {**message.additional_kwargs, "tool_calls": list(plain[:1])},
        }
    )
    return response.model_copy(update={"message": trimmed})
