"""The decoder of an answer, chosen by its content type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nvcf_core.exchange import Reply
from nvcf_core.messages import Chunk

from .choice import Reading
from .event_stream import EventDecoder
from .json_body import WholeDecoder


class Decoder(Protocol):
    """Takes the bytes of an answer's body as they arrive."""

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, should nothing more arrive."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the last chunk has been returned."""
        ...

    @property
    def cut(self) -> bool:
        """Whether the client itself ended the answer, so that the rest need not be read."""
        ...

    @property
    def failed(self) -> bool:
        """Whether `end` will raise: what came before the failure has been returned."""
        ...

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete."""
        ...

    def end(self) -> Iterable[Chunk]:
        """What is left when the body has ended."""
        ...

    def answer(self) -> Chunk:
        """All that has arrived, as one chunk."""
        ...


def decoder_for(reply: Reply, reading: Reading) -> Decoder:
    """What the service sent decides, not what was asked: it may answer a stream whole."""
    kind = reply.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == "text/event-stream":
        return EventDecoder(reply, reading)
    return WholeDecoder(reply, reading)
