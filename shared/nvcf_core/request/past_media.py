"""Images, audio and video that tools and earlier answers hold: moved where the model sees them, or described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nvcf_core.media.formats import format_of, kind_of_mime_type, matches_kind, omitted_media_text
from nvcf_core.messages import Media, MediaKind, Message, Part
from nvcf_core.models.validator import Validator

from .past_calls import tools_of_results

__all__ = ["describe_unseen_media", "move_media_after_results"]

_PLURALS: dict[MediaKind, str] = {"image": "images", "audio": "audio", "video": "video"}


def describe_unseen_media(messages: Sequence[Message], validator: Validator) -> list[Message]:
    """Return the messages, with a line of text for each media item that the model cannot take and that is not the
    user's.

    A tool that returns an image must not end the conversation. With `validation` "warn" and "off" all media are sent
    that can be.
    """
    return [_describe_media_of(message, validator) for message in messages]


def _describe_media_of(message: Message, validator: Validator) -> Message:
    if message.role not in ("tool", "assistant"):
        return message
    if len(message.parts) == 1 and isinstance(message.parts[0], str):
        return message  # Nearly every answer of a long conversation.
    parts = tuple(
        part
        if isinstance(part, str)
        else _part_or_line(part, _why_not_sent(part, message, validator), validator)
        for part in message.parts
    )
    return message if parts == message.parts else replace(message, parts=parts)


def _why_not_sent(media: Media, message: Message, validator: Validator) -> str | None:
    if validator.validation == "error" and (unseen := _why_unseen(media, message, validator)):
        return unseen
    return None if _can_be_sent(media) else f"its bytes are not {media.kind} data"


def _can_be_sent(media: Media) -> bool:
    """Return whether a media item can be sent: its format is known from its bytes, or a media type is declared."""
    if media.source is None:
        return True
    declared = kind_of_mime_type(media.mime_type) is not None
    return media.source.length > 0 and (declared or format_of(media) is not None)


def _why_unseen(media: Media, message: Message, validator: Validator) -> str | None:
    """Return why the model cannot take a media item, None if it can."""
    spec = validator.spec
    if message.role == "assistant" and spec.documented:
        return "it is part of an earlier answer"
    if media.kind not in spec.media:
        return f"this model takes no {_PLURALS[media.kind]}"
    if media.url is not None and not spec.remote_urls:
        return "this model takes no urls"
    if spec.documented and not matches_kind(media):
        return f"its bytes are not {media.kind} data"
    formats = spec.media[media.kind]
    if formats is not None and media.source is not None and format_of(media) not in formats:
        return f"this model takes {_PLURALS[media.kind]} as {', '.join(sorted(formats))}"
    return None


def _part_or_line(media: Media, reason: str | None, validator: Validator) -> Part:
    if reason is None:
        return media
    line = omitted_media_text(media, reason)
    validator.warn(
        "unseen_media", f"{media.place}: {line} is sent in its place ({validator.spec.id})"
    )
    return line


def move_media_after_results(messages: Sequence[Message]) -> list[Message]:
    """Media that tools returned, in a user message right after the results: tool messages are text.

    Where several results of one turn have media, those of each are led by the name of its tool and the id of its call.
    """
    if not any(message.role == "tool" for message in messages):
        return list(messages)
    tools = tools_of_results(messages)
    arranged: list[Message] = []
    turn: list[tuple[Message, str]] = []
    for message, tool in zip(messages, tools, strict=True):
        if message.role == "tool":
            turn.append((message, tool))
            arranged.append(_without_media(message))
            continue
        arranged += _media_messages(turn)
        turn = []
        arranged.append(message)
    return arranged + _media_messages(turn)


def _without_media(message: Message) -> Message:
    texts = tuple(part for part in message.parts if isinstance(part, str))
    return message if len(texts) == len(message.parts) else replace(message, parts=texts)


def _media_messages(results: Sequence[tuple[Message, str]]) -> list[Message]:
    """A user message with the media of a turn's results, each with the name of its tool; none where they have none."""
    parts: list[Part] = []
    last: int | None = None
    shown = [
        (result, tool, media)
        for result, tool in results
        if (media := [part for part in result.parts if isinstance(part, Media)])
    ]
    for result, tool, media in shown:
        if len(shown) > 1:
            parts.append(f"Returned by {tool} (call {result.tool_call_id or ''}):")
        parts += media
        last = result.index
    return [Message(role="user", parts=tuple(parts), index=last)] if parts else []
