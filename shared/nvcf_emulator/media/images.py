"""The format and size of an image, read from the head of its file."""

from __future__ import annotations

from collections.abc import Callable
from mmap import mmap
from struct import error as StructError
from struct import unpack_from

__all__ = ["Data", "Size", "size", "sniff"]

Data = bytes | mmap
Size = tuple[int, int]

_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def sniff(data: Data) -> str:
    """Return `png`, `jpeg`, `gif` or `webp` by the first bytes, or an empty string."""
    head = data[:12]
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return ""


def size(kind: str, data: Data) -> Size | None:
    """Return width and height in pixels of an image of format `kind`, None if unreadable."""
    try:
        found = _READERS[kind](data)
    except StructError:
        return None
    return found if found and min(found) > 0 else None


def _png(data: Data) -> Size | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = unpack_from(">II", data, 16)
    return width, height


def _gif(data: Data) -> Size | None:
    width, height = unpack_from("<HH", data, 6)
    return width, height


def _jpeg(data: Data) -> Size | None:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            position += 2
        elif marker in _JPEG_FRAMES:
            height, width = unpack_from(">HH", data, position + 5)
            return width, height
        else:
            position += 2 + int(unpack_from(">H", data, position + 2)[0])
    return None


def _webp(data: Data) -> Size | None:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return width, height
    if chunk == b"VP8L":
        bits = int(unpack_from("<I", data, 21)[0])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


_READERS: dict[str, Callable[[Data], Size | None]] = {
    "png": _png,
    "jpeg": _jpeg,
    "gif": _gif,
    "webp": _webp,
}
