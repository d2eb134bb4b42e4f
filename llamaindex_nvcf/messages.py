"""Outbound: LlamaIndex's messages, converted to the core's."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO, IOBase
from typing import Any, BinaryIO, TypeAlias, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from nvcf_core import Media, MediaKind, Message, Part
from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import ByteSource
from nvcf_core.media.formats import is_text_type
from nvcf_core.media.references import media_from_url
from nvcf_core.media.sources import Base64Source, BytesSource, FileSource, PathSource
from nvcf_core.request.past_calls import PastCall, past_call, past_calls

MediaBlock: TypeAlias = ImageBlock | AudioBlock | VideoBlock
"""The blocks that carry an image, audio or video."""

_RENAMED: Mapping[MessageRole, str] = {
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.DEVELOPER: "system",
    MessageRole.FUNCTION: "tool",
}
"""Roles that the service knows under another name."""
_ROLES: Mapping[MessageRole, str] = {role: _RENAMED.get(role, role.value) for role in MessageRole}
_NO_CONTENT = (ThinkingBlock, ToolCallBlock, CachePoint)
"""Blocks that are not part of the content: the first two have fields of their own, the third is a
hint to a cache that the service does not have."""
_AUDIO_MIMES: Mapping[str, str] = {"mp3": "audio/mpeg", "x-wav": "audio/wav", "m4a": "audio/mp4"}
"""Where `AudioBlock.format`, a file's ending, is not the second half of its media type."""


Warn: TypeAlias = Callable[[str, str], None]
"""Takes a reason, for which it warns only once, and the message."""


def to_core_messages(messages: Sequence[ChatMessage], warn: Warn) -> list[Message]:
    """Translate a conversation.

    Args:
        messages: the conversation.
        warn: called for what is left out, or replaced by a line of text.

    Raises:
        InvalidRequestError: a message is not a `ChatMessage`; or a block of the user's or of the system cannot be
            sent: it is empty, of an unknown class, or a document that is not text.
    """
    return [
        _text_only(message, number) or _message(message, number, warn)
        for number, message in enumerate(messages)
    ]


def _text_only(message: ChatMessage, number: int) -> Message | None:
    """A message that says nothing but a text, to the same result as by `_message`, at a third of what that costs.

    Nearly all messages of a long conversation are such, and all of it is converted again at every turn.

    Returns:
        None: it is, or may be, something else.
    """
    if type(message) is not ChatMessage or message.additional_kwargs or len(message.blocks) != 1:
        return None
    block = message.blocks[0]
    if type(block) is not TextBlock or not block.text:
        return None
    return Message(role=_ROLES[message.role], parts=(block.text,), index=number)


def _message(message: ChatMessage, number: int, warn: Warn) -> Message:
    field = f"messages[{number}]"
    if not isinstance(message, ChatMessage):
        raise InvalidRequestError(
            f"{field} is not a ChatMessage, but {type(message).__name__}", field=field
        )
    role, extra = _ROLES[message.role], message.additional_kwargs
    return Message(
        role=role,
        parts=tuple(_parts_or_lines(message.blocks, role, f"{field}.blocks", warn)),
        name=_text(extra.get("name")),
        tool_calls=past_calls(_tool_calls(message, field), number),
        tool_call_id=_text(extra.get("tool_call_id")) if role == "tool" else None,
        reasoning=_reasoning(message) if role == "assistant" else None,
        index=number,
    )


def _parts_or_lines(
    blocks: Sequence[BaseContentBlock], role: str, field: str, warn: Warn
) -> Iterator[Part]:
    """The content; of what cannot be sent, an answer loses it and a tool's result has a line of text in its place."""
    for place, block in enumerate(blocks):
        where = f"{field}[{place}]"
        if role == "assistant" and _is_encrypted(block):
            warn(
                "foreign_blocks", f"{where}: encrypted reasoning is left out of the earlier answer"
            )
        try:
            yield from list(_parts(block, role, where))
        except InvalidRequestError as error:
            if role == "assistant":
                warn("foreign_blocks", f"{error}. It is left out of the earlier answer")
            elif role == "tool":
                line = f"[{_describe_block_type(block)}; not shown: this model cannot read it]"
                warn("unseen_media", f"{error}. {line} is sent in its place")
                yield line
            else:
                raise


def _is_encrypted(block: BaseContentBlock) -> bool:
    """Return whether it is reasoning that its maker alone can read: something is kept of it, and no text."""
    return (
        isinstance(block, ThinkingBlock)
        and not block.content
        and bool(block.additional_information)
    )


def _describe_block_type(block: BaseContentBlock) -> str:
    mime = getattr(block, "document_mimetype", None)
    kind = str(getattr(block, "block_type", type(block).__name__))
    return ", ".join(filter(None, (kind, mime)))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _parts(block: BaseContentBlock, role: str, field: str) -> Iterator[Part]:
    if isinstance(block, TextBlock):
        if block.text:
            yield block.text
    elif isinstance(block, ImageBlock | AudioBlock | VideoBlock):
        yield _media(block, field)
    elif isinstance(block, DocumentBlock):
        yield _document_text(block, field)
    elif isinstance(block, CitableBlock):
        for place, inner in enumerate(block.content):
            yield from _parts(inner, role, f"{field}.content[{place}]")
    elif isinstance(block, CitationBlock):
        # In an answer it says where the text comes from, and is not part of what was said.
        if role != "assistant":
            yield from _parts(block.cited_content, role, f"{field}.cited_content")
    elif not isinstance(block, _NO_CONTENT):
        raise InvalidRequestError(f"{field}: {type(block).__name__} cannot be sent", field=field)


def _media(block: MediaBlock, field: str) -> Media:
    """Return a media item from its bytes, its file or its URL: the first that is set, as LlamaIndex chooses."""
    kind, data, mime = _described(block)
    detail = block.detail if isinstance(block, ImageBlock) else None
    if data is not None:
        return Media(kind=kind, source=_source(data, field), mime_type=mime, detail=detail)
    if block.path is not None:
        source = PathSource.from_path(block.path, field=field)
        return Media(kind=kind, source=source, mime_type=mime, detail=detail)
    if block.url is not None:
        media = media_from_url(str(block.url), kind=kind, field=field, mime=mime)
        return media if detail is None else _detailed(media, detail)
    raise InvalidRequestError(f"{field}: the {kind} has neither data, path nor url", field=field)


def _detailed(media: Media, detail: str) -> Media:
    return Media(
        kind=media.kind,
        source=media.source,
        url=media.url,
        asset_id=media.asset_id,
        mime_type=media.mime_type,
        detail=detail,
    )


def _described(block: MediaBlock) -> tuple[MediaKind, bytes | IOBase | None, str | None]:
    """Kind, data and declared media type."""
    if isinstance(block, ImageBlock):
        return "image", block.image, block.image_mimetype
    if isinstance(block, VideoBlock):
        return "video", block.video, block.video_mimetype
    ending = block.format
    if ending is None or "/" in ending:
        return "audio", block.audio, ending
    return "audio", block.audio, _AUDIO_MIMES.get(ending, f"audio/{ending}")


def _source(data: bytes | IOBase, field: str) -> ByteSource:
    """The bytes of a block, which LlamaIndex keeps as base64; a stream is read from its start."""
    if isinstance(data, bytes):
        return Base64Source.from_text(data.decode("ascii", errors="replace"), field=field)
    if isinstance(data, BytesIO):
        # Its bytes are in memory already, and this way two calls may read them at once.
        return BytesSource(data.getvalue())
    if data.seekable():
        data.seek(0)
    return FileSource.from_file(cast(BinaryIO, data), field=field)


def _document_text(block: DocumentBlock, field: str) -> str:
    mime = block.document_mimetype
    if mime and not is_text_type(mime):
        raise InvalidRequestError(
            f"{field}: the models read no documents of type {mime}; "
            "give its text, or its pages as images",
            field=field,
        )
    try:
        return _document_bytes(block, field).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequestError(
            f"{field}: the document is not text (UTF-8); give its text, or its pages as images",
            field=field,
        ) from None


def _document_bytes(block: DocumentBlock, field: str) -> bytes:
    if isinstance(block.data, bytes):
        return base64.b64decode(block.data)
    if isinstance(block.data, IOBase):
        file = cast(BinaryIO, block.data)
        file.seek(0)
        return file.read()
    if block.path is None:
        what = (
            "no document is fetched from a url"
            if block.url
            else "the document has neither data nor path"
        )
        raise InvalidRequestError(f"{field}: {what}; give its text", field=field)
    try:
        with open(block.path, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise InvalidRequestError(
            f"{field}: the document cannot be read: {error}", field=field
        ) from error


def _reasoning(message: ChatMessage) -> str | None:
    thoughts = [
        block.content
        for block in message.blocks
        if isinstance(block, ThinkingBlock) and block.content
    ]
    if thoughts:
        return "\n\n".join(thoughts)
    kept = map(message.additional_kwargs.get, ("reasoning_content", "reasoning", "thinking"))
    return next(filter(None, map(_text, kept)), None)


def reads_files(messages: Sequence[ChatMessage]) -> bool:
    """Return whether a file has to be read to send these messages, which may block."""
    # What is not a message is refused where it is converted.
    return any(
        _reads_file(block) for message in messages for block in getattr(message, "blocks", ())
    )


def _reads_file(block: BaseContentBlock) -> bool:
    if isinstance(block, CitableBlock):
        return any(_reads_file(inner) for inner in block.content)
    if isinstance(block, CitationBlock):
        return _reads_file(block.cited_content)
    if isinstance(block, DocumentBlock):
        data: object = block.data
    elif isinstance(block, ImageBlock | AudioBlock | VideoBlock):
        data = _described(block)[1]
    else:
        return False
    is_file = isinstance(data, IOBase) and not isinstance(data, BytesIO)
    return is_file or (data is None and block.path is not None)


def tool_calls_of(message: ChatMessage) -> list[tuple[str, str, Any]]:
    """Id, name and arguments (JSON text or an object) of every tool call in an answer.

    A call without an id gets one by its place, the same at every reading.

    Raises:
        InvalidRequestError: `additional_kwargs["tool_calls"]` holds something that is not a tool call.
    """
    return [
        (call_id or f"call_{place}", name or "", arguments)
        for place, (call_id, name, arguments) in enumerate(_tool_calls(message, "the answer"))
    ]


def _tool_calls(message: ChatMessage, field: str) -> list[PastCall]:
    """The calls of an answer, whoever's model gave it.

    They are in its blocks, or, in answers of some other models, in `additional_kwargs` alone.
    """
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if blocks:
        return [(block.tool_call_id, block.tool_name, block.tool_kwargs) for block in blocks]
    foreign = message.additional_kwargs.get("tool_calls") or []
    if not foreign and (legacy := message.additional_kwargs.get("function_call")):
        foreign = [legacy]  # OpenAI's form before there were several calls.
    if not isinstance(foreign, Sequence):
        raise InvalidRequestError(
            f"{field}.additional_kwargs: tool_calls is not a list", field=field
        )
    return [_foreign_call(call, field) for call in foreign]


def _foreign_call(call: object, field: str) -> PastCall:
    """A call as a provider's API has it, a dict or an object."""
    if found := past_call(call):
        return found
    kind = type(call).__name__
    raise InvalidRequestError(
        f"{field}.additional_kwargs: {kind} in tool_calls is not a tool call", field=field
    )
