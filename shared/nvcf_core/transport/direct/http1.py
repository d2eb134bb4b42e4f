"""HTTP/1.1 as a client speaks it, by h11: the bytes of a request, and the response in the bytes that come. No I/O.

Heads and ends are h11's in any case. Only the chunks in between are read here, where they are as they usually are.

httpcore does the same between its locks, traces and nested generators. Without these a whole call takes a fifth less of
the processor, and a chunk that arrives alone a quarter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import h11

from .chunk_reader import ChunkReader, MalformedChunk

__all__ = ["HTTP1", "Disconnected", "ProtocolError", "Response"]

ProtocolError = h11.ProtocolError
"""What came is not HTTP/1.1, or what is to be sent is not."""

Disconnected = h11.RemoteProtocolError
"""What came is not HTTP/1.1, or the other side has ended instead."""

Response = h11.Response
"""The head of a response. The names of its headers are in lower case."""

_LONGEST_HEAD = 100 * 1024
"""Bytes that the head of a response may have, or that of one of its chunks."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")

_WITHOUT_BODY = (204, 304)
"""Statuses of responses that have no body, whatever their headers say."""


class HTTP1:
    """One connection's side of the conversation: a request and its response, then perhaps others."""

    __slots__ = ("_arrived", "_chunks", "_connection", "_failure", "_line", "ended", "heard")

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._arrived = b""
        """What has arrived, and was not looked at."""
        self._line = b""
        """The last bytes of the head so far, in which its end may have begun."""
        self._chunks: ChunkReader | None = None
        """Reads a body in chunks until h11 has to."""
        self._failure: ProtocolError | None = None
        self.ended = False
        """Whether the response has been read to its end."""
        self.heard = False
        """Whether anything has come since the request began."""

    def begin(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The head of a request.

        Args:
            method: one whose responses have a body: not HEAD.
            target: path and query.
            headers: all of them.

        Raises:
            ProtocolError: it is not one.
        """
        self.ended = self.heard = False
        request = h11.Request(method=method, target=target, headers=list(headers))
        return self._connection.send(request) or b""

    def data(self, piece: bytes) -> bytes:
        """Return the bytes of a chunk of the body.

        Raises:
            ProtocolError: there is more than was announced.
        """
        return self._connection.send(h11.Data(data=piece)) or b""

    def end(self) -> bytes:
        """The end of the request.

        Raises:
            ProtocolError: there was less than was announced.
        """
        return self._connection.send(h11.EndOfMessage()) or b""

    def receive(self, data: bytes) -> None:
        """Take what has arrived; nothing: the other side has ended.

        Raises:
            ProtocolError: it ended before the response began.
        """
        if not data and self._connection.their_state is h11.SEND_RESPONSE:
            raise h11.RemoteProtocolError("Server disconnected without sending a response.")
        if data:
            self.heard = True
            self._arrived += data
        else:
            self._chunks = None  # h11 says what is missing.
            self._connection.receive_data(data)

    def response(self) -> Response | None:
        """The head of the response, None until it has arrived.

        Raises:
            ProtocolError: what came is not one.
        """
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Response):
                if _is_chunked(event):
                    self._chunks = ChunkReader()
                return event
            if event is h11.NEED_DATA and not self._take_head():
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
        connection = self._connection
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return False
        # What came unasked would be taken for the beginning of the next response.
        if connection.trailing_data[0] or self._arrived:
            return False
        connection.start_next_cycle()
        return True

    def _take_head(self) -> bool:
        """Give h11 what has arrived up to the end of a head: what follows may be read here. False: there is nothing."""
        data, self._arrived = self._arrived, b""
        seen = len(self._line)
        head = self._line + data
        if end := _END_OF_HEAD.search(head):
            data, self._arrived, self._line = head[seen : end.end()], head[end.end() :], b""
        else:
            self._line = head[-2:]
        if data:
            self._connection.receive_data(data)
        return bool(data)

    def _read_body(self, pieces: list[bytes]) -> None:
        data, self._arrived = self._arrived, b""
        if self._chunks is not None:
            try:
                rest = self._chunks.feed(data, pieces)
            except MalformedChunk as error:
                raise h11.RemoteProtocolError(str(error)) from None
            if rest is None:
                return
            self._chunks, data = None, rest
        if data:
            self._connection.receive_data(data)
        while isinstance(event := self._connection.next_event(), h11.Data):
            pieces.append(bytes(event.data))
        self.ended = event is not h11.NEED_DATA


def _is_chunked(head: Response) -> bool:
    """Whether the body comes in chunks. h11 has made sure that no other transfer coding is named."""
    if head.status_code in _WITHOUT_BODY:
        return False
    return any(name == b"transfer-encoding" for name, _ in head.headers)
