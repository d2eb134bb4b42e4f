"""A response as it goes out: status, headers, and the events or the one body it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nvcf_emulator.script.steps import Fault
from nvcf_emulator.specs.rejections import Rejection, Style, encode_json

__all__ = [
    "Event",
    "HTTPResponse",
    "json_response",
    "plain_response",
    "rejection_response",
    "split_events",
    "xml_error",
]


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
class HTTPResponse:
    """A response.

    Attributes:
        status: The status code.
        headers: The headers, without the length.
        events: Its body; for anything but a stream one event, or none.
        stream: Whether it is sent in chunks, as the events come.
        flush: Whether each event is flushed by itself; else they go out in bursts.
        delay: Seconds before the first byte.
        head_first: Whether the delay comes between the head and the body instead.
        chunk_delay: Seconds before each event.
        fault: What goes wrong on the way.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    stream: bool = False
    flush: bool = False
    delay: float = 0.0
    head_first: bool = False
    chunk_delay: float = 0.0
    fault: Fault | None = None

    @property
    def body(self) -> bytes:
        """Its bytes, joined."""
        return b"".join(event.data for event in self.events)

    def with_headers(self, headers: Mapping[str, str]) -> HTTPResponse:
        """Return it with further headers; those it has stay."""
        return replace(self, headers={**headers, **self.headers})


def plain_response(
    body: bytes = b"",
    content_type: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTTPResponse:
    """Return a response with one body."""
    typed = {"content-type": content_type} if content_type else {}
    events = (Event(body),) if body else ()
    return HTTPResponse(status, {**typed, **(headers or {})}, events)


def json_response(value: object, status: int = 200) -> HTTPResponse:
    """Return a response with a JSON body."""
    return plain_response(encode_json(value), "application/json", status)


def xml_error(status: int, code: str, message: str) -> HTTPResponse:
    """Return an error as the storage behind signed urls says it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return plain_response(body.encode(), "application/xml", status)


def rejection_response(rejection: Rejection, style: Style) -> HTTPResponse:
    """Return the response to a request that was rejected."""
    said = rejection.error_body(style)
    return plain_response(said.body, said.content_type, said.status, rejection.headers)


def split_events(events: Iterable[Event], size: int) -> list[Event]:
    """Return `events` with their bytes cut into pieces of `size` bytes at most."""
    return [
        Event(event.data[start : start + size], event.content and start == 0)
        for event in events
        for start in range(0, len(event.data), size)
    ]
