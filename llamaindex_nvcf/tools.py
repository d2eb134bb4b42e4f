"""Tools as the service wants them, and the calls that it answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool

from nvcf_core import ToolCall
from nvcf_core.request.tools import tool_choice as chosen_tool
from nvcf_core.response.finish_reason import cut_reason
from nvcf_core.response.json_text import partial_json
from nvcf_core.response.tool_arguments import parse_tool_calls, shorten

from .messages import tool_calls_of
from .responses import PARTIAL


def tool_keywords(
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
        InvalidRequestError: `choice` names a tool that is not there, or wants one of none.
    """
    if choice is None and required and tools:
        choice = "required"
    names = [tool.metadata.get_name() for tool in tools]
    chosen = chosen_tool(choice, names)
    if not tools:
        return {}
    arguments: dict[str, Any] = {"tools": openai_tools(tools)}
    if chosen is not None:
        arguments["tool_choice"] = chosen
    if not parallel:
        arguments["parallel_tool_calls"] = False
    return arguments


def openai_tools(tools: object) -> Any:
    """Tools as the service wants them: LlamaIndex's own are described, others stay as they are."""
    if not isinstance(tools, (list, tuple)):
        return tools
    return [_openai_tool(tool) if isinstance(tool, BaseTool) else tool for tool in tools]


def normalize_tool_kwargs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of a call, with what LlamaIndex calls otherwise (`tool_required`, …) as the service does."""
    own = dict(given)
    if own.pop("tool_required", None) and own.get("tools"):
        own.setdefault("tool_choice", "required")
    parallel = own.pop("allow_parallel_tool_calls", None)
    if parallel is not None:
        own.setdefault("parallel_tool_calls", parallel)
    return own


def _openai_tool(tool: BaseTool) -> dict[str, Any]:
    # LlamaIndex limits descriptions to what OpenAI takes, and alters names without a way back. The
    # service has no such limit, and the core maps names in both directions.
    specification = tool.metadata.to_openai_tool(skip_length_check=True)
    specification["function"]["name"] = tool.metadata.get_name()
    return specification


def tool_selections(response: ChatResponse, *, error_on_no_tool_call: bool) -> list[ToolSelection]:
    """The tool calls of a response, ready to be run.

    While an answer streams, its calls hold what has arrived of their arguments. Of an answer that has ended nothing
    is guessed: a call whose arguments are not a JSON object becomes a selection whose run fails, whatever the tool
    takes, with an error that says why, so that an agent goes on and the model sees its mistake.

    Raises:
        ValueError: there is no call and `error_on_no_tool_call`; or the answer has ended, has a call, and was cut:
            by its length, or by the service's content filter.
    """
    calls = tool_calls_of(response.message)
    cut = cut_reason(response.additional_kwargs.get("finish_reason"))
    if not calls and error_on_no_tool_call:
        raise _no_call(response, cut)
    if response.additional_kwargs.get(PARTIAL):
        return [
            ToolSelection(
                tool_id=call_id, tool_name=name, tool_kwargs=_partial_arguments(arguments)
            )
            for call_id, name, arguments in calls
        ]
    if calls and cut:
        _, name, arguments = calls[-1]
        raise ValueError(
            f"A call of {name!r} must not be made, for its arguments may be incomplete: {cut}. "
            f"They are {shorten(str(arguments))!r}"
        )
    return [_selection(call_id, name, arguments) for call_id, name, arguments in calls]


def _no_call(response: ChatResponse, cut: str) -> ValueError:
    said = f"Expected at least one tool call, but the model answered: {shorten(response.message.content or '')!r}"
    return ValueError(f"{said} ({cut})" if cut else said)


def _partial_arguments(arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, dict):
        return arguments
    return partial_json(arguments, objects_only=True) or {}


def _selection(call_id: str, name: str, arguments: Any) -> ToolSelection:
    if isinstance(arguments, dict):
        return ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=arguments)
    [parsed] = parse_tool_calls([ToolCall(0, call_id, name, arguments)], None)
    if parsed.arguments is not None:
        return ToolSelection(tool_id=call_id, tool_name=name, tool_kwargs=parsed.arguments)
    # Two keys, since the only argument of a tool with one parameter would be handed over under any name. Not
    # validated, since that would make a plain text of the first.
    reason = _SelfKeyword(f"{parsed.error}. Nothing was run; call it again with one JSON object")
    return ToolSelection.model_construct(
        tool_id=call_id,
        tool_name=name,
        tool_kwargs={reason: parsed.error, "arguments": shorten(arguments)},
    )


class _SelfKeyword(str):
    """The keyword `self`, which no tool can be called with: its method has an argument of that name already.

    So the call fails before anything runs, whatever the tool takes, and Python's error shows the keyword: the reason.
    """

    _reason: str

    def __new__(cls, reason: str) -> _SelfKeyword:
        made = super().__new__(cls, "self")
        made._reason = reason
        return made

    def __str__(self) -> str:
        return self._reason


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
