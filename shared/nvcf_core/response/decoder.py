"""The decoder of an answer, chosen by its content type, or by its first bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nvcf_core.exchange import Response
from nvcf_core.messages import Chunk

from .event_stream import EventStreamDecoder
from .json_body import JSONBodyDecoder
from .options import DecodeOptions

__all__ = ["Decoder", "UnlabelledDecoder", "decoder_for"]

_BOM = b"\xef\xbb\xbf"
_EVENT_FIELDS = (b"", b"data", b"event", b"id", b"retry")
"""What a line of events begins with, before its colon; a comment begins with the colon itself."""

__all__ = ["Decoder", "decoder_for"]


class Decoder(Protocol):
    """Takes the bytes of an answer's body as they arrive."""

    @property
    def can_end(self) -> bool:
        """Whether the answer is whole, should nothing more arrive."""
        ...

    @property
    def done(self) -> bool:
        """Whether the last chunk has been returned."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether the client itself ended the answer, so that the rest need not be read."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether nothing is returned before the body has ended."""
        ...

    @property
    def has_failure(self) -> bool:
        """Whether `flush` will raise; the chunks before the failure have been returned."""
        ...

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete."""
        ...

    def flush(self) -> Iterable[Chunk]:
        """Return what is left when the body has ended."""
        ...

    def snapshot(self) -> Chunk:
        """Return all that has arrived, as one chunk."""
        ...


class UnlabelledDecoder:
    """Decodes an answer that its content type does not call events, by its first bytes: events, or one JSON text."""

    def __init__(self, response: Response, options: DecodeOptions) -> None:
        self._response, self._options = response, options
        self._decoder: Decoder = JSONBodyDecoder(response, options)
        self._beginning: list[bytes] = []
        self._said = b""
        """The first bytes after white space, until they are enough to decide."""
        self._decided = False

    @property
    def can_end(self) -> bool:
        """See `Decoder`."""
        return self._decoder.can_end

    @property
    def done(self) -> bool:
        """See `Decoder`."""
        return self._decoder.done

    @property
    def stopped(self) -> bool:
        """See `Decoder`."""
        return self._decoder.stopped

    @property
    def at_end(self) -> bool:
        """See `Decoder`."""
        return self._decoder.at_end

    @property
    def has_failure(self) -> bool:
        """See `Decoder`."""
        return self._decoder.has_failure

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete."""
        if self._decided:
            return self._decoder.feed(data)
        self._beginning.append(data)
        said = self._said + data
        if _BOM.startswith(said):
            self._said = said
            return []
        self._said = said.removeprefix(_BOM).lstrip()
        field, colon, _ = self._said.partition(b":")
        if not colon and any(name.startswith(field) for name in _EVENT_FIELDS):
            return []  # Too few bytes to decide.
        self._decided = True
        if colon and field in _EVENT_FIELDS:
            self._decoder = EventStreamDecoder(self._response, self._options)
        beginning = b"".join(self._beginning)
        self._said, self._beginning = b"", []
        return self._decoder.feed(beginning)

    def flush(self) -> Iterable[Chunk]:
        """Return what is left when the body has ended."""
        if not self._decided:
            if self._options.stream and not self._said.strip():
                self._decoder = EventStreamDecoder(self._response, self._options)
            self._decoder.feed(b"".join(self._beginning))
        return self._decoder.flush()

    def snapshot(self) -> Chunk:
        """Return all that has arrived, as one chunk."""
        return self._decoder.snapshot()


def decoder_for(response: Response, options: DecodeOptions) -> Decoder:
    """Return a decoder by the content type of the response. A streaming request may get a JSON body."""
    kind = response.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == "text/event-stream":
        return EventStreamDecoder(response, options)
    return UnlabelledDecoder(response, options)
