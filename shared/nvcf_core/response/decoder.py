"""The decoder of an answer, chosen by its content type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nvcf_core.exchange import Response
from nvcf_core.messages import Chunk

from .choice import DecodeOptions
from .event_stream import EventStreamDecoder
from .json_body import JSONBodyDecoder

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
    def has_failure(self) -> bool:
        """Whether `end` will raise: what came before the failure has been returned."""
        ...

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete."""
        ...

    def flush(self) -> Iterable[Chunk]:
        """What is left when the body has ended."""
        ...

    def snapshot(self) -> Chunk:
        """All that has arrived, as one chunk."""
        ...


def decoder_for(response: Response, reading: DecodeOptions) -> Decoder:
    """What the service sent decides, not what was asked: it may answer a stream whole."""
    kind = response.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == "text/event-stream":
        return EventStreamDecoder(response, reading)
    return JSONBodyDecoder(response, reading)
