"""HTTP/1.1 as a client speaks it: the bytes of a request, and the response in the bytes that come. No I/O.

What is as nearly all requests and responses are is written and read here, at a fraction of what h11 takes for it: that
is an eighth of a whole call, and a quarter of a chunk that comes alone. Of whatever else comes h11 is the judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import h11

from .chunk_reader import ChunkReader, MalformedChunk
from .heads import Headers, ResponseHead, request_head, response_head

__all__ = ["HTTP1", "ProtocolError", "Response"]

ProtocolError = h11.ProtocolError
"""What came is not HTTP/1.1, or what is to be sent is not."""

_LONGEST_HEAD = 100 * 1024
"""Bytes that the head of a response may have, or that of one of its chunks, where h11 reads it."""

_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response. The names of its headers are in lower case."""

    status_code: int
    headers: Headers


class HTTP1:
    """One connection's side of the conversation: a request and its response, then perhaps others."""

    __slots__ = (
        "_arrived", "_body_left", "_chunks", "_failure", "_h11", "_head", "_to_send", "ended",
    )  # fmt: skip

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Be ready for the next request."""
        self._h11: h11.Connection | None = None
        """What writes the request, if it is not a usual one, and reads the rest of the response, if that is not."""
        self._to_send = 0
        """Bytes that are to come of the request's body."""
        self._arrived = b""
        """What has arrived, and was not looked at."""
        self._head: ResponseHead | None = None
        """The head of a usual response."""
        self._chunks: ChunkReader | None = None
        """Reads its body, where that comes in chunks."""
        self._body_left = 0
        """Bytes that are to come of its body, where that does not."""
        self._failure: ProtocolError | None = None
        self.ended = False
        """Whether the response has been read to its end."""

    def begin(self, method: str, target: bytes, headers: Headers) -> bytes:
        """The head of a request.

        Args:
            method: one whose responses have a body: not HEAD.
            target: path and query.
            headers: all of them, with the length of the body where there is one.

        Raises:
            ProtocolError: it is not one.
        """
        self._forget()
        if head := request_head(method.encode("ascii"), target, headers):
            self._to_send = head.body_length
            return head.data
        self._h11 = _connection()
        request = h11.Request(method=method, target=target, headers=list(headers))
        return self._h11.send(request) or b""

    def data(self, piece: bytes) -> bytes:
        """Return the bytes of a chunk of the body.

        Raises:
            ProtocolError: there is more than was announced.
        """
        if self._h11 is not None:
            return self._h11.send(h11.Data(data=piece)) or b""
        self._to_send -= len(piece)
        if self._to_send < 0:
            raise h11.LocalProtocolError("Too much data for declared Content-Length")
        return piece

    def end(self) -> bytes:
        """The end of the request.

        Raises:
            ProtocolError: there was less than was announced.
        """
        if self._h11 is not None:
            return self._h11.send(h11.EndOfMessage()) or b""
        if self._to_send:
            raise h11.LocalProtocolError("Too little data for declared Content-Length")
        return b""

    def receive(self, data: bytes) -> None:
        """Take what has arrived; nothing: the other side has ended.

        Raises:
            ProtocolError: it ended before the response began, or before a usual one was whole.
        """
        if not data and not self._has_begun():
            raise h11.RemoteProtocolError("Server disconnected without sending a response.")
        if self._h11 is not None:
            self._h11.receive_data(data)
        elif data:
            self._arrived += data
        else:
            raise h11.RemoteProtocolError(
                f"peer closed connection without sending complete message body ({self._missing()})"
            )

    def response(self) -> Response | None:
        """The head of the response, None until it has arrived.

        Raises:
            ProtocolError: what came is not one.
        """
        if self._h11 is None:
            if not self._arrived:
                return None
            if head := response_head(self._arrived):
                return self._begin_body(head)
            self._h11 = _reading(self._arrived)
            self._arrived = b""
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Response):
                return Response(event.status_code, list(event.headers))
            if event is h11.NEED_DATA:
                return None

    def body(self) -> bytes:
        """Return the body that has arrived since the last call. Empty: more is to come, or it has `ended`.

        Raises:
            ProtocolError: what came is not a body, or broke off. What came before that has been returned.
        """
        if self._failure is not None:
            raise self._failure
        pieces: list[bytes] = []
        try:
            self._read_body(pieces)
        except h11.RemoteProtocolError as error:
            if not pieces:
                raise
            self._failure = error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def is_reusable(self) -> bool:
        """Return whether another request may follow: both sides are done with this one, and mean to go on."""
        if not self.ended or self._to_send or self._arrived:
            return False
        if self._head is not None and not self._head.keeps_alive:
            return False
        return self._h11 is None or (
            self._h11.our_state is h11.DONE
            and self._h11.their_state is h11.DONE
            and not self._h11.trailing_data[0]
        )

    def _has_begun(self) -> bool:
        """Whether the head of the response has arrived."""
        if self._h11 is None:
            return self._head is not None
        return self._h11.their_state is not h11.SEND_RESPONSE

    def _begin_body(self, head: ResponseHead) -> Response:
        self._head, self._arrived = head, self._arrived[head.size :]
        if head.body_length is None:
            self._chunks = ChunkReader()
        else:
            self._body_left = head.body_length
        return Response(head.status_code, head.headers)

    def _read_body(self, pieces: list[bytes]) -> None:
        if self._h11 is None:
            data, self._arrived = self._arrived, b""
            if self._chunks is None:
                self._read_length(data, pieces)
            else:
                self._read_chunks(self._chunks, data, pieces)
        if self._h11 is not None:
            while isinstance(event := self._h11.next_event(), h11.Data):
                pieces.append(bytes(event.data))
            self.ended = event is not h11.NEED_DATA

    def _read_length(self, data: bytes, pieces: list[bytes]) -> None:
        taken, self._arrived = data[: self._body_left], data[self._body_left :]
        if taken:
            pieces.append(taken)
        self._body_left -= len(taken)
        self.ended = not self._body_left

    def _read_chunks(self, chunks: ChunkReader, data: bytes, pieces: list[bytes]) -> None:
        try:
            rest = chunks.feed(data, pieces)
        except MalformedChunk as error:
            raise h11.RemoteProtocolError(str(error)) from None
        if rest is None:
            return
        if rest.startswith(_LAST_CHUNK):
            self.ended, self._arrived = True, rest[len(_LAST_CHUNK) :]
        else:
            self._h11 = _within_chunks(rest)

    def _missing(self) -> str:
        """What a body lacks whose connection has ended, in h11's words."""
        if self._head is None or self._head.body_length is None:
            return "incomplete chunked read"
        expected = self._head.body_length
        return f"received {expected - self._body_left} bytes, expected {expected}"


def _connection() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)


def _reading(data: bytes) -> h11.Connection:
    """What reads a response that begins with these bytes. How it reads does not depend on what was asked."""
    connection = _connection()
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "localhost")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    return connection


def _within_chunks(data: bytes) -> h11.Connection:
    """What reads the rest of a body in chunks, which begins with these bytes."""
    connection = _reading(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(data)
    return connection
