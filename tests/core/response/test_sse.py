"""The decoder of server-sent events: every rule of the format, at every cut, in linear time and bounded memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.response.sse import LONGEST_EVENT, EventTooLong, SSEDecoder


def events(data: bytes, cuts: list[int] | None = None) -> list[tuple[bytes, bytes]]:
    decoder = SSEDecoder()
    found = []
    edges = [0, *(cuts or []), len(data)]
    for start, end in pairwise(edges):
        found += decoder.feed(data[start:end])
    return found + decoder.flush()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"data: a\n\n", [(b"", b"a")], id="one event"),
        pytest.param(b"data:a\n\n", [(b"", b"a")], id="the space is optional"),
        pytest.param(b"data:  a \n\n", [(b"", b" a ")], id="only one space goes"),
        pytest.param(b"data: a\ndata: b\n\n", [(b"", b"a\nb")], id="data lines are joined"),
        pytest.param(b"data\n\n", [(b"", b"")], id="a field without a colon is empty"),
        pytest.param(b"data: a\ndata\ndata: b\n\n", [(b"", b"a\n\nb")], id="an empty data line"),
        pytest.param(b"data:\n\n", [(b"", b"")], id="empty data is data"),
        pytest.param(b"event: x\ndata: a\n\n", [(b"x", b"a")], id="a name"),
        pytest.param(
            b"event: x\n\ndata: a\n\n", [(b"", b"a")], id="a name without data is dropped"
        ),
        pytest.param(
            b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (b"", b"b")], id="names do not last"
        ),
        pytest.param(b": hi\n\n", [], id="a comment"),
        pytest.param(b": hi\ndata: a\n\n", [(b"", b"a")], id="a comment before data"),
        pytest.param(
            b"event: error\n: why\n\n", [(b"error", b"why")], id="an error told by a comment"
        ),
        pytest.param(b": why\nevent: error\n\n", [(b"error", b"why")], id="the comment first"),
        pytest.param(b"event: error\n\n", [(b"error", b"")], id="an error that says nothing"),
        pytest.param(
            b"event: error\n: no\ndata: a\n\n", [(b"error", b"a")], id="an error's data wins"
        ),
        pytest.param(b"id: 7\nretry: 9\nfoo: bar\ndata: a\n\n", [(b"", b"a")], id="other fields"),
        pytest.param(b"DATA: a\n\n", [], id="names have a case"),
        pytest.param(b"data : a\n\n", [], id="no space before the colon"),
        pytest.param(b"data: a", [(b"", b"a")], id="the end ends an event"),
        pytest.param(b"data: a\n", [(b"", b"a")], id="the end after a line"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n\n\n", [], id="blank lines"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")], id="CR"),
        pytest.param(b"data: a\r\n\rdata: b\n\r\n", [(b"", b"a"), (b"", b"b")], id="all mixed"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")], id="a byte order mark"),
        pytest.param(b"\n\xef\xbb\xbfdata: a\n\n", [], id="a mark that is not at the start"),
        pytest.param(
            "data: a\u2028b\x85\x0b\x0c\n\n".encode(),
            [(b"", "a\u2028b\x85\x0b\x0c".encode())],
            id="other separators",
        ),
        pytest.param(b"data: a: b\n\n", [(b"", b"a: b")], id="more colons"),
    ],
)
def test_the_rules(data: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert events(data) == expected
    assert events(data, list(range(1, len(data)))) == expected


LINES = st.lists(
    st.sampled_from(
        [
            b"data: a",
            b"data:",
            b"data",
            b"event: error",
            b"event: x",
            b": c",
            b"",
            b"id: 1",
            b"\xef\xbb\xbfdata: z",
            b"data: \xe2\x80\xa8",
        ]
    ),
    max_size=12,
)
ENDS = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=12, max_size=12)


@given(LINES, ENDS, st.data())
def test_the_same_bytes_cut_anywhere_are_the_same_events(
    lines: list[bytes], ends: list[bytes], data: st.DataObject
) -> None:
    body = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    assert events(body, cuts) == events(body)


@given(st.binary(max_size=200), st.data())
def test_any_bytes_at_all(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    assert events(body, cuts) == events(body)


class Bytes(bytes):
    """Bytes that count how many of them are copied, searched or split."""

    work = 0

    def replace(self, *args):  # type: ignore[no-untyped-def]
        Bytes.work += len(self)
        return Bytes(super().replace(*args))

    def split(self, *args):  # type: ignore[no-untyped-def]
        Bytes.work += len(self)
        return [Bytes(part) for part in super().split(*args)]

    def removeprefix(self, *args):  # type: ignore[no-untyped-def]
        Bytes.work += len(self)
        return Bytes(super().removeprefix(*args))

    def __contains__(self, item):  # type: ignore[no-untyped-def]
        Bytes.work += len(self)
        return super().__contains__(item)


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_a_long_line_in_small_pieces_costs_time_linear_in_its_bytes(piece: int) -> None:
    size = 4 * 1024 * 1024 if piece == 64 else 256 * 1024
    Bytes.work = 0
    decoder = SSEDecoder()
    line = b"data: " + b"x" * size
    for start in range(0, len(line), piece):
        assert decoder.feed(Bytes(line[start : start + piece])) == []
    # The pieces are kept as they are and joined once, so that each byte was looked at a few times only.
    assert Bytes.work <= 3 * len(line)
    assert len(decoder._partial) == -(-len(line) // piece)
    assert decoder.feed(b"\n\n") == [(b"", line[6:])]


def test_an_event_that_is_too_long_is_refused() -> None:
    decoder = SSEDecoder(longest_event=1000)
    with pytest.raises(EventTooLong, match="longer than 1000 bytes"):
        decoder.feed(b"data: " + b"x" * 1001 + b"\n")


def feed_all(decoder: SSEDecoder, pieces: list[bytes]) -> None:
    for piece in pieces:
        decoder.feed(piece)


def test_the_default_limit_refuses_64_megabytes() -> None:
    piece = b"x" * (1 << 20)
    decoder = SSEDecoder()
    decoder.feed(b"data: ")
    with pytest.raises(EventTooLong):
        feed_all(decoder, [piece] * 64)
    assert decoder._partial_length <= LONGEST_EVENT + len(piece)


@pytest.mark.parametrize("line", [b"data: xxxxxxxx\n", b"data:\n", b"data\n"])
def test_an_event_of_ever_more_lines_is_refused(line: bytes) -> None:
    with pytest.raises(EventTooLong):
        feed_all(SSEDecoder(longest_event=1000), [line] * 2000)


def test_a_line_that_never_ends_is_refused() -> None:
    decoder = SSEDecoder(longest_event=1000)
    decoder.feed(b"data: " + b"x" * 600 + b"\n")
    with pytest.raises(EventTooLong):
        decoder.feed(b": " + b"x" * 600)


def test_the_bound_is_of_one_event_not_of_the_stream() -> None:
    decoder = SSEDecoder(longest_event=1000)
    found = [event for _ in range(10) for event in decoder.feed(b"data: " + b"x" * 900 + b"\n\n")]
    assert len(found) == 10
