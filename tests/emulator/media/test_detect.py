"""What image, audio and video files say of themselves, in their rarer forms."""

from __future__ import annotations

import struct

import pytest

from nvcf_emulator.media.detect import decode, format_of


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def riff(kind: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    body = kind + b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wide_mvhd(seconds: int) -> bytes:
    return b"\x01" + bytes(19) + struct.pack(">IQ", 600, 600 * seconds) + bytes(80)


def narrow_mvhd(length: int) -> bytes:
    return bytes(12) + struct.pack(">II", 1000, length) + bytes(80)


FTYP = box(b"ftyp", b"isom" + bytes(4))
LARGE_BOX = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 16 + 10) + bytes(10)
VP8X = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\x1f\x00\x00\x0f\x00\x00"
VP8 = b"VP8 " + struct.pack("<I", 10) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 32, 16)
FRAME = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", 16, 32) + b"\x01\x01\x11\x00"
FMT = (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
STREAMED_WAV = b"RIFF\xff\xff\xff\xffWAVE" + b"fmt \x10\0\0\0" + FMT[1] + b"data\xff\xff\xff\xff"

IMAGES = [
    ("webp", b"RIFF\0\0\0\0WEBP" + VP8X),
    ("webp", b"RIFF\0\0\0\0WEBP" + VP8),
    ("jpeg", b"\xff\xd8\xff\xd0\xff\x01\xff\xe1\x00\x04ab" + FRAME),
    ("jpeg", b"\xff\xd8\xff\xff\xff" + FRAME),
]

UNREADABLE = [
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT" + bytes(20),
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20),
    b"\xff\xd8\xff\xe0\x00\x04ab" + b"zz",
    b"\xff\xd8\xff\xd9",
    b"RIFF\0\0\0\0WEBPVP9 " + bytes(20),
    b"GIF89a",
]

RECORDED = [
    ("wav", riff(b"WAVE", (b"LIST", b"abc\0"), FMT, (b"data", bytes(8000))), 0.5),
    ("wav", STREAMED_WAV + bytes(16000), 1.0),
    ("wav", riff(b"WAVE", (b"data", bytes(80))), None),
    ("wav", riff(b"WAVE"), None),
    ("mp4", FTYP + LARGE_BOX + box(b"moov", box(b"mvhd", wide_mvhd(3))), 3.0),
    ("mp4", FTYP + box(b"moov", box(b"trak", b"") + box(b"mvhd", narrow_mvhd(1500))), 1.5),
    ("mp4", FTYP + box(b"moov", box(b"mvhd", narrow_mvhd(0))), None),
    ("mp4", FTYP + box(b"moov", box(b"trak", b"")), None),
    ("mp4", FTYP + struct.pack(">I", 0) + b"mdat" + bytes(40), None),
    ("mp4", FTYP + struct.pack(">I", 3) + b"mdat" + bytes(40), None),
    ("mp4", FTYP, None),
    ("mov", box(b"moov", box(b"mvhd", narrow_mvhd(2000))), 2.0),
    ("mp3", (b"\xff\xf3\x40\xc4" + bytes(100)) * 10, 0.2612),
    ("mp3", b"ID3\x04\0\0\0\0\0\x02ab", None),
    ("mkv", b"\x1a\x45\xdf\xa3\x80", None),
    ("mkv", b"\x1a\x45\xdf\xa3\x00", None),
    ("webm", b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\xff\x15\x49\xa9\x66\x80", None),
]


@pytest.mark.parametrize(("kind", "data"), IMAGES)
def test_images(kind, data):
    found = decode("audio", data)
    assert (found.kind, found.format, found.pixels) == ("image", kind, (32, 16))


@pytest.mark.parametrize("data", UNREADABLE)
def test_images_that_cannot_be_read(data):
    assert decode("image", data).pixels is None


@pytest.mark.parametrize(("kind", "data", "seconds"), RECORDED)
def test_audio_and_video(kind, data, seconds):
    found = decode("image", data)
    assert found.format == kind
    assert found.seconds == (seconds if seconds is None else pytest.approx(seconds, abs=0.001))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100), b"\xff\xff\xff\xff", b"RIFF....AVI "])
def test_other_bytes(data):
    assert format_of(data) == ""
    found = decode("video", data)
    assert (found.kind, found.format, found.length) == ("video", "", len(data))
    assert "unknown format" in str(found)


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "webp", "wav", "mp3", "mp4", "webm"])
def test_files_may_be_cut_anywhere(files, name):
    data = getattr(files, name)()
    for end in range(len(data)):
        decode("image", data[:end])
