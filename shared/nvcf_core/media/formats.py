"""What a file is: its format by its bytes, its media type and its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import ByteSource
from nvcf_core.messages import Media, MediaKind

from .sources import first_bytes

__all__ = [
    "AMBIGUOUS_FORMATS",
    "MIME_TYPES",
    "detect_media_type",
    "format_can_hold",
    "format_of",
    "is_text_type",
    "kind_of_mime_type",
    "matches_kind",
    "mime_of_format",
    "omitted_media_text",
    "sniff_format",
]

MIME_TYPES: Mapping[str, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
    "tiff": "image/tiff", "avif": "image/avif", "heic": "image/heic",
    "wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4",
    "aac": "audio/aac",
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska",
    "avi": "video/x-msvideo", "mpeg": "video/mpeg",
}  # fmt: skip

AMBIGUOUS_FORMATS = frozenset(("ogg", "webm", "mp4", "mkv"))
"""Containers of audio as well as of video: what the user says decides."""

_MAGIC: Sequence[tuple[int, bytes, str]] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (8, b"AVI ", "avi"),
)

_BRANDS: Mapping[bytes, str] = {
    b"avif": "avif", b"avis": "avif", b"heic": "heic", b"mif1": "heic", b"M4A ": "m4a", b"M4B ": "m4a", b"qt  ": "mov",
}  # fmt: skip

_FAMILIES: Mapping[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}

# It goes into headers and tags.
_MIME = re.compile(r"(image|audio|video)/[\w.+-]+(?:\s*;\s*[\w.+-]+=[\w.+-]+)*", re.ASCII)


def sniff_format(data: bytes) -> str | None:
    """Detect the format of a media item from its first bytes (`png`, `mp3`, `mov`, …). None: unknown."""
    for place, magic, name in _MAGIC:
        if data[place : place + len(magic)] == magic:
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "mp4")
    if data[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in data[:64] else "mkv"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "mp3" if data[1] & 0x06 else "aac"
    return None


def format_of(media: Media) -> str | None:
    """Detect the format of a media item from its bytes. None: it has no bytes, or the format is unknown."""
    return None if media.source is None else sniff_format(first_bytes(media.source))


def matches_kind(media: Media) -> bool:
    """Return whether the bytes of a media item, if it has any, are of its declared kind."""
    if media.source is None:
        return True
    found = format_of(media)
    return found is not None and format_can_hold(media.kind, found)


def format_can_hold(kind: MediaKind, found: str) -> bool:
    """Return whether a format may hold a kind of media."""
    if found in AMBIGUOUS_FORMATS:
        return kind != "image"
    return kind_of_mime_type(MIME_TYPES[found]) == kind


def omitted_media_text(media: Media, reason: str) -> str:
    """Return a line of text in place of a media item that is not sent: its kind, format and size, and why."""
    facts: list[str] = [media.kind, format_of(media) or media.mime_type or ""]
    if media.source is not None:
        facts.append(f"{media.source.length} bytes")
    facts.append(media.url or "")
    return f"[{', '.join(filter(None, facts))}; not shown: {reason}]"


_TEXT_TYPES = ("json", "xml", "yaml", "javascript", "markdown")
"""How the types end of files that are text and not called so."""


def is_text_type(mime_type: str | None) -> bool:
    """Whether files of a media type are text, which a model reads as it is."""
    return mime_type is not None and (
        mime_type.startswith("text/") or mime_type.endswith(_TEXT_TYPES)
    )


def kind_of_mime_type(mime: str | None) -> MediaKind | None:
    """The kind of media that a media type names, None for any other."""
    found = _MIME.fullmatch((mime or "").strip().lower())
    return _FAMILIES[found[1]] if found else None


def detect_media_type(source: ByteSource, mime: str | None, *, field: str) -> tuple[MediaKind, str]:
    """Kind and media type of a file, by its bytes, or else as declared.

    Raises:
        InvalidRequestError: the format is unknown and no media type is declared.
    """
    found = sniff_format(first_bytes(source))
    declared = kind_of_mime_type(mime)
    if found is not None:
        kind = kind_of_mime_type(MIME_TYPES[found])
        if declared is not None and found in AMBIGUOUS_FORMATS:
            kind = declared
        if kind is not None:
            return kind, mime_of_format(found, kind)
    if declared is None or mime is None:
        raise InvalidRequestError(
            f"{field}: the bytes are not a known image, audio or video format; give mime_type",
            field=field,
        )
    return declared, mime


def mime_of_format(found: str, kind: MediaKind) -> str:
    """The media type of a format; of a container that may be either, with the user's kind."""
    family, _, name = MIME_TYPES[found].partition("/")
    return f"{kind}/{name}" if found in AMBIGUOUS_FORMATS else f"{family}/{name}"
