"""The format and length of audio and video, read from its file's own tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import error as StructError
from struct import unpack, unpack_from

from nvcf_emulator.media.images import Data

__all__ = ["duration_seconds", "sniff"]

_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44100, 48000, 32000)
_SEGMENT, _INFO, _SCALE, _DURATION = 0x18538067, 0x1549A966, 0x2AD7B1, 0x4489
_DOCTYPE = 0x4282
_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def sniff(data: Data) -> str:
    """Return `wav`, `mp3`, `mp4`, `mov`, `webm` or `mkv` by the bytes, or an empty string."""
    head = bytes(data[:64])
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mov" if head[8:12] == b"qt  " else "mp4"
    if head[4:8] in _QUICKTIME_BOXES:
        return "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if _doctype(data) == b"webm" else "mkv"
    if head[:3] == b"ID3" or _frame(data, 0):
        return "mp3"
    return ""


def duration_seconds(kind: str, data: Data) -> float | None:
    """Return the length in seconds of a recording of format `kind`, None if unreadable."""
    try:
        return _READERS[kind](data)
    except (StructError, IndexError, ZeroDivisionError):
        return None


def _wav(data: Data) -> float | None:
    rate = 0
    position = 12
    while position + 8 <= len(data):
        name, length = unpack_from("<4sI", data, position)
        if name == b"fmt ":
            rate = unpack_from("<I", data, position + 16)[0]
        if name == b"data":
            # A recorder that could not seek back leaves the length at its highest value.
            return float(min(length, len(data) - position - 8) / rate)
        position += 8 + length + (length & 1)
    return None


def _frame(data: Data, position: int) -> tuple[int, float] | None:
    """Return the length in bytes and in seconds of the MP3 frame at `position`, if one is there."""
    head = int.from_bytes(data[position : position + 4], "big")
    version, layer = head >> 19 & 3, head >> 17 & 3
    bitrate, rate = head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[rate] >> (0 if first else 1 if version == 2 else 2)
    samples = 1152 if first else 576
    bits = 1000 * (_MPEG1 if first else _MPEG2)[bitrate]
    return samples // 8 * bits // hertz + (head >> 9 & 1), samples / hertz


def _mp3(data: Data) -> float | None:
    position = 0
    if data[:3] == b"ID3":
        # The size is written in four bytes of seven bits.
        size = [byte & 0x7F for byte in data[6:10]]
        position = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    total = 0.0
    while found := _frame(data, position):
        position += found[0]
        total += found[1]
    return total or None


def _boxes(data: Data, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, first byte and end of each MP4 box between `start` and `end`."""
    while start + 8 <= end:
        length, name = unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1:
            length = unpack_from(">Q", data, body)[0]
            body += 8
        stop = end if length == 0 else start + length
        if stop < body:
            return
        yield name, body, min(stop, end)
        start = stop


def _mp4(data: Data) -> float | None:
    for name, start, end in _boxes(data, 0, len(data)):
        if name != b"moov":
            continue
        for inner, body, _ in _boxes(data, start, end):
            if inner == b"mvhd":
                return _movie_header(data, body)
    return None


def _movie_header(data: Data, body: int) -> float | None:
    if data[body] == 1:
        scale, length = unpack_from(">IQ", data, body + 20)
    else:
        scale, length = unpack_from(">II", data, body + 12)
    # A video in fragments says 0 here.
    return float(length / scale) or None


def _number(data: Data, position: int, keep_marker: bool) -> tuple[int, int]:
    """Return an EBML number and where it ends; an id keeps the marker bit, a size does not."""
    first = data[position]
    if first == 0:
        raise IndexError(position)
    length = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + length], "big")
    if not keep_marker:
        value &= (1 << 7 * length) - 1
    unknown = not keep_marker and value == (1 << 7 * length) - 1
    return (-1 if unknown else value), position + length


def _elements(data: Data, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the id, first byte and end of each EBML element between `start` and `end`."""
    while start < end:
        name, position = _number(data, start, keep_marker=True)
        length, body = _number(data, position, keep_marker=False)
        stop = end if length < 0 else min(body + length, end)
        yield name, body, stop
        start = stop


def _doctype(data: Data) -> bytes:
    try:
        _, start, end = next(_elements(data, 0, len(data)))
        for name, body, stop in _elements(data, start, end):
            if name == _DOCTYPE:
                return bytes(data[body:stop]).rstrip(b"\0")
    except IndexError:
        return b""
    return b""


def _webm(data: Data) -> float | None:
    for name, start, end in _elements(data, 0, len(data)):
        if name != _SEGMENT:
            continue
        for inner, body, stop in _elements(data, start, end):
            if inner == _INFO:
                return _webm_info(data, body, stop)
    return None


def _webm_info(data: Data, start: int, end: int) -> float | None:
    scale, length = 1_000_000, None
    for name, body, stop in _elements(data, start, end):
        if name == _SCALE:
            scale = int.from_bytes(data[body:stop], "big")
        if name == _DURATION:
            length = float(unpack(">f" if stop - body == 4 else ">d", data[body:stop])[0])
    return None if length is None else length * scale / 1e9


_READERS: dict[str, Callable[[Data], float | None]] = {
    "wav": _wav,
    "mp3": _mp3,
    "mp4": _mp4,
    "mov": _mp4,
    "webm": _webm,
    "mkv": _webm,
}
