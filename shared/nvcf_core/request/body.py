"""The body as bytes; large media are encoded while they are sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from nvcf_core.exchange import Body, ByteSource
from nvcf_core.media.delivery import ContentKey, Delivery
from nvcf_core.media.sources import Base64Source, BytesSource
from nvcf_core.media.tags import contains_tag, escape_media_tags
from nvcf_core.messages import TAGS, Message, Part, ToolCall
from nvcf_core.models.spec import ModelSpec
from nvcf_core.tools.names import ToolNames
from nvcf_core.values import value_class
from nvcf_core.wire import dump_json, dump_plain_json

__all__ = ["JOINED_UP_TO", "Json", "MessageEncoder", "StreamedBody"]

Json = dict[str, Any]

JOINED_UP_TO = 1 << 18
"""Bytes of a body up to which it is sent at once, where no file has to be read for it."""

_MARK = secrets.token_hex(16)
"""Stands in for base64 text, and for all the messages, in the JSON. Random, and never sent: no text can hold it."""

_IN_MEMORY = (BytesSource, Base64Source)
"""Sources that can be read without blocking. Files are read where the body is sent, async in a thread."""


@value_class
class StreamedBody:
    """A body whose inline media stay where they are: they are encoded in chunks while it is sent."""

    pieces: tuple[bytes | ByteSource, ...]
    length: int

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece.base64()


class MessageEncoder:
    """Encodes the messages of one request."""

    def __init__(
        self, spec: ModelSpec, names: ToolNames, uploaded: Mapping[ContentKey, str]
    ) -> None:
        self._spec = spec
        self._names = names
        self._uploaded = uploaded
        """The asset ids of what was uploaded for this request."""
        self._sources: list[ByteSource] = []

    def body(self, messages: Sequence[Message], about: Mapping[str, Any]) -> bytes | Body:
        """The whole body: `about`, and the messages.

        Raises:
            InvalidRequestError: something in it cannot be JSON.
        """
        # Everything in the messages is made here or was checked to be text. The other fields may hold anything.
        encoded = dump_plain_json({"messages": [self.message(message) for message in messages]})
        head = {key: about[key] for key in ("model",) if key in about}
        content = dump_json({**head, "messages": _MARK, **about})
        place = b'"messages":"%s"' % _MARK.encode()
        return self._with_sources(content.replace(place, encoded[1:-1], 1))

    def message(self, message: Message) -> Json:
        """One message."""
        encoded: Json = {"role": message.role, "content": self._content(message)}
        if message.tool_calls and not encoded["content"]:
            encoded["content"] = None  # Some servers refuse an empty text beside calls.
        if message.name and "name" in self._spec.message_keys:
            encoded["name"] = message.name
        if (
            message.reasoning
            and "reasoning_content" in self._spec.message_keys
            and message.role == "assistant"
        ):
            encoded["reasoning_content"] = message.reasoning
        if message.tool_calls:
            encoded["tool_calls"] = [self._call(call) for call in message.tool_calls]
        if message.role == "tool":
            encoded["tool_call_id"] = message.tool_call_id
        return encoded

    def _call(self, call: ToolCall) -> Json:
        function = {"name": self._names.to_wire(call.name), "arguments": call.arguments}
        return {"id": call.id, "type": "function", "function": function}

    def _content(self, message: Message) -> str | list[Json]:
        text = message.parts[0] if len(message.parts) == 1 else None
        if isinstance(text, str) and (message.role != "user" or not contains_tag(text)):
            return text  # As comes out below, and nearly every message is such.
        media = [_delivery(part) for part in message.parts if not isinstance(part, str)]
        read = self._spec.media or self._spec.html_tags
        if not media and (message.role != "user" or not read):
            return message.text
        if any(delivery.method in ("asset", "upload") for delivery in media):
            return self._tagged(message)
        literal = any(isinstance(part, str) and contains_tag(part) for part in message.parts)
        if not media and not literal and len(message.parts) <= 1:
            return message.text
        # In the list form no tag is read out of a text.
        return [self._part(part) for part in message.parts]

    def _tagged(self, message: Message) -> str:
        """The string form, the only one in which an asset can be referenced."""
        content = ""
        for piece in filter(None, self._pieces(message)):
            touching = not content or content[-1].isspace() or piece[0].isspace()
            content += piece if touching else f" {piece}"
        return content

    def _pieces(self, message: Message) -> Iterator[str]:
        """The media as tags, and the texts between them without any."""
        texts: list[str] = []
        for part in message.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            # Joined before they are escaped, lest two texts make a tag together.
            yield escape_media_tags("\n".join(texts))
            texts = []
            link = self._link(_delivery(part))
            yield f'<{TAGS[part.kind]} src="{_attribute(link)}" />'
        yield escape_media_tags("\n".join(texts))

    def _part(self, part: Part) -> Json:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        delivery = _delivery(part)
        if (
            delivery.kind == "audio"
            and delivery.method == "inline"
            and self._spec.audio_part == "input_audio"
        ):
            return {"type": "input_audio", "input_audio": self._input_audio(delivery)}
        name = f"{delivery.kind}_url"
        target = {"url": self._link(delivery)}
        if delivery.detail is not None and not self._spec.documented:
            target["detail"] = delivery.detail
        return {"type": name, name: target}

    def _input_audio(self, delivery: Delivery) -> Json:
        name = (delivery.mime_type or "").partition("/")[2]
        return {
            "data": self._placeholder(delivery),
            "format": "mp3" if name == "mpeg" else name,
        }

    def _link(self, delivery: Delivery) -> str:
        if delivery.method == "link":
            return delivery.url or ""
        if delivery.method == "inline":
            return f"data:{delivery.mime_type};base64,{self._placeholder(delivery)}"
        upload = delivery.upload
        asset_id = delivery.asset_id if upload is None else self._uploaded[upload.key]
        return f"data:{delivery.mime_type};asset_id,{asset_id}"

    def _placeholder(self, delivery: Delivery) -> str:
        if delivery.source is None:
            raise AssertionError("inline media have bytes")
        self._sources.append(delivery.source)
        return f"{_MARK}:{len(self._sources) - 1}:"

    def _with_sources(self, text: bytes) -> bytes | Body:
        if not self._sources:
            return text
        pieces: list[bytes | ByteSource] = []
        length = 0
        for number, piece in enumerate(re.split(rb"%s:(\d+):" % _MARK.encode(), text)):
            if number % 2:
                source = self._sources[int(piece)]
                pieces.append(source)
                length += 4 * ((source.length + 2) // 3)
            else:
                pieces.append(piece)
                length += len(piece)
        body = StreamedBody(tuple(pieces), length)
        in_memory = all(isinstance(source, _IN_MEMORY) for source in self._sources)
        return b"".join(body.chunks()) if in_memory and length <= JOINED_UP_TO else body


def _delivery(part: Part) -> Delivery:
    if not isinstance(part, Delivery):
        raise AssertionError("the delivery of all media is planned before they are encoded")
    return part


def _attribute(url: str) -> str:
    """A url as the value of a tag's attribute."""
    return url.replace('"', "%22").replace("<", "%3C").replace(">", "%3E")
