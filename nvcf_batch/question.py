"""How a row becomes a conversation: which columns hold the text, the messages and the media."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nvcf_core import Media, MediaKind, Message
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.references import media_from_url
from nvcf_core.media.sources import BytesSource, PathSource
from nvcf_core.request.past_calls import past_calls

from .template import column_names, fill_in

__all__ = ["Question", "check_column"]

_PART_KINDS: Mapping[str, MediaKind] = {
    "image_url": "image",
    "audio_url": "audio",
    "video_url": "video",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The columns that a request is made of.

    Args:
        prompt: a column, or a template with columns in braces.
        messages: a column of conversations, as lists of objects with `role` and `content`, or as JSON text.
        media: kinds and columns of images, audio and video, each bytes, a path, a url, or a list of these.
    """

    prompt: str | None = None
    messages: str | None = None
    media: tuple[tuple[MediaKind, str], ...] = ()

    def columns(self, existing: Sequence[str]) -> list[str]:
        """The columns that are read.

        Args:
            existing: the columns of the source.

        Raises:
            InvalidRequestError: one of them does not exist, or nothing would be asked.
        """
        if self.prompt is None and self.messages is None and not self.media:
            raise InvalidRequestError(
                "nothing is asked: give prompt, messages, image, audio or video", field="prompt"
            )
        wanted = [("prompt", name) for name in self._prompt_columns(existing)]
        wanted += [("messages", self.messages)] if self.messages is not None else []
        wanted += [(kind, name) for kind, name in self.media]
        for field, name in wanted:
            check_column(name, field, existing)
        return list(dict.fromkeys(name for _, name in wanted))

    def conversation(self, row: Mapping[str, Any]) -> list[Message]:
        """The messages that a row asks with.

        Raises:
            InvalidRequestError: a value of the row cannot be sent.
        """
        messages = [] if self.messages is None else _messages(row[self.messages], self.messages)
        parts: list[str | Media] = [
            media for kind, name in self.media for media in _media(row[name], kind, name)
        ]
        text = self._text(row)
        if text is not None:
            parts.append(text)
        if not parts:
            return messages
        if text is None and messages and messages[-1].role == "user":
            last = messages[-1]
            return [*messages[:-1], replace(last, parts=(*parts, *last.parts))]
        return [*messages, Message(role="user", parts=tuple(parts))]

    def _prompt_columns(self, existing: Sequence[str]) -> list[str]:
        if self.prompt is None:
            return []
        if self.prompt in existing:
            return [self.prompt]
        try:
            names = column_names(self.prompt)
        except ValueError as error:
            raise InvalidRequestError(f"prompt: {error}", field="prompt") from None
        return names or [self.prompt]

    def _text(self, row: Mapping[str, Any]) -> str | None:
        if self.prompt is None:
            return None
        if self.prompt not in row:
            return fill_in(self.prompt, row)
        value = row[self.prompt]
        if value is None:
            raise InvalidRequestError(f"the column {self.prompt!r} is null", field="prompt")
        return value if isinstance(value, str) else str(value)


def check_column(name: str, field: str, existing: Sequence[str]) -> None:
    """Make sure that a column exists.

    Raises:
        InvalidRequestError: it does not.
    """
    if name not in existing:
        raise InvalidRequestError(
            f"{field}: there is no column {name!r}; the source has {', '.join(map(repr, existing))}",
            field=field,
        )


def _media(value: Any, kind: MediaKind, name: str) -> list[Media]:
    """The media of one cell: none, one, or a list of them."""
    if value is None:
        return []
    if isinstance(value, list):
        return [media for item in value for media in _media(item, kind, name)]
    if isinstance(value, Mapping):  # As the datasets of Hugging Face have it.
        found = value.get("bytes") or value.get("path") or value.get("url")
        return _media(found, kind, name)
    if isinstance(value, bytes | bytearray | memoryview):
        return [Media(kind=kind, source=BytesSource(bytes(value)))]
    if not isinstance(value, str):
        raise InvalidRequestError(
            f"the column {name!r} has bytes, a path or a url, and not {type(value).__name__}",
            field=kind,
        )
    if value[:8].lower().startswith(("http://", "https://", "data:")):
        return [media_from_url(value, kind=kind, field=kind)]
    return [Media(kind=kind, source=PathSource.from_path(os.path.expanduser(value), field=kind))]


def _messages(value: Any, name: str) -> list[Message]:
    """The conversation of one cell."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidRequestError(
                f"the column {name!r} is not JSON: {error}", field="messages"
            ) from None
    if not isinstance(value, list) or not value:
        raise InvalidRequestError(
            f"the column {name!r} must be a list of messages, and not empty", field="messages"
        )
    return [_message(message, number) for number, message in enumerate(value)]


def _message(value: Any, number: int) -> Message:
    field = f"messages[{number}]"
    if not isinstance(value, Mapping) or not isinstance(value.get("role"), str):
        raise InvalidRequestError(f"{field} must be an object with role and content", field=field)
    calls = value.get("tool_calls") or ()
    functions = [(call.get("id"), call.get("function") or {}) for call in calls]
    return Message(
        role=value["role"],
        parts=tuple(_parts(value.get("content"), field)),
        name=value.get("name"),
        reasoning=value.get("reasoning_content"),
        tool_call_id=value.get("tool_call_id"),
        tool_calls=past_calls(
            [(id, function.get("name"), function.get("arguments")) for id, function in functions],
            number,
        ),
    )


def _parts(content: Any, field: str) -> list[str | Media]:
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise InvalidRequestError(f"{field}.content must be text or a list", field=field)
    return [_part(part, field) for part in content]


def _part(part: Any, field: str) -> str | Media:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    if isinstance(kind, str) and kind in _PART_KINDS:
        url = part.get(kind)
        url = url.get("url") if isinstance(url, Mapping) else url
        if isinstance(url, str):
            return media_from_url(url, kind=_PART_KINDS[kind], field=field)
    raise InvalidRequestError(
        f"{field}.content has a part that is neither text nor image_url, audio_url or video_url",
        field=field,
    )
