"""Parts of a message as Bedrock and Gemini have them, where a key says what a part is, as blocks that have a type."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["HINT", "Block", "add_block_type", "legacy_id"]

Block: TypeAlias = Mapping[str, Any]
"""One entry of a message's list content."""

HINT = "cache_point"
"""The type of a block that says nothing to the model: where Bedrock is to cache."""

_BESIDE = frozenset(
    (
        "thought",
        "thoughtSignature",
        "thought_signature",
        "videoMetadata",
        "video_metadata",
        "mediaResolution",
        "media_resolution",
    )
)
"""What Gemini says of a part beside the part itself."""

_TEXT_DOCUMENTS: Mapping[str, str] = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
}
"""Bedrock's formats of documents that are text."""

_MEDIA_TYPES: Mapping[str, str] = {"mp3": "audio/mpeg", "mov": "video/quicktime"}
"""Of Bedrock's formats that are not the second half of their media type."""


def add_block_type(part: Block) -> Block:
    """A part of Bedrock's or Gemini's as a block with a `type`; anything else as it is."""
    if "type" in part:
        return _of_its_own_type(part)
    keys = [key for key in part if key not in _BESIDE]
    if len(keys) != 1:
        return part
    [key] = keys
    inner = part[key]
    if key == "text" and isinstance(inner, str):
        kind = "thinking" if part.get("thought") is True else "text"
        return {"type": kind, kind: inner}
    read = _PARTS.get(key)
    return part if read is None or not isinstance(inner, Mapping) else read(inner) or part


def _of_its_own_type(part: Block) -> Block:
    """A part with a type: Bedrock's `{"type": "image", "image": {"format": …, "source": …}}`, or one of Gemini's."""
    kind = part.get("type")
    if kind == "text" and part.get("thought") is True:
        return {"type": "thinking", "thinking": part.get("text")}
    inner = part.get(kind) if isinstance(kind, str) and kind in _BEDROCK_FILES else None
    return _PARTS[str(kind)](inner) or part if isinstance(inner, Mapping) else part


def legacy_id(name: Any) -> str:
    """Return the id that links a function's result to its call: both have only the name."""
    return f"function_{name}"


def _bedrock_file(kind: str) -> Callable[[Block], Block | None]:
    """Reads `{"format": "png", "source": {"bytes": …}}`."""

    def read(about: Block) -> Block | None:
        source, form = about.get("source"), about.get("format")
        if not isinstance(source, Mapping):
            return None
        mime = _MEDIA_TYPES.get(str(form), f"{kind}/{form}") if form else None
        if isinstance(stored := source.get("s3Location"), Mapping):
            return {"type": kind, "mime_type": mime, "url": stored.get("uri")}
        return {"type": kind, "mime_type": mime, "data": source.get("bytes")}

    return read


def _bedrock_document(about: Block) -> Block | None:
    source, form = about.get("source"), str(about.get("format"))
    if not isinstance(source, Mapping):
        return None
    if (text := source.get("text")) is not None:
        return {"type": "text-plain", "text": text}
    if (content := source.get("content")) is not None:
        return {"type": "search_result", "content": content}
    data = source.get("bytes")
    if isinstance(data, bytes):
        data = base64.b64encode(data).decode()
    mime = _TEXT_DOCUMENTS.get(form, f"application/{form}")
    return {"type": "document", "mime_type": mime, "data": data}


def _bedrock_reasoning(about: Block) -> Block:
    if isinstance(inner := about.get("reasoningText"), Mapping):
        return {"type": "thinking", "thinking": inner.get("text")}
    return {"type": "redacted_thinking"}


def _bedrock_call(about: Block) -> Block:
    return {
        "type": "tool_use",
        "id": about.get("toolUseId"),
        "name": about.get("name"),
        "input": about.get("input"),
    }


def _bedrock_result(about: Block) -> Block:
    return {
        "type": "tool_result",
        "tool_use_id": about.get("toolUseId"),
        "content": about.get("content"),
    }


def _guarded(about: Block) -> Block | None:
    """Read a part that is marked for Bedrock's guardrails."""
    if isinstance(inner := about.get("text"), Mapping):
        return {"type": "text", "text": inner.get("text")}
    return add_block_type(about) if "image" in about else None


def _gemini_file(about: Block) -> Block:
    return {
        "type": "media",
        "mime_type": about.get("mimeType") or about.get("mime_type"),
        "data": about.get("data"),
        "url": about.get("fileUri") or about.get("file_uri"),
    }


def _gemini_call(about: Block) -> Block:
    name = about.get("name")
    call_id = about.get("id") or legacy_id(name)
    return {"type": "tool_call", "id": call_id, "name": name, "args": about.get("args")}


def _gemini_result(about: Block) -> Block:
    call_id = about.get("id") or legacy_id(about.get("name"))
    return {"type": "tool_result", "tool_use_id": call_id, "content": about.get("response")}


_BEDROCK_FILES = frozenset(("image", "audio", "video", "document"))

_PARTS: Mapping[str, Callable[[Block], Block | None]] = {
    "image": _bedrock_file("image"),
    "audio": _bedrock_file("audio"),
    "video": _bedrock_file("video"),
    "document": _bedrock_document,
    "reasoningContent": _bedrock_reasoning,
    "toolUse": _bedrock_call,
    "toolResult": _bedrock_result,
    "guardContent": _guarded,
    "citationsContent": lambda about: {"type": "search_result", "content": about.get("content")},
    "searchResult": lambda about: {**about, "type": "search_result"},
    "cachePoint": lambda _about: {"type": HINT},
    "inlineData": _gemini_file,
    "inline_data": _gemini_file,
    "fileData": _gemini_file,
    "file_data": _gemini_file,
    "functionCall": _gemini_call,
    "function_call": _gemini_call,
    "functionResponse": _gemini_result,
    "function_response": _gemini_result,
}
"""What each key says. None: it is not what the key says."""
