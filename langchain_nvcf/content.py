"""Content blocks of every dialect that LangChain messages are written in, read as text, media and reasoning."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from nvcf_core.errors import InvalidRequestError as CoreInvalidRequestError
from nvcf_core.media.formats import MIME_TYPES, is_text_type, kind_of_mime_type, sniff_format
from nvcf_core.media.references import asset_reference, media_from_url
from nvcf_core.media.sources import Base64Source, BytesSource, first_bytes
from nvcf_core.messages import Media, MediaKind, Part

from .errors import InvalidRequestError
from .provider_parts import HINT, Block, add_block_type

Reader: TypeAlias = Callable[[Block, str], Part]
"""Reads a block that stands at a place such as `messages[2].content[0]`."""

Warn: TypeAlias = Callable[[str, str], None]
"""Takes a reason, for which it warns only once, and the message."""

_PDF = "application/pdf"

_DATA_KEYS = frozenset(("base64", "data", "blob", "file_data", "bytes"))
"""Where a block keeps what is too long for a model to read."""


def parts_of(content: object, place: str) -> list[Part]:
    """The text and media of a message's content, in order.

    Args:
        content: a string, None, or a list of strings and blocks.
        place: where the message stands, e.g. `"messages[2]"`.

    Raises:
        InvalidRequestError: a block is of a type that no model takes, or is not as its type wants it.
    """
    if isinstance(content, str):
        return [content] if content else []
    return [part_of(block, where) for where, block in blocks_of(content, place)]


def blocks_of(content: object, place: str) -> list[tuple[str, Block]]:
    """The blocks of a list content, each with its place. A plain string is a text block.

    Raises:
        InvalidRequestError: the content is not a list, or an entry is neither text nor a block.
    """
    if content is None or isinstance(content, str):
        content = [content] if content else []
    if not isinstance(content, list | tuple):
        raise invalid_block(
            place, f"the content is a {type(content).__name__}, neither text nor a list"
        )
    blocks = [
        (where := f"{place}.content[{number}]", _block(entry, where))
        for number, entry in enumerate(content)
    ]
    return [(where, block) for where, block in blocks if block.get("type") != HINT]


def answer_part(block: Block, place: str, warn: Warn) -> Part | None:
    """One block of an earlier answer, None where only the provider that made it can read it."""
    try:
        return part_of(block, place)
    except CoreInvalidRequestError as error:
        warn("foreign_blocks", f"{error}. It is left out of the earlier answer")
        return None


def result_parts(content: object, place: str, warn: Warn) -> list[Part]:
    """The text and media that a tool returned; whatever else it is, as JSON text.

    Args:
        content: a string, None, or a list of strings, blocks and the tool's own objects.
        place: where the message stands.
        warn: called for files that no model reads.
    """
    if isinstance(content, str):
        return [content] if content else []
    entries = content if isinstance(content, list | tuple) else [content]
    parts = (
        _result_part(entry, f"{place}.content[{number}]", warn)
        for number, entry in enumerate(entries)
    )
    return [part for part in parts if part is not None]


def _result_part(entry: Any, place: str, warn: Warn) -> Part | None:
    if entry is None:
        return None
    if isinstance(entry, dict | str):
        block = _block(entry, place)
        if block.get("type") == HINT:
            return None
        try:
            return part_of(block, place)
        except CoreInvalidRequestError as error:
            about = _flat(block)
            if type_or_keys(block) in _READERS and _DATA_KEYS & set(about):
                facts = ", ".join(filter(None, (type_or_keys(block), _mime_of(about))))
                line = f"[{facts}; not shown: this model cannot read it]"
                warn("unseen_media", f"{error}. {line} is sent in its place")
                return line
    return json.dumps(entry, ensure_ascii=False, default=str)


def part_of(block: Block, place: str) -> Part:
    """Return one block as text or a media item.

    Raises:
        InvalidRequestError: no model takes such a block. The message names its place and type.
    """
    kind = type_or_keys(block)
    reader = _READERS.get(kind)
    if reader is None:
        raise invalid_block(place, f"a block of type {kind!r} cannot be sent")
    return reader(block, place)


def type_or_keys(block: Block) -> str:
    """The type of a block; of one that has none, the names of its keys (`json` of `{"json": …}`)."""
    kind = block.get("type")
    return ", ".join(map(str, block)) if kind is None else str(kind)


def reasoning_of(block: Block) -> str | None:
    """The reasoning in a block, in any provider's form, None where it is not a reasoning block.

    Reasoning that is encrypted for its own maker has no text.
    """
    match type_or_keys(block):
        case "reasoning":
            return (
                _text_or_none(block.get("reasoning"))
                or _text_or_none(block.get("text"))
                or _texts(block.get("summary"))
                or _texts(block.get("content"))
            )
        case "thinking":
            return _text_or_none(block.get("thinking")) or _texts(block.get("thinking"))
        case "redacted_thinking":
            return ""
        case "reasoning_content":
            inner = block.get("reasoning_content")
            return _texts([inner]) if isinstance(inner, dict) else _text_or_none(inner) or ""
    return None


def is_encrypted(block: Block) -> bool:
    """Return whether a block is reasoning that its maker alone can read."""
    return type_or_keys(block) == "redacted_thinking" or bool(block.get("encrypted_content"))


def _texts(entries: object) -> str:
    """The texts of a list such as `[{"type": "summary_text", "text": …}]`."""
    found = entries if isinstance(entries, list) else []
    return "\n\n".join(
        entry["text"]
        for entry in found
        if isinstance(entry, dict) and _text_or_none(entry.get("text"))
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _block(entry: Any, place: str) -> Block:
    if isinstance(entry, str):
        return {"type": "text", "text": entry}
    if not isinstance(entry, dict):
        raise invalid_block(
            place, f"a content entry is text or a block, not a {type(entry).__name__}"
        )
    block: dict[str, Any] = entry
    while block.get("type") == "non_standard" and isinstance(block.get("value"), dict):
        block = block["value"]
    return add_block_type(block)


def _text(block: Block, place: str) -> str:
    kind = type_or_keys(block)
    text = block.get("refusal" if kind == "refusal" else "text")
    if not isinstance(text, str):
        raise invalid_block(place, f"the {kind} block has no text")
    return text


def _file(block: Block, place: str) -> Part:
    """A file of any kind: an image, audio or video, or a document."""
    about = _flat(block)
    kind = kind_of_mime_type(_mime_of(about)) or _kind_of_data(about, place)
    return _document(block, place) if kind is None else _media(kind, about, place)


def _kind_of_data(about: Block, place: str) -> MediaKind | None:
    """Detect the kind of a file from its bytes: langchain-core declares every file in OpenAI's form as PDF."""
    data = _data_of(about)
    declared = _mime_of_document(about)
    if not isinstance(data, str) or _is_data_url(data) or is_text_type(declared):
        return None
    found = sniff_format(first_bytes(Base64Source.from_text(data, field=place)))
    return kind_of_mime_type(MIME_TYPES[found]) if found else None


def _document(block: Block, place: str) -> str:
    """A document whose content is text. Others, such as PDF, no model takes."""
    about = _flat(block)
    mime = _mime_of_document(about) or ""
    if about.get("type") == "content":
        return "\n".join(_text_parts(about.get("content"), place))
    is_plain = about.get("type") == "text"
    if is_plain or about["type"] == "text-plain" or is_text_type(mime):
        text, data = about.get("text"), _data_of(about)
        if isinstance(text, str):
            return text
        if isinstance(data, str) and _is_data_url(data):
            data = data.partition(",")[2]
        if isinstance(data, str):
            return data if is_plain else _decoded(data, place)
    of_type = f" of type {mime}" if mime else ""
    raise invalid_block(
        place,
        f"a {block['type']} block{of_type} cannot be sent: the models take text, images, audio and video. "
        "Give a document's text",
    )


def _mime_of_document(about: Block) -> str | None:
    """The media type; the name's where langchain-core says PDF, as it does of every file in OpenAI's form."""
    declared, name = _mime_of(about), about.get("filename")
    if declared == _PDF and isinstance(name, str):
        return mimetypes.guess_type(name)[0] or declared
    return declared


def _text_parts(content: object, place: str) -> list[str]:
    """The texts of a content that may hold nothing else."""
    parts = parts_of(content, place)
    if not all(isinstance(part, str) for part in parts):
        raise invalid_block(place, "a document of other content than text cannot be sent")
    return [part for part in parts if isinstance(part, str)]


def _resource(block: Block, place: str) -> Part:
    """Read what an MCP tool embeds: text, or a file."""
    about = _flat(block)
    text = about.get("text")
    return text if isinstance(text, str) else _file(block, place)


def _flat(block: Block) -> dict[str, Any]:
    """A block with what it keeps inside: Anthropic in `source`, OpenAI in `file`, MCP in `resource`, LangChain in
    `extras`. The source's type wins."""
    extras = block.get("extras")  # langchain-core puts the type of a v0 block by id there.
    about = {**extras, **block} if isinstance(extras, dict) else dict(block)
    for key in ("source", "file", "resource"):
        if isinstance(inner := block.get(key), dict):
            about |= inner
    return about


def _mime_of(about: Block) -> str | None:
    """The declared media type, under the name that each dialect has for it, or that of a data url."""
    for key in ("mime_type", "media_type", "mimeType"):
        if isinstance(mime := about.get(key), str) and mime:
            return mime
    url = about.get("file_data") or about.get("url")
    if isinstance(url, str) and _is_data_url(url):
        return url[5:].partition(",")[0].partition(";")[0] or None
    return None


def _is_data_url(text: str) -> bool:
    return text[:5].lower() == "data:"


def _data_of(about: Block) -> Any:
    return next(
        (
            about[key]
            for key in ("base64", "data", "blob", "file_data")
            if about.get(key) is not None
        ),
        None,
    )


def _json(block: Block, place: str) -> str:
    try:
        return json.dumps(block.get("json"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid_block(place, f"the json block holds no JSON: {error}") from None


def _search_result(block: Block, place: str) -> str:
    texts = _text_parts(block.get("content"), place)
    return "\n".join(
        str(line) for line in (block.get("title"), block.get("source"), *texts) if line
    )


def _decoded(data: str, place: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid_block(
            place, f"the text document is not base64 of UTF-8 text: {error}"
        ) from None


def _media(kind: MediaKind, about: Block, place: str) -> Media:
    """Return a media item from its bytes, its URL or its id, wherever a dialect keeps them."""
    mime, data = _mime_of(about), _data_of(about)
    url = about.get("url") or about.get("file_uri") or about.get("fileUri")
    if isinstance(data, str) and _is_data_url(data):
        data, url = None, data
    if isinstance(data, bytes):
        return Media(kind=kind, source=BytesSource(data), mime_type=mime)
    if isinstance(data, str):
        return Media(kind=kind, source=Base64Source.from_text(data, field=place), mime_type=mime)
    if isinstance(url, str):
        return media_from_url(url, kind=kind, field=place, mime=mime)
    file_id = about.get("id") if about.get("source_type") == "id" else about.get("file_id")
    if isinstance(file_id, str):
        return asset_reference(file_id, kind=kind, mime=mime, field=place)
    raise invalid_block(place, f"the {kind} block has neither base64, nor url, nor file_id")


def _media_reader(kind: MediaKind) -> Reader:
    """Reads the `image`, `audio` and `video` blocks of LangChain (v0 and v1), of Anthropic and of MCP."""

    return lambda block, place: _media(kind, _flat(block), place)


def _url_reader(kind: MediaKind, key: str) -> Reader:
    """Reads `image_url`, `audio_url` and `video_url`, whose value is a url or an object that holds one."""

    def read(block: Block, place: str) -> Media:
        value = block.get(key)
        about = value if isinstance(value, dict) else {"url": value}
        url = about.get("url")
        if not isinstance(url, str):
            raise invalid_block(place, f"the {type_or_keys(block)} block has no url")
        media = media_from_url(url, kind=kind, field=place, mime=block.get("mime_type"))
        detail = about.get("detail") or block.get("detail")
        return replace(media, detail=detail) if isinstance(detail, str) else media

    return read


def _input_audio(block: Block, place: str) -> Media:
    audio = block.get("input_audio")
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        raise invalid_block(
            place, 'an input_audio block is {"input_audio": {"data": base64, "format": "wav"}}'
        )
    form = audio.get("format")
    mime = f"audio/{form}" if isinstance(form, str) and form else None
    return Media(
        kind="audio", source=Base64Source.from_text(audio["data"], field=place), mime_type=mime
    )


_READERS: Mapping[str, Reader] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "refusal": _text,
    "text-plain": _document,
    "document": _document,
    "file": _file,
    "input_file": _file,
    "media": _file,
    "resource": _resource,
    "json": _json,
    "search_result": _search_result,
    "image": _media_reader("image"),
    "audio": _media_reader("audio"),
    "video": _media_reader("video"),
    "image_url": _url_reader("image", "image_url"),
    "audio_url": _url_reader("audio", "audio_url"),
    "video_url": _url_reader("video", "video_url"),
    "input_image": _url_reader("image", "image_url"),
    "input_audio": _input_audio,
}


def invalid_block(place: str, reason: str) -> InvalidRequestError:
    """The error that says why what stands at a place cannot be sent."""
    return InvalidRequestError(f"{place}: {reason}", field=place)
