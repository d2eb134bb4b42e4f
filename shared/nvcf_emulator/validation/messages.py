"""The messages of one request: their roles, keys, order and tool calls, held against the model's rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.media.detect import Media
from nvcf_emulator.specs.fields import (
    function_name,
    only_keys,
    require_object,
    require_text,
    wrong_type,
)
from nvcf_emulator.specs.models import ModelSpec
from nvcf_emulator.specs.rejections import Rejection, unsupported
from nvcf_emulator.validation.content import ContentReader, Pieces

__all__ = ["Message", "read_messages", "require_reasoning"]

_ALTERNATION = (
    "Conversation roles must alternate user/assistant/user/assistant/..., "
    "after an optional system message, and end with the user"
)
_MAY_FOLLOW: Mapping[str, frozenset[str]] = {
    "": frozenset({"system", "developer", "context", "user"}),
    "system": frozenset({"context", "user"}),
    "developer": frozenset({"context", "user"}),
    "context": frozenset({"context", "user"}),
    "user": frozenset({"assistant"}),
    "assistant": frozenset({"user"}),
    "assistant with tool_calls": frozenset({"tool", "user"}),
    "tool": frozenset({"tool", "assistant", "user"}),
}


@dataclass(frozen=True)
class Message:
    """One message, read.

    Attributes:
        role: Its role.
        pieces: Its texts and media, in order.
        raw: The message as it arrived.
    """

    role: str
    pieces: Pieces
    raw: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Its texts, joined."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def media(self) -> tuple[Media, ...]:
        """Its media, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Media))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Its tool calls; none for most messages."""
        return list(self.raw.get("tool_calls") or ())

    @property
    def tokens(self) -> int:
        """How many tokens it counts for."""
        other = [self.raw.get("reasoning_content") or ""]
        other += [call["function"]["arguments"] for call in self.calls]
        texts = sum(tokens.count(text) for text in (self.text, *other) if isinstance(text, str))
        return texts + tokens.MEDIA_TOKENS * len(self.media)


def read_messages(messages: object, spec: ModelSpec, reader: ContentReader) -> tuple[Message, ...]:
    """Return the messages of a request, read.

    Raises:
        Rejection: The model's rules do not allow them.
    """
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array", messages)
    if not messages:
        raise Rejection("Array should have at least 1 item, got []", field="messages")
    if len(messages) > spec.most_messages:
        raise Rejection(
            f"Array should have at most {spec.most_messages} item, got {len(messages)}",
            field="messages",
        )
    found = tuple(
        _message(f"messages[{position}]", message, spec, reader)
        for position, message in enumerate(messages)
    )
    reader.finish()
    _tool_results(found)
    if spec.alternates:
        _alternation(found)
    return found


def _message(name: str, message: Any, spec: ModelSpec, reader: ContentReader) -> Message:
    role = require_text(f"{name}.role", require_object(name, message).get("role"))
    if spec.strict:
        if role not in spec.roles:
            listed = ", ".join(repr(item) for item in sorted(spec.roles))
            raise Rejection(f"Input should be one of {listed}, got {role!r}", field=f"{name}.role")
        extra = sorted(set(message) - spec.message_keys)
        if extra:
            raise unsupported([f"{name}.{key}" for key in extra])
        _only_with_role(name, role, message)
    if "tool_calls" in message:
        _tool_calls(f"{name}.tool_calls", message["tool_calls"])
    if spec.refuses_empty_content and role == "assistant" and message.get("content") == "":
        raise Rejection(
            "an assistant message must not be empty; beside tool calls its content is null",
            field=f"{name}.content",
        )
    if role == "tool":
        require_text(f"{name}.tool_call_id", message.get("tool_call_id"), empty=False)
    return Message(role, _content(name, role, message, reader), message)


def _only_with_role(name: str, role: str, message: Mapping[str, Any]) -> None:
    for key, owner in (
        ("tool_calls", "assistant"),
        ("reasoning_content", "assistant"),
        ("refusal", "assistant"),
        ("tool_call_id", "tool"),
    ):
        if key in message and role != owner:
            raise Rejection(f"{key} is only for role {owner}, not {role}", field=f"{name}.{key}")
    for key in ("name", "reasoning_content"):
        if key in message:
            require_text(f"{name}.{key}", message[key])


def _content(name: str, role: str, message: Mapping[str, Any], reader: ContentReader) -> Pieces:
    content = message.get("content")
    inner = f"{name}.content"
    if isinstance(content, str):
        return reader.text(inner, content, role)
    if isinstance(content, list):
        return reader.parts(inner, content, role)
    if content is None and role == "assistant" and message.get("tool_calls"):
        return ()
    raise wrong_type(inner, "a string or an array", content)


def _tool_calls(name: str, calls: object) -> None:
    if not isinstance(calls, list):
        raise wrong_type(name, "an array", calls)
    if not calls:
        raise Rejection("Array should have at least 1 item, got []", field=name)
    ids = [_tool_call(f"{name}[{position}]", call) for position, call in enumerate(calls)]
    if len(set(ids)) < len(ids):
        raise Rejection("ids of tool calls must differ", field=name)


def _tool_call(name: str, call: Any) -> str:
    only_keys(name, require_object(name, call), frozenset({"id", "type", "function"}))
    if call.get("type") != "function":
        raise Rejection("Input should be 'function'", field=f"{name}.type")
    inner = f"{name}.function"
    function = require_object(inner, call.get("function"))
    only_keys(inner, function, frozenset({"name", "arguments"}))
    function_name(f"{inner}.name", function.get("name"))
    arguments = require_text(f"{inner}.arguments", function.get("arguments"))
    try:
        json.loads(arguments)
    except (ValueError, RecursionError) as error:
        raise Rejection(f"not a JSON text: {error}", field=f"{inner}.arguments") from error
    return require_text(f"{name}.id", call.get("id"), empty=False)


def _tool_results(messages: tuple[Message, ...]) -> None:
    known: set[str] = set()
    for position, message in enumerate(messages):
        known |= {call["id"] for call in message.calls}
        if message.role == "tool" and message.raw["tool_call_id"] not in known:
            raise Rejection(
                f"no tool call with id {message.raw['tool_call_id']!r} precedes it",
                field=f"messages[{position}].tool_call_id",
            )


def _alternation(messages: tuple[Message, ...]) -> None:
    before = ""
    for position, message in enumerate(messages):
        if message.role not in _MAY_FOLLOW.get(before, frozenset()):
            raise Rejection(_ALTERNATION, field=f"messages[{position}].role")
        before = "assistant with tool_calls" if message.calls else message.role
    if before not in ("user", "tool"):
        raise Rejection(_ALTERNATION, field=f"messages[{len(messages) - 1}].role")


def require_reasoning(messages: tuple[Message, ...]) -> None:
    """Raise `Rejection` if an assistant message with tool calls came without its reasoning."""
    for position, message in enumerate(messages):
        if message.calls and not message.raw.get("reasoning_content"):
            raise Rejection(
                "thinking is enabled but reasoning_content is missing in assistant tool call "
                f"message at index {position}",
                field=f"messages[{position}].reasoning_content",
            )
