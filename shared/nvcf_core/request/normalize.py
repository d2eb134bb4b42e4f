"""Messages in the form that the model wants: roles, order, merged and folded messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nvcf_core.messages import Media, Message, Part
from nvcf_core.models.validator import Validator

__all__ = ["normalize"]

_GAP = "\n\n"
"""Between texts that are joined into one message."""


def normalize(messages: Sequence[Message], validator: Validator) -> tuple[Message, ...]:
    """The messages to send.

    Raises:
        InvalidRequestError: there are none, or the model cannot take them.
    """
    if not messages:
        raise validator.invalid_request("messages", "there are no messages to send")
    for place, message in enumerate(messages):  # As the user counts them, before any is moved.
        _check(place, message, validator)
    spec = validator.spec
    arranged = _move_media_after_tool_results(messages)
    if spec.single_message:
        arranged = [_fold_into_one(arranged, validator)]
    if spec.alternating:
        arranged = _alternate(arranged)
    if spec.last_roles is not None and arranged[-1].role not in spec.last_roles:
        allowed = " or ".join(sorted(spec.last_roles))
        last = f"messages[{len(messages) - 1}]"
        validator.reject(
            last,
            f"the last message has role {arranged[-1].role}; the model's documentation wants {allowed}",
        )
    return tuple(arranged)


def _check(place: int, message: Message, validator: Validator) -> None:
    field, spec = f"messages[{place}]", validator.spec
    roles = None if spec.single_message else spec.roles  # A single message is folded first.
    if roles is not None and message.role not in roles:
        allowed = ", ".join(sorted(roles))
        validator.reject(
            field, f"{field} has role {message.role!r}; the model's documentation allows {allowed}"
        )
    if message.role == "tool" and not message.tool_call_id:
        raise validator.invalid_request(
            field, f"{field} is a tool's result, and has no tool_call_id"
        )
    if message.role not in ("user", "tool") and any(
        isinstance(part, Media) for part in message.parts
    ):
        raise validator.invalid_request(
            field, f"{field} has role {message.role}: only user messages may have media"
        )


def _move_media_after_tool_results(messages: Sequence[Message]) -> list[Message]:
    """Media that tools returned, in a user message right after the results: tool messages are text."""
    arranged: list[Message] = []
    waiting: list[Part] = []
    for message in messages:
        if message.role != "tool" and waiting:
            arranged.append(Message(role="user", parts=tuple(waiting)))
            waiting = []
        if message.role == "tool" and any(isinstance(part, Media) for part in message.parts):
            waiting += [part for part in message.parts if isinstance(part, Media)]
            texts = tuple(part for part in message.parts if isinstance(part, str))
            message = replace(message, parts=texts)
        arranged.append(message)
    if waiting:
        arranged.append(Message(role="user", parts=tuple(waiting)))
    return arranged


def _fold_into_one(messages: Sequence[Message], validator: Validator) -> Message:
    """One user message, led by the text of the system messages."""
    system = [message for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    if len(others) != 1 or others[0].role != "user":
        roles = ", ".join(message.role for message in messages)
        raise validator.invalid_request(
            "messages", f"the model takes exactly one user message, not: {roles}"
        )
    text = _GAP.join(text for message in system if (text := message.text))
    leading = (text,) if text else ()
    return replace(others[0], parts=_merge_parts(leading, others[0].parts))


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
    """One message that says what all of a group say."""
    first = group[0]
    if len(group) == 1:
        return first
    reasoning = _GAP.join(message.reasoning for message in group if message.reasoning)
    return replace(
        first,
        parts=_merge_parts(*(message.parts for message in group)),
        name=first.name if all(message.name == first.name for message in group) else None,
        tool_calls=tuple(call for message in group for call in message.tool_calls),
        reasoning=reasoning or None,
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
