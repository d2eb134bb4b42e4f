"""Formats of media: told by their bytes, and what kind they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.formats import detect_media_type, kind_of_mime_type, sniff_format
from nvcf_core.media.sources import BytesSource

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
WEBP = b"RIFF\x20\0\0\0WEBPVP8 "
WAV = b"RIFF\x20\0\0\0WAVEfmt "
MP3 = b"\xff\xfb\x90\x64" + bytes(20)
MP4 = b"\0\0\0\x18ftypisom" + bytes(12)
MOV = b"\0\0\0\x14ftypqt  " + bytes(12)
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(12)
OGG = b"OggS" + bytes(20)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (PNG, "png"),
        (JPEG, "jpeg"),
        (b"GIF89a....", "gif"),
        (b"BM......", "bmp"),
        (b"II*\0....", "tiff"),
        (b"MM\0*....", "tiff"),
        (WEBP, "webp"),
        (WAV, "wav"),
        (b"RIFF\x20\0\0\0AVI LIST", "avi"),
        (OGG, "ogg"),
        (b"fLaC....", "flac"),
        (b"ID3\x04....", "mp3"),
        (MP3, "mp3"),
        (b"\xff\xf3\x40\xc0", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (MP4, "mp4"),
        (MOV, "mov"),
        (b"\0\0\0\x08wide\0\0\0\0", "mov"),
        (b"\0\0\0\x18ftypM4A ", "m4a"),
        (b"\0\0\0\x18ftypavif", "avif"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\x01\xba....", "mpeg"),
        (WEBM, "webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", "mkv"),
        (b"", None),
        (b"\xff", None),
        (b"hello, world", None),
        (b"%PDF-1.7", None),
    ],
)
def test_formats_by_their_bytes(data: bytes, name: str | None) -> None:
    assert sniff_format(data) == name


@given(st.binary(max_size=80))
def test_any_bytes_have_a_format_or_none(data: bytes) -> None:
    assert sniff_format(data) is None or isinstance(sniff_format(data), str)


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/png", "image"),
        ("AUDIO/wav", "audio"),
        ("video/mp4; codecs=x", "video"),
        ("text/plain", None),
        (None, None),
        ("", None),
    ],
)
def test_the_kind_of_a_media_type(mime: str | None, kind: str | None) -> None:
    assert kind_of_mime_type(mime) == kind


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        (PNG, None, ("image", "image/png")),
        (PNG, "image/jpeg", ("image", "image/png")),
        (PNG, "audio/wav", ("image", "image/png")),
        (MP3, None, ("audio", "audio/mpeg")),
        (MP4, None, ("video", "video/mp4")),
        (MP4, "audio/mp4", ("audio", "audio/mp4")),
        (OGG, "video/ogg", ("video", "video/ogg")),
        (OGG, None, ("audio", "audio/ogg")),
        (WEBM, "audio/webm", ("audio", "audio/webm")),
        (b"what?", "video/x-new", ("video", "video/x-new")),
    ],
)
def test_the_kind_of_a_file(data: bytes, declared: str | None, expected: Any) -> None:
    assert detect_media_type(BytesSource(data), declared, field="f") == expected


@pytest.mark.parametrize("declared", [None, "text/plain", ""])
def test_a_file_of_no_known_kind(declared: str | None) -> None:
    with pytest.raises(InvalidRequestError, match="give mime_type"):
        detect_media_type(BytesSource(b"what?"), declared, field="f")
