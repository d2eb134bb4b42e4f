"""A reply as it goes out: status, headers, and the events or the one body it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nvcf_emulator.script.script import Fault
from nvcf_emulator.specs.rejections import Refusal, Style, as_json

STREAM_TYPE = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """Bytes that go out together.

    Attributes:
        data: The bytes.
        content: Whether they bring a piece of the answer: reasoning, text or a tool call.
    """

    data: bytes
    content: bool = True


@dataclass(frozen=True)
class Outgoing:
    """A reply.

    Attributes:
        status: The status code.
        headers: The headers, without the length.
        events: Its body; for anything but a stream one event, or none.
        stream: Whether it is sent in chunks, as the events come.
        flush: Whether each event is flushed by itself; else they go out in bursts.
        delay: Seconds before the first byte.
        chunk_delay: Seconds before each event.
        fault: What goes wrong on the way.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    stream: bool = False
    flush: bool = False
    delay: float = 0.0
    chunk_delay: float = 0.0
    fault: Fault | None = None

    @property
    def body(self) -> bytes:
        """Its bytes, joined."""
        return b"".join(event.data for event in self.events)

    def with_headers(self, headers: Mapping[str, str]) -> Outgoing:
        """Return it with further headers; those it has stay."""
        return replace(self, headers={**headers, **self.headers})


def plain(
    body: bytes = b"",
    content_type: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Outgoing:
    """Return a reply with one body."""
    typed = {"content-type": content_type} if content_type else {}
    events = (Event(body),) if body else ()
    return Outgoing(status, {**typed, **(headers or {})}, events)


def json_reply(value: object, status: int = 200) -> Outgoing:
    """Return a reply with a JSON body."""
    return plain(as_json(value), "application/json", status)


def xml_error(status: int, code: str, message: str) -> Outgoing:
    """Return an error as the storage behind signed urls says it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return plain(body.encode(), "application/xml", status)


def refused(refusal: Refusal, style: Style) -> Outgoing:
    """Return the reply to a request that was turned down."""
    said = refusal.said(style)
    return plain(said.body, said.content_type, said.status, refusal.headers)


def pieces(events: Iterable[Event], size: int) -> list[Event]:
    """Return `events` with their bytes cut into pieces of `size` bytes at most."""
    return [
        Event(event.data[start : start + size], event.content and start == 0)
        for event in events
        for start in range(0, len(event.data), size)
    ]
