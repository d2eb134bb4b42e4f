"""Small media of the kinds that models take: an image, an audio and a video that real decoders read."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from importlib.resources import files

__all__ = ["AUDIO", "IMAGE", "VIDEO"]

_SIDE = 64
"""Pixels of a side: models refuse images of very few."""

_RATE = 16_000


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png() -> bytes:
    """A green square, RGB of 8 bits."""
    row = b"\0" + bytes((118, 185, 0)) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    data = zlib.compress(row * _SIDE)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _wav() -> bytes:
    """Half a second of a tone of 440 Hz, mono, 16 bits."""
    waves = (math.sin(2 * math.pi * 440 * number / _RATE) for number in range(_RATE // 2))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(b"".join(struct.pack("<h", int(8_000 * value)) for value in waves))
    return out.getvalue()


IMAGE = _png()
"""A PNG."""

AUDIO = _wav()
"""A WAV."""

VIDEO = (files("nvcf_cli") / "sample.mp4").read_bytes()
"""An MP4: one second of H.264, 64 by 64 pixels, 8 frames."""
