"""Outbound: LangChain messages, of our models or of any other provider's, as the core's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from nvcf_core.messages import Message, Part
from nvcf_core.request.past_calls import PastCall, past_call, past_calls

from .content import (
    Warn,
    answer_part,
    blocks_of,
    invalid_block,
    is_encrypted,
    part_of,
    parts_of,
    reasoning_of,
    result_parts,
    type_or_keys,
)
from .provider_parts import Block, legacy_id

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "developer": "system",
    "function": "tool",
}
"""What other frameworks and providers call a role, and what the service calls it."""

_TEXT_ONLY_ROLES: Mapping[type[BaseMessage], str] = {
    HumanMessage: "user",
    AIMessage: "assistant",
    SystemMessage: "system",
}
"""The classes of messages that may be no more than a text."""

_WHOLE_CALLS = frozenset(("tool_call", "tool_use", "function_call"))
_CALL_BLOCKS = _WHOLE_CALLS | {"tool_call_chunk", "invalid_tool_call", "input_json_delta"}


def _silent(_reason: str, _message: str) -> None:
    """Ignore a warning: nothing is sent, for example when tokens are counted."""


def to_core_messages(messages: Sequence[BaseMessage], warn: Warn = _silent) -> list[Message]:
    """Convert the conversation to the core's messages.

    Args:
        messages: the conversation.
        warn: called for what is left out, or replaced by a line of text.

    Raises:
        InvalidRequestError: a message or a block of it cannot be sent. The error names its place and type.
    """
    conversation: list[Message] = []
    for number, message in enumerate(messages):
        if (text_only := _text_only(message, number)) is not None:
            conversation.append(text_only)
        else:
            conversation += [
                replace(converted, index=number) for converted in _converted(message, number, warn)
            ]
    return conversation


def _text_only(message: BaseMessage, number: int) -> Message | None:
    """A message that says nothing but a text, to the same result as by `_converted`, at a quarter of what that costs.

    Nearly all messages of a long conversation are such, and all of it is converted again at every turn.

    Returns:
        None: it is, or may be, something else.
    """
    role = _TEXT_ONLY_ROLES.get(type(message))
    if role is None or type(text := message.content) is not str or not text:
        return None
    if type(message) is AIMessage and (
        message.tool_calls or message.invalid_tool_calls or message.additional_kwargs
    ):
        return None
    return Message(role=role, parts=(text,), name=message.name, index=number)


def _converted(message: BaseMessage, number: int, warn: Warn) -> list[Message]:
    place = f"messages[{number}]"
    match message:
        case HumanMessage():
            return _from_human(message, place, warn)
        case AIMessage():
            return [_from_ai(message, number, warn)]
        case SystemMessage():
            return [_plain("system", message, place)]
        case ToolMessage():
            return [_result(message, message.tool_call_id, place, warn)]
        case FunctionMessage():
            return [_result(message, legacy_id(message.name), place, warn)]
        case ChatMessage():
            return [_chat(message, place, warn)]
    raise invalid_block(place, f"a {type(message).__name__} cannot be sent to a model")


def _plain(role: str, message: BaseMessage, place: str) -> Message:
    parts = tuple(parts_of(message.content, place))
    return Message(role=role, parts=parts, name=message.name)


def _result(message: BaseMessage, call_id: str | None, place: str, warn: Warn) -> Message:
    parts = tuple(result_parts(message.content, place, warn))
    return Message(role="tool", parts=parts, name=message.name, tool_call_id=call_id)


def _chat(message: ChatMessage, place: str, warn: Warn) -> Message:
    role = _ROLES.get(message.role, message.role)
    if role == "tool":
        return _result(message, message.additional_kwargs.get("tool_call_id"), place, warn)
    return _plain(role, message, place)


def _from_human(message: HumanMessage, place: str, warn: Warn) -> list[Message]:
    """The user's message, after the tool results in it: Anthropic's form has them there."""
    if isinstance(message.content, str):
        return [_plain("user", message, place)]
    results: list[Message] = []
    parts: list[Part] = []
    for where, block in blocks_of(message.content, place):
        if type_or_keys(block) == "tool_result":
            found = tuple(result_parts(block.get("content"), where, warn))
            results.append(Message(role="tool", parts=found, tool_call_id=block.get("tool_use_id")))
        else:
            parts.append(part_of(block, where))
    if results and not parts:
        return results
    return [*results, Message(role="user", parts=tuple(parts), name=message.name)]


def _from_ai(message: AIMessage, number: int, warn: Warn) -> Message:
    parts: list[Part] = []
    reasonings: list[str] = []
    blocks = blocks_of(message.content, f"messages[{number}]")
    for where, block in blocks:
        reasoning = reasoning_of(block)
        if reasoning:
            reasonings.append(reasoning)
        elif is_encrypted(block):
            warn(
                "foreign_blocks", f"{where}: encrypted reasoning is left out of the earlier answer"
            )
        elif reasoning is None and type_or_keys(block) not in _CALL_BLOCKS:
            part = answer_part(block, where, warn)
            parts += [] if part is None else [part]
    if not parts and isinstance(said := message.additional_kwargs.get("refusal"), str):
        parts.append(said)
    return Message(
        role="assistant",
        parts=tuple(parts),
        name=message.name,
        tool_calls=past_calls(_calls(message, blocks), number),
        reasoning="\n\n".join(reasonings) or _kept_reasoning(message),
    )


def _kept_reasoning(message: AIMessage) -> str | None:
    """Reasoning that is kept beside the content: ours, OpenAI's summaries, and what Anthropic's models thought."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        kept = message.additional_kwargs.get(name)
        if isinstance(kept, dict):
            kept = reasoning_of({**kept, "type": "reasoning"})
        if isinstance(kept, str) and kept:
            return kept
    return None


def _calls(message: AIMessage, blocks: list[tuple[str, Block]]) -> list[PastCall]:
    """The calls of a message. `tool_calls` says what they are; only where it is silent do other places count."""
    calls: list[PastCall] = [
        (call["id"], call["name"], call["args"]) for call in message.tool_calls
    ]
    calls += [(bad["id"], bad["name"], bad["args"]) for bad in message.invalid_tool_calls]
    if calls:
        return calls
    if calls := [call for _, block in blocks if (call := _call_in_block(block))]:
        return calls
    legacy = message.additional_kwargs.get("function_call")
    if isinstance(legacy, dict):
        name = legacy.get("name")
        return [(legacy_id(name), name, legacy.get("arguments"))]
    return []


def _call_in_block(block: Block) -> PastCall | None:
    """A call that a message has in its content alone, as other providers' messages written by hand do."""
    return past_call(block) if type_or_keys(block) in _WHOLE_CALLS else None
