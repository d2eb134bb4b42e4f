"""Where media bytes come from: each source gives the same bytes, again and again, piece by piece."""

from __future__ import annotations

import base64
import hashlib
import io
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.sources import (
    PIECE,
    Base64Source,
    BytesSource,
    FileSource,
    PathSource,
    base64_length,
    first_bytes,
    open_source,
    sha256_hex,
)


@pytest.mark.parametrize(
    "size",
    [1, 2, 3, 60, PIECE - 2, PIECE - 1, PIECE, PIECE + 1, PIECE + 2, 2 * PIECE - 1, 2 * PIECE + 1],
)
def test_every_source_gives_the_same_bytes_twice(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    path = tmp_path / "same-bytes"
    path.write_bytes(data)
    with path.open("rb") as file:
        all_of_them = [
            BytesSource(data),
            Base64Source.from_text(base64.b64encode(data).decode(), field="f"),
            PathSource.from_path(path, field="f"),
            FileSource.from_file(file, field="f"),
        ]
        for source in all_of_them:
            for _ in range(2):
                assert b"".join(source.chunks()) == data
                assert b"".join(source.base64()) == base64.b64encode(data)
            assert source.length == len(data)
            assert base64_length(source.length) == len(base64.b64encode(data))
            assert sha256_hex(source) == hashlib.sha256(data).hexdigest()
            assert first_bytes(source) == b"".join(source.chunks())[: len(first_bytes(source))]


class ShortReads(io.BytesIO):
    """A file that hands out less than it is asked for, as sockets and raw files do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, self.tell() % 5 + 1) if size else size)


@given(st.binary(min_size=1, max_size=60))
def test_base64_over_pieces_that_no_three_fill(data: bytes) -> None:
    source = FileSource.from_file(ShortReads(data), field="f")
    assert b"".join(source.base64()) == base64.b64encode(data)


def test_long_sources_come_in_pieces() -> None:
    source = BytesSource(bytes(2_000_000))
    assert [len(chunk) for chunk in source.chunks()] == [786_432, 786_432, 427_136]
    assert len(first_bytes(source)) == 4096


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("abc", "cut off"),
        ("ab=c", "not base64"),
        ("a===", "not base64"),
        ("ab!d", "not base64"),
        ("äbcd", "not base64"),
        ("-_-_", "not base64"),
    ],
)
def test_base64_text_that_is_none(text: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"messages\[3\].*{why}") as caught:
        Base64Source.from_text(text, field="messages[3]")
    assert caught.value.field == "messages[3]"
    assert not text.strip() or text not in str(caught.value)


def test_line_breaks_in_base64_text_are_allowed() -> None:
    assert b"".join(Base64Source.from_text("YWJj\r\n ZGVm\n", field="f").chunks()) == b"abcdef"


def test_padding_in_the_middle_is_refused() -> None:
    """Also where a piece that is decoded by itself ends with it."""
    good = base64.b64encode(bytes(1_500_000)).decode()
    assert Base64Source.from_text(good, field="f").length == 1_500_000
    for length in (12, PIECE):
        with pytest.raises(InvalidRequestError, match="not base64 text"):
            Base64Source.from_text("A" * (length - 2) + "==" + good, field="f")


def test_sources_do_not_show_their_bytes() -> None:
    shown = repr((BytesSource(b"secret"), Base64Source("c2VjcmV0")))
    assert "secret" not in shown
    assert "c2Vj" not in shown


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot read the file"):
        PathSource.from_path(tmp_path / "none", field="f")
    with pytest.raises(InvalidRequestError, match="cannot read the file"):
        PathSource.from_path(tmp_path, field="f")
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidRequestError, match="is empty"):
        PathSource.from_path(tmp_path / "empty", field="f")
    (tmp_path / "full").write_bytes(b"x")
    assert isinstance(open_source(tmp_path / "full", field="f"), PathSource)
    assert isinstance(open_source(str(tmp_path / "full"), field="f"), PathSource)


def test_an_open_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"headbody")
    file.seek(4)
    source = open_source(file, field="f")
    assert isinstance(source, FileSource)
    assert file.tell() == 4
    assert source.length == 4
    assert b"".join(source.chunks()) == b"body"


class Pipe(io.BytesIO):
    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (Pipe(b"abc"), "rewound"),
        (io.StringIO("abc"), 'open it with "rb"'),
        (io.BytesIO(b""), "nothing left"),
        (object(), "rewound"),
        (None, "rewound"),
    ],
)
def test_open_files_that_cannot_be_used(file: Any, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        open_source(file, field="f")


def test_a_file_that_is_closed_before_it_is_read() -> None:
    file = io.BytesIO(b"abc")
    source = open_source(file, field="f")
    file.close()
    with pytest.raises(InvalidRequestError, match="any more"):
        list(source.chunks())


def test_a_file_that_is_closed_or_at_its_end() -> None:
    closed = io.BytesIO(b"abc")
    closed.close()
    with pytest.raises(InvalidRequestError, match="rewound"):
        open_source(closed, field="f")
    read = io.BytesIO(b"abc")
    read.read()
    with pytest.raises(InvalidRequestError, match="nothing left"):
        open_source(read, field="f")
