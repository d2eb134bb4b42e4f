"""HTTP/1.1 without I/O: a response in whatever pieces it comes, held against what h11 alone reads of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.transport.direct.http1 import HTTP1, ProtocolError

HEADERS = [(b"host", b"example.com")]
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


@dataclass
class Read:
    """What was read of a response."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    failed: bool = False
    reusable: bool = False


def by_h11(pieces: list[bytes]) -> Read:
    """By h11, as it is."""
    connection, read = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024), Read()
    connection.send(h11.Request(method="GET", target="/", headers=HEADERS))
    connection.send(h11.EndOfMessage())
    try:
        for piece in pieces:
            connection.receive_data(piece)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    read.status, read.headers = event.status_code, list(event.headers)
                elif isinstance(event, h11.Data):
                    read.body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    read.ended = True
                    is_done = connection.their_state is h11.DONE
                    read.reusable = is_done and not connection.trailing_data[0]
                    return read
                elif isinstance(event, h11.ConnectionClosed):
                    read.failed = True
                    return read
    except h11.RemoteProtocolError:
        read.failed = True
    return read


def by_us(pieces: list[bytes]) -> Read:
    """By what is tested."""
    http, read = HTTP1(), Read()
    http.begin("GET", b"/", HEADERS)
    http.end()
    try:
        for piece in pieces:
            http.receive(piece)
            if read.status is None:
                if (head := http.response()) is None:
                    continue
                read.status, read.headers = head.status_code, list(head.headers)
            read.body += http.body()
            if http.ended:
                read.ended, read.reusable = True, http.is_reusable()
                return read
    except ProtocolError:
        read.failed = True
    return read


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


DATA = st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n", b"0\r\n\r\n", b"\n\r\n\n"])
USUAL = DATA.map(chunk)
UNUSUAL = DATA.flatmap(
    lambda data: st.sampled_from(
        [
            b"%X\r\n%s\r\n" % (len(data), data),
            b"%020x\r\n%s\r\n" % (len(data), data),
            b"%x;name=value\r\n%s\r\n" % (len(data), data),
            b"%x \t\r\n%s\r\n" % (len(data), data),
        ]
    )
)
WRONG = DATA.flatmap(
    lambda data: st.sampled_from(
        [
            b"%x\n%s\n" % (len(data), data),
            b"%x\r\n%s" % (len(data), data),
            b"%x\r\n%s\r" % (len(data), data),
            b"%x\r\n%s\n" % (len(data), data),
            b"%x\r\n%sx\r\n" % (len(data), data),
            b"%021x\r\n%s\r\n" % (len(data), data),
            b"-%x\r\n%s\r\n" % (len(data), data),
            b"0x%x\r\n%s\r\n" % (len(data), data),
            b"1_0\r\n" + b"x" * 16 + b"\r\n",
            b"\r\n",
            data,
        ]
    )
)
LAST = st.sampled_from(
    [END, b"000\r\n\r\n", b"0;a=b\r\n\r\n", b"0\r\nx-trailer: 1\r\n\r\n", b"0\r\nbad trailer\r\n\r\n", b""]
)  # fmt: skip
BODIES = st.builds(
    lambda parts, last, after: b"".join(parts) + last + after,
    st.lists(st.one_of(USUAL, USUAL, USUAL, UNUSUAL, WRONG), max_size=6),
    LAST,
    st.sampled_from([b"", b"", b"x", b"HTTP/1.1 200 OK\r\n\r\n"]),
)
STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 500 Not at\tall",
        b"HTTP/1.1 404 ",
        b"HTTP/1.1 404",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 200 Tr\xe8s bien",
        b"HTTP/1.1 600 What",
        b"HTTP/1.1 99 What",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/2 200",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 101 Switching Protocols",
        b"\r\nHTTP/1.1 200 OK",
        b"what is this",
        b"\x16\x03\x01",
        b"",
    ]
)
HEADER_LINES = st.sampled_from(
    [
        b"transfer-encoding: chunked",
        b"Transfer-Encoding:Chunked",
        b"transfer-encoding: gzip, chunked",
        b"content-length: 20",
        b"Content-Length:\t0 ",
        b"content-length: 5, 5",
        b"content-length: 5, 6",
        b"content-length: -1",
        b"content-length: +5",
        b"content-length: 1_0",
        b"content-length: 99999999999999999999",
        b"content-length: 999999999999999999999",
        b"content-length:",
        b"connection: close",
        b"Connection: Keep-Alive",
        b"connection: close, te",
        b"connection: keep-alive, close",
        b"x: y",
        b"x:",
        b"X-Spaces:  a \t b  ",
        b"x: \xe8",
        b"x: a\x00b",
        b"x: a\x0bb",
        b"x: a\rb",
        b"x : y",
        b" folded",
        b": y",
        b"no colon",
    ]
)
HEADS = st.builds(
    lambda status, lines, end: end.join([status, *lines, b"", b""]),
    STATUS_LINES,
    st.lists(HEADER_LINES, max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data, cut at the places, and the end of the connection behind it."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [*(data[begin:end] for begin, end in pairwise(edges)), b""]


@given(st.one_of(st.just(HEAD), HEADS), BODIES, st.lists(st.integers(0, 1000), max_size=12))
def test_a_response_is_what_h11_reads_of_it(head: bytes, body: bytes, places: list[int]) -> None:
    pieces = cut(head + body, places)
    assert by_us(pieces) == by_h11(pieces)


@given(HEADS, BODIES)
def test_byte_by_byte(head: bytes, body: bytes) -> None:
    pieces = cut(head + body, list(range(1000)))
    assert by_us(pieces) == by_h11(pieces)


@given(
    st.sampled_from(["GET", "POST", "post", "P T"]),
    st.sampled_from([b"/v1/models?limit=1", b"/v1/\xe8", b"/a b", b"/a\r\nx: y", b""]),
    st.lists(
        st.tuples(
            st.sampled_from([b"x", b"X-Name", b"x y", b"", b"x:", b"x\r\n", b"connection"]),
            st.sampled_from([b"y", b"", b"a  b", b" y", b"y\r\nx: z", b"y\n", b"\xe8", b"\x00", b"close"]),
        ),
        max_size=3,
    ),
    st.sampled_from([None, b"0", b"5", b"five", b"-5", b"5, 5", b"05"]),
)  # fmt: skip
def test_a_request_is_what_h11_makes_of_it(
    method: str, target: bytes, more: list[tuple[bytes, bytes]], length: bytes | None
) -> None:
    headers = [*HEADERS, *more, *([] if length is None else [(b"content-length", length)])]

    def written(send: Callable[[], bytes]) -> bytes | None:
        try:
            return send()
        except ProtocolError:
            return None

    def by_h11() -> bytes:
        connection = h11.Connection(h11.CLIENT)
        sent = [h11.Request(method=method, target=target, headers=headers), h11.Data(data=b"hello")]
        return b"".join(connection.send(event) or b"" for event in (*sent, h11.EndOfMessage()))

    def by_us() -> bytes:
        http = HTTP1()
        return http.begin(method, target, headers) + http.data(b"hello") + http.end()

    assert written(by_us) == written(by_h11)


def asked() -> HTTP1:
    """A connection whose request was sent."""
    http = HTTP1()
    http.begin("GET", b"/", HEADERS)
    http.end()
    return http


def test_usual_chunks_come_as_they_arrive() -> None:
    http = asked()
    http.receive(HEAD + chunk(b"one") + b"5\r\nab")
    assert http.response() is not None
    assert http.body() == b"oneab"  # Part of a chunk is not held back.
    assert http.body() == b""
    http.receive(b"cde\r")
    assert http.body() == b"cde"
    http.receive(b"\n" + END)
    assert http.body() == b""
    assert http.ended
    assert http.is_reusable()


def test_what_came_before_a_malformed_chunk_is_handed_out_first() -> None:
    http = asked()
    http.receive(HEAD + chunk(b"one") + b"3\r\ntwo" + b"3\r\nxxx\r\n")
    assert http.response() is not None
    assert http.body() == b"onetwo"
    for _ in range(2):
        with pytest.raises(ProtocolError, match="not by the end of a line"):
            http.body()


def test_one_response_after_another() -> None:
    http = HTTP1()
    for body in (b"first", b"second", b"third"):
        http.begin("GET", b"/", HEADERS)
        http.end()
        http.receive(HEAD + chunk(body) + END)
        assert http.response() is not None
        assert http.body() == body
        assert http.ended
        assert http.is_reusable()


@pytest.mark.parametrize("framing", ["transfer-encoding: chunked", "content-length: 10"])
def test_what_follows_a_response_is_not_taken_for_the_next(framing: str) -> None:
    body = chunk(b"hello") + END if "chunked" in framing else b"helloworld"
    http = asked()
    http.receive(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body + HEAD + chunk(b"forged"))
    assert http.response() is not None
    assert http.body().startswith(b"hello")
    assert http.ended
    assert not http.is_reusable()


def test_a_head_without_an_end() -> None:
    http = asked()

    def read_on() -> None:
        for _ in range(100):
            http.receive(b"x: " + b"y" * 2000 + b"\r\n")
            http.response()

    with pytest.raises(ProtocolError, match="too long"):
        read_on()


def test_a_size_without_an_end() -> None:
    http = asked()
    http.receive(HEAD)
    assert http.response() is not None

    def read_on() -> None:
        for _ in range(200):
            http.receive(b"1" * 1000)
            http.body()

    with pytest.raises(ProtocolError, match="too long"):
        read_on()
