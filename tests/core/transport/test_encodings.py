"""Content encodings undone: in bounded pieces, at every cut, up to their end and no further."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from nvcf_core.errors import InvalidResponseError
from nvcf_core.transport.encodings import decompressor_for

TEXT = random.Random(1).randbytes(2_000) * 700
"""More than is decoded at a time, in less."""


def raw_deflate(body: bytes) -> bytes:
    """Deflate without zlib's header, but with its check sum, as some servers send it."""
    return zlib.compress(body)[2:]


def gzip_twice(body: bytes) -> bytes:
    """Two members, of which the second has nothing in it."""
    return gzip.compress(body) + gzip.compress(b"")


ENCODINGS = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("gzip", gzip_twice),
]


def decoded(encoding: str, *pieces: bytes) -> list[bytes]:
    decompressor: Any = decompressor_for({"content-encoding": encoding})
    return [each for piece in pieces for each in decompressor.feed(piece)]


@pytest.mark.parametrize(
    "behind", [b"", b"\r\n", b"x" * 100_000], ids=["nothing", "a line", "much"]
)
@pytest.mark.parametrize(("encoding", "encode"), ENCODINGS)
def test_what_stands_behind_the_end_is_left_alone(
    encoding: str, encode: Callable[[bytes], bytes], behind: bytes
) -> None:
    body = encode(TEXT) + behind
    assert b"".join(decoded(encoding, body)) == TEXT
    assert b"".join(decoded(encoding, body, b"and more", b"")) == TEXT


@pytest.mark.parametrize(("encoding", "encode"), ENCODINGS)
def test_the_same_at_every_cut(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    body = encode(b"Once upon a time")
    assert b"".join(decoded(encoding, *(bytes([byte]) for byte in body))) == b"Once upon a time"
    for cut in range(len(body)):
        assert b"".join(decoded(encoding, body[:cut], body[cut:])) == b"Once upon a time"


@pytest.mark.parametrize("length", [1 << 16, (1 << 16) + 1, (1 << 16) + 100, 1 << 17])
def test_nothing_is_held_back_until_more_comes(length: int) -> None:
    """What zlib has taken is handed out, though it is a byte more than is decoded at a time."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(bytes(length)) + packer.flush(zlib.Z_SYNC_FLUSH)
    for end in range(len(body) - 8, len(body) + 1):
        whole = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body[:end])
        assert b"".join(decoded("deflate", body[:end])) == whole


def test_a_small_body_is_decoded_in_small_pieces() -> None:
    pieces = decoded("gzip", gzip.compress(bytes(10_000_000)))
    assert sum(map(len, pieces)) == 10_000_000
    assert max(map(len, pieces)) <= 1 << 16


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_not_encoded_as_it_says_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidResponseError, match=f"not {encoding} as its content-encoding says"):
        decoded(encoding, b"Once upon a time")


@pytest.mark.parametrize("pieces", [(b"\x78\x9c\x1f",), (b"\x78", b"\x9c", b"\x1f")])
def test_two_bytes_tell_deflate_from_raw_deflate(pieces: tuple[bytes, ...]) -> None:
    """It is not taken for the other because what follows them is broken."""
    with pytest.raises(InvalidResponseError, match="not deflate"):
        decoded("deflate", *pieces)


@pytest.mark.parametrize(
    "encoding",
    ["br", "zstd", "gzip, gzip", "compress"],
)
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(InvalidResponseError, match="content-encoding"):
        decompressor_for({"content-encoding": encoding})


@pytest.mark.parametrize(
    "headers", [{}, {"content-encoding": "identity"}, {"content-encoding": ""}]
)
def test_what_is_not_encoded_needs_no_decompressor(headers: dict[str, str]) -> None:
    assert decompressor_for(headers) is None
