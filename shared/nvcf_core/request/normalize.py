"""Messages in the form that the model wants: roles, order, merged and folded messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nvcf_core.messages import Media, Message, Part
from nvcf_core.models.spec import ModelSpec
from nvcf_core.models.validator import Validator
from nvcf_core.tools.names import safe_name
from nvcf_core.wire import why_unencodable

from .past_calls import calls_as_text, with_result_ids
from .past_media import describe_unseen_media, move_media_after_results

__all__ = ["normalize", "number_messages"]

_GAP = "\n\n"
"""Between texts that are joined into one message."""

_AS_TEXT = "tools_as_text=True sends tool calls and their results as text"


def number_messages(messages: Sequence[Message]) -> list[Message]:
    """The messages, each with its place in the caller's own list where it does not say so itself, and its media too."""
    return [_number_message(message, place) for place, message in enumerate(messages)]


def _number_message(message: Message, place: int) -> Message:
    index = place if message.index is None else message.index
    if message.index is not None and not _has_media(message):
        return message
    parts = tuple(
        part
        if isinstance(part, str) or part.index is not None
        else replace(part, index=index, returned=message.role == "tool")
        for part in message.parts
    )
    return replace(message, index=index, parts=parts)


def normalize(
    messages: Sequence[Message], validator: Validator, *, tools_as_text: bool = False
) -> tuple[Message, ...]:
    """The messages to send.

    Args:
        messages: the conversation.
        validator: checks messages against the model spec.
        tools_as_text: whether tool calls and results become text for a model that has no tools.

    Raises:
        InvalidRequestError: there are none, or the model cannot take them.
    """
    spec = validator.spec
    arranged = _plain_conversation(messages, validator)
    if arranged is None:
        arranged = _arranged(messages, validator, tools_as_text)
    if not arranged:
        raise validator.invalid_request("messages", "there are no messages to send")
    arranged = _with_another_speaker_last(arranged, validator)
    if spec.single_message:
        arranged = [_fold_into_one(arranged, validator)]
    if spec.system_first:
        arranged.sort(key=lambda message: message.role != "system")
    _check_first(arranged, validator)
    if spec.alternating:
        arranged = _alternate(arranged)
    _check_last(arranged, validator)
    return tuple(_with_safe_name(message) for message in arranged)


def _plain_conversation(messages: Sequence[Message], validator: Validator) -> list[Message] | None:
    """Fast version of `_arranged` for conversations of plain text: a third of its cost for long ones.

    Nothing in such a one is described or moved, and there is little to check: the roles and the characters.

    Returns:
        None: it is another one.
    """
    texts = [_plain_text(message) for message in messages]
    if "" in texts:
        return None
    roles = None if validator.spec.single_message else validator.spec.roles
    for message, text in zip(messages, texts, strict=True):
        if not (text.isascii() and (roles is None or message.role in roles)):
            _check(message, validator)
    return list(messages)


def _plain_text(message: Message) -> str:
    """The text of a message that has its place, and that says one text and nothing else; empty of any other."""
    if len(message.parts) != 1 or message.index is None or message.role == "tool":
        return ""
    if message.name or message.tool_calls or message.tool_call_id or message.reasoning:
        return ""
    [part] = message.parts
    return part if isinstance(part, str) else ""


def _arranged(
    messages: Sequence[Message], validator: Validator, tools_as_text: bool
) -> list[Message]:
    """The messages, checked, with the media and the calls of earlier turns as the model takes them."""
    arranged = describe_unseen_media(with_result_ids(number_messages(messages)), validator)
    if tools_as_text and not validator.spec.supports_tools:
        arranged = calls_as_text(arranged)
    for message in arranged:
        _check(message, validator)
    arranged = [message for message in arranged if not _is_empty_answer(message)]
    return move_media_after_results(arranged)


def _check(message: Message, validator: Validator) -> None:
    field, spec = message.place, validator.spec
    roles = None if spec.single_message else spec.roles  # A single message is folded first.
    if message.role == "tool" and spec.supports_tools:
        roles = None
    if roles is not None and message.role not in roles:
        allowed = ", ".join(sorted(roles))
        hint = f". {_AS_TEXT}" if message.role == "tool" else ""
        validator.reject(
            field,
            f"{field} has role {message.role!r}; the model's documentation allows {allowed}{hint}",
        )
    if message.tool_calls and not spec.supports_tools:
        validator.reject(
            field, f"{field} has tool calls; the model's documentation has no tools. {_AS_TEXT}"
        )
    if message.role == "tool" and not message.tool_call_id:
        raise validator.invalid_request(
            field, f"{field} is a tool's result, and has no tool_call_id"
        )
    if spec.documented and message.role not in ("user", "tool") and _has_media(message):
        validator.reject(
            field, f"{field} has role {message.role}: only user messages may have media"
        )
    for key, text in _texts_to_send(message, spec):
        if text.isascii():
            continue
        if reason := why_unencodable(text):
            # Checked here, while the message still has its own index.
            raise validator.invalid_request(field, f"{field}.{key} cannot be sent: {reason}")


def _texts_to_send(message: Message, spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """Every text of a message that is sent, and the key it is sent under."""
    for part in message.parts:
        if isinstance(part, str):
            yield "content", part
    for call in message.tool_calls:
        yield "tool_calls", call.name
        yield "tool_calls", call.arguments
        yield "tool_calls", call.id
    if message.tool_call_id:
        yield "tool_call_id", message.tool_call_id
    if message.name and "name" in spec.message_keys:
        yield "name", message.name
    if message.reasoning and "reasoning_content" in spec.message_keys:
        yield "reasoning_content", message.reasoning


def _has_media(message: Message) -> bool:
    if len(message.parts) == 1 and isinstance(message.parts[0], str):
        return (
            False  # Fast path: most messages are one text, and this runs several times per message.
        )
    return any(isinstance(part, Media) for part in message.parts)


def _is_empty_answer(message: Message) -> bool:
    """Return whether an assistant message says nothing: a turn that failed, or that was spent on reasoning."""
    return message.role == "assistant" and not any(message.parts) and not message.tool_calls


def _with_another_speaker_last(messages: Sequence[Message], validator: Validator) -> list[Message]:
    """The messages; where the last may not be the assistant's and is another speaker's, it is the user's.

    Another speaker is one whose name is not that of the other assistant messages: one agent handing over to the next.
    """
    *others, last = messages
    allowed = validator.spec.last_roles
    if allowed is None or "assistant" in allowed or last.role != "assistant" or last.tool_calls:
        return list(messages)
    names = {message.name for message in others if message.role == "assistant"}
    if not last.name or names == {last.name}:
        return list(messages)
    parts = _led_by_name(last)
    return [*others, replace(last, role="user", parts=parts, name=None, reasoning=None)]


def _led_by_name(message: Message) -> tuple[Part, ...]:
    """The parts of a message, with the name of who speaks in front."""
    if not message.name:
        return message.parts
    if message.parts and isinstance(message.parts[0], str):
        return (f"{message.name}: {message.parts[0]}", *message.parts[1:])
    return (f"{message.name}:", *message.parts)


def _fold_into_one(messages: Sequence[Message], validator: Validator) -> Message:
    """One user message, led by the text of the system messages."""
    system = [message for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    if len(others) != 1 or others[0].role != "user":
        roles = ", ".join(message.role for message in messages)
        # The first that is not the user's, or the second.
        wrong = next(
            (other for other in others if other.role != "user" or other is not others[0]), None
        )
        field = "messages" if wrong is None else wrong.place
        raise validator.invalid_request(
            field, f"{field}: the model takes exactly one user message, not: {roles}"
        )
    text = _GAP.join(text for message in system if (text := message.text))
    leading = (text,) if text else ()
    return replace(others[0], parts=_merge_parts(leading, others[0].parts))


def _check_first(messages: Sequence[Message], validator: Validator) -> None:
    first = next((message for message in messages if message.role != "system"), None)
    allowed = validator.spec.first_roles
    if allowed is None or first is None or first.role in allowed:
        return
    validator.reject(
        first.place,
        f"{first.place} has role {first.role} and comes first; "
        f"the model's documentation wants {' or '.join(sorted(allowed))}",
    )


def _check_last(messages: Sequence[Message], validator: Validator) -> None:
    last, allowed = messages[-1], validator.spec.last_roles
    if allowed is not None and last.role not in allowed:
        validator.reject(
            last.place,
            f"{last.place}, the last message, has role {last.role}; "
            f"the model's documentation wants {' or '.join(sorted(allowed))}",
        )


def _alternate(messages: Sequence[Message]) -> list[Message]:
    """System first and once; later system texts as the user's; neighbours of one role joined."""
    groups: list[list[Message]] = []
    for message in messages:
        leading = all(group[0].role == "system" for group in groups)
        if message.role == "system" and not leading:
            message = replace(message, role="user")
        if groups and groups[-1][0].role == message.role != "tool":
            groups[-1].append(message)
        else:
            groups.append([message])
    return [_merge(group) for group in groups]


def _merge(group: Sequence[Message]) -> Message:
    """One message that says what all of a group say; who said it, where their names differ."""
    first = group[0]
    if len(group) == 1:
        return first
    same_name = all(message.name == first.name for message in group)
    reasoning = _GAP.join(message.reasoning for message in group if message.reasoning)
    return replace(
        first,
        parts=_merge_parts(
            *(message.parts if same_name else _led_by_name(message) for message in group)
        ),
        name=first.name if same_name else None,
        tool_calls=tuple(call for message in group for call in message.tool_calls),
        reasoning=reasoning or None,
        index=group[-1].index,
    )


def _merge_parts(*several: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts of several messages, in order; where two of their texts meet they become one."""
    slots: list[Media | list[str]] = []
    for parts in several:
        for place, part in enumerate(parts):
            if isinstance(part, Media):
                slots.append(part)
            elif place == 0 and slots and isinstance(slots[-1], list):
                slots[-1].append(part)
            else:
                slots.append([part])
    # Joined at once: a text that grew would be copied with every message.
    return tuple(
        slot if isinstance(slot, Media) else _GAP.join(text for text in slot if text)
        for slot in slots
    )


def _with_safe_name(message: Message) -> Message:
    if message.name is None or message.name == safe_name(message.name):
        return message
    return replace(message, name=safe_name(message.name) if message.name else None)
