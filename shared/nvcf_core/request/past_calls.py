"""Tool calls of the history: arguments as the JSON text that the service reads, ids, names, reasoning."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import Message, Part, ToolCall
from nvcf_core.models.validator import Validator
from nvcf_core.tools.arguments import decode_arguments, parse_arguments
from nvcf_core.wire import without_half_characters

__all__ = [
    "PastCall",
    "arguments_text",
    "calls_as_text",
    "past_call",
    "past_calls",
    "tools_of_results",
    "with_call_reasoning",
    "with_result_ids",
]

PastCall: TypeAlias = tuple[str | None, str | None, Any]
"""Id, name and arguments of a call, as a framework's message has them."""

_WRAPPERS = ("function", "functionCall", "function_call", "toolUse")
"""What a call is inside of: in OpenAI's chat API, in two spellings of Gemini's, and in Bedrock's."""

_NAMES = ("name", "tool_name")
"""Where a call keeps the tool's name; LlamaIndex's own classes in the second."""

_IDS = ("call_id", "tool_call_id", "toolUseId", "tool_id", "id")
"""Where a call keeps the id that its result names. In OpenAI's responses `id` is another one, so that comes last."""

_ARGUMENTS = ("arguments", "args", "input", "tool_kwargs")
"""Where a call keeps its arguments: in OpenAI, in Gemini and LangChain, in Anthropic and Bedrock, in LlamaIndex."""


def past_call(call: object) -> PastCall | None:
    """A call in the form of any provider's API; None where it has no name, and so is not a call.

    Args:
        call: a mapping or an object, as OpenAI's chat and responses APIs, Anthropic, Bedrock, Gemini and LlamaIndex
            have it.
    """
    about = _first(call, _WRAPPERS) or call
    name = _first(about, _NAMES)
    if not isinstance(name, str) or not name:
        return None
    ids = (_attribute(place, key) for place in (call, about) for key in _IDS)
    call_id = next((found for found in ids if isinstance(found, str) and found), None)
    return call_id, name, _first(about, _ARGUMENTS)


def _first(value: object, names: Sequence[str]) -> Any:
    """The first of these attributes that is there."""
    found = (_attribute(value, name) for name in names)
    return next((each for each in found if each is not None), None)


def _attribute(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def past_calls(calls: Iterable[PastCall], number: int) -> tuple[ToolCall, ...]:
    """The tool calls of an assistant message.

    Args:
        calls: what the message says of them. A call without an id gets one by its place, the same at every turn.
        number: the message's place in the caller's own list.

    Raises:
        InvalidRequestError: the arguments of one cannot be JSON.
    """
    return tuple(
        ToolCall(
            place,
            call_id or f"call_{number}_{place}",
            name or "",
            arguments_text(arguments, field=f"messages[{number}].tool_calls[{place}]"),
        )
        for place, (call_id, name, arguments) in enumerate(calls)
    )


def arguments_text(value: Any, *, field: str) -> str:
    """The arguments of an earlier call as the text of a JSON object, which is all that the services read.

    Text that is such an object stays as the model wrote it, and what means nothing, such as `null`, is `{}`. What is
    not an object, because the answer was cut or the model was wrong, becomes the only value of one,
    `{"INVALID_JSON": …}`, so that the model sees what it wrote.

    Args:
        value: JSON text, a mapping, or None for none.
        field: where the call stands, for errors.

    Raises:
        InvalidRequestError: the value cannot be JSON.
    """
    if value is None:
        return "{}"
    if isinstance(value, str):
        return _object_text(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"{field}: the arguments of a tool call cannot be JSON: {error}", field=field
        ) from None
    text = without_half_characters(text)
    return text if isinstance(value, dict) else _object_text(text)


def _object_text(text: str) -> str:
    # As the arguments of an answer are read: what meant nothing there means nothing here.
    decoded = decode_arguments(text) or "{}"
    if _is_object(decoded, strict=True):
        return decoded
    if _is_object(decoded, strict=False):
        # Line breaks inside its strings, which not every parser takes.
        return json.dumps(parse_arguments(decoded), ensure_ascii=False)
    return _wrapped(text)


def _is_object(text: str, *, strict: bool) -> bool:
    try:
        return isinstance(parse_arguments(text, strict=strict), dict)
    except (ValueError, RecursionError):
        return False


def _wrapped(text: str) -> str:
    return json.dumps({"INVALID_JSON": text}, ensure_ascii=False)


def with_result_ids(messages: Sequence[Message]) -> list[Message]:
    """The messages; the only result of a turn that no call claims gets the id of the only call without a result."""
    paired = list(messages)
    for place, message in enumerate(paired):
        if not message.tool_calls:
            continue
        results = list(range(place + 1, _end_of_results(paired, place + 1)))
        ids = {call.id for call in message.tool_calls}
        answered = {paired[result].tool_call_id for result in results}
        strays = [result for result in results if paired[result].tool_call_id not in ids]
        waiting = [call.id for call in message.tool_calls if call.id not in answered]
        if len(strays) == len(waiting) == 1:
            paired[strays[0]] = replace(paired[strays[0]], tool_call_id=waiting[0])
    return paired


def _end_of_results(messages: Sequence[Message], start: int) -> int:
    """Return the index after the last of the tool results that begin at `start`."""
    while start < len(messages) and messages[start].role == "tool":
        start += 1
    return start


def calls_as_text(messages: Sequence[Message]) -> list[Message]:
    """The conversation for a model without tools: calls as words of the assistant, results as words of the user."""
    tools = tools_of_results(messages)
    return [_as_text(message, tool) for message, tool in zip(messages, tools, strict=True)]


def tools_of_results(messages: Sequence[Message]) -> list[str]:
    """For each message the name of the tool whose result it is, empty where it is not a result.

    An id stands for the last call before it: many servers count their calls anew in each turn.
    """
    names: dict[str, str] = {}
    tools: list[str] = []
    for message in messages:
        names.update((call.id, call.name) for call in message.tool_calls)
        tool = names.get(message.tool_call_id or "") or message.name or "a tool"
        tools.append(tool if message.role == "tool" else "")
    return tools


def _as_text(message: Message, tool: str) -> Message:
    if message.role == "tool":
        media = [part for part in message.parts if not isinstance(part, str)]
        parts: tuple[Part, ...] = (f"Result of {tool}:\n{message.text}", *media)
        return replace(message, role="user", parts=parts, name=None, tool_call_id=None)
    if message.tool_calls:
        calls = "\n".join(f"Call of {call.name}: {call.arguments}" for call in message.tool_calls)
        text = "\n\n".join(filter(None, (message.text, calls)))
        return replace(message, parts=(text,), tool_calls=())
    return message


def with_call_reasoning(
    messages: tuple[Message, ...], body: Mapping[str, Any], validator: Validator
) -> tuple[Message, ...]:
    """Return the messages, with placeholder reasoning for earlier calls that lack it, if the model wants reasoning
    there.

    Args:
        messages: as they will be sent.
        body: the body's other fields, which may switch thinking off.
        validator: has the model spec, and warns.
    """
    words = validator.spec.past_call_reasoning
    if words is None or validator.spec.thinking_is_off(body):
        return messages
    lacking = [message for message in messages if message.tool_calls and not message.reasoning]
    if not lacking:
        return messages
    validator.warn(
        "past_call_reasoning",
        f"{lacking[0].place} calls a tool and has no reasoning, which {validator.spec.id} asks for while it thinks: "
        f"{words!r} is sent in its place",
    )
    return tuple(
        replace(message, reasoning=words)
        if message.tool_calls and not message.reasoning
        else message
        for message in messages
    )
