"""Sending a response over a connection: whole, or broken in the way a test asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nvcf_emulator.answers.http_response import Event, HTTPResponse
from nvcf_emulator.answers.stream import index_of_content_event
from nvcf_emulator.http.connection import Connection
from nvcf_emulator.script.steps import Fault, FaultKind
from nvcf_emulator.state import State

__all__ = ["WITHOUT_BODY", "ResponseSender", "break_connection"]

BURST = 16
ENDLESS_BYTES = 288 * 1024 * 1024  # More than any client is to hold of one answer.

_EVENTS_FIRST = 2
_SHARE_FIRST = 0.5
_BLOCK = b"x" * 65536
_BAD_JSON = b'data: {"id":"broken","choices":[{"index":0,"delta":{"content":"br\n\n'
_BAD_UTF8 = b'data: {"id":"broken","choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n'
_ENDLESS = b'data: {"id":"endless","choices":[{"index":0,"delta":{"content":"'

WITHOUT_BODY: Mapping[FaultKind, FaultKind] = {
    "truncate": "close",
    "half-close": "half-close",
    "stall-body": "stall",
    "bad-json": "garbage",
    "bad-utf8": "garbage",
    "endless-line": "garbage",
}
"""What becomes of a fault inside the response where that has no body to break."""


class ResponseSender(Response):
    """Sends an `HTTPResponse`, with its fault on the way if it has one.

    Args:
        response: What to send.
        state: Where it is counted among the responses being produced.
    """

    def __init__(self, response: HTTPResponse, state: State) -> None:
        super().__init__()
        self._response = response
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's)
        """Send it."""
        connection: Connection = scope["state"]["connection"]
        with self._state.producing():
            if self._response.delay and not self._response.head_first:
                await asyncio.sleep(self._response.delay)
            fault = self._response.fault
            if fault is None:
                await _send(self._response, send)
            elif fault.before_response:
                await break_connection(connection, fault.kind)
            else:
                await _Broken(self._response, fault, connection, send).deliver()


async def break_connection(connection: Connection, kind: FaultKind) -> None:
    """Break a connection at once, in the way `kind` says, and wait until it is gone."""
    if kind == "reset":
        connection.reset()
    elif kind == "garbage":
        connection.garbage()
    elif kind == "half-close":
        connection.half_close()
    elif kind in ("close", "truncate"):
        connection.close()
    await connection.wait_lost()


async def _start(response: HTTPResponse, send: Send, length: int | None) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
    if length is not None and "content-length" not in response.headers:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.head_first:
        await asyncio.sleep(response.delay)


async def _body(send: Send, data: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _send(response: HTTPResponse, send: Send) -> None:
    if not response.stream:
        body = response.body
        await _start(response, send, len(body))
        await _body(send, body, more=False)
        return
    await _start(response, send, None)
    await _send_events(response, response.events, send)
    await _body(send, b"", more=False)


async def _send_events(response: HTTPResponse, events: tuple[Event, ...], send: Send) -> None:
    if response.flush or response.chunk_delay:
        for event in events:
            await asyncio.sleep(response.chunk_delay)
            await _body(send, event.data)
        return
    # The first event by itself, as a model's first token; then as fast as the socket takes them,
    # with a look at the loop between bursts so that a client that left is noticed.
    start, end = 0, 1
    while start < len(events):
        await _body(send, b"".join(event.data for event in events[start:end]))
        await asyncio.sleep(0)
        start, end = end, end + BURST


class _Broken:
    """One response that breaks after its first byte."""

    def __init__(
        self, response: HTTPResponse, fault: Fault, connection: Connection, send: Send
    ) -> None:
        self._response = response
        self._fault = fault
        self._connection = connection
        self._send = send

    async def deliver(self) -> None:
        """Send what comes before the fault, then let it happen."""
        kind = self._fault.kind
        if not self._response.events:
            await break_connection(self._connection, WITHOUT_BODY.get(kind, kind))
            return
        before, after = self._split()
        if kind in ("bad-json", "bad-utf8"):
            await self._corrupted(before, after)
            return
        length = None if self._response.stream else len(self._response.body)
        await _start(self._response, self._send, None if kind == "endless-line" else length)
        await _send_events(self._response, before, self._send)
        if kind == "endless-line":
            await self._endless()
        elif kind == "truncate" and after and self._response.stream:
            await _body(self._send, after[0].data[: len(after[0].data) // 2])
        await break_connection(self._connection, "close" if kind == "endless-line" else kind)

    def _split(self) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
        """Return the events before the fault and those behind it."""
        events = self._response.events
        after = self._fault.after
        if self._response.stream:
            wanted = _EVENTS_FIRST if after is None else after
            if isinstance(wanted, float):
                wanted = int(wanted * sum(event.content for event in events))
            place = index_of_content_event(events, wanted)
            return events[:place], events[place:]
        body = self._response.body
        share = _SHARE_FIRST if after is None else after
        place = min(int(len(body) * share), len(body) - 1)
        return (Event(body[:place]),), (Event(body[place:]),)

    async def _corrupted(self, before: tuple[Event, ...], after: tuple[Event, ...]) -> None:
        bad_json = self._fault.kind == "bad-json"
        if self._response.stream:
            middle = _BAD_JSON if bad_json else _BAD_UTF8
            await _start(self._response, self._send, None)
            await _send_events(self._response, (*before, Event(middle), *after), self._send)
            await _body(self._send, b"", more=False)
            return
        body = before[0].data
        if not bad_json:
            body += b"\xff\xfe" + after[0].data
        await _start(self._response, self._send, len(body))
        await _body(self._send, body, more=False)

    async def _endless(self) -> None:
        if self._response.stream:
            await _body(self._send, _ENDLESS)
        for _ in range(ENDLESS_BYTES // len(_BLOCK)):
            await _body(self._send, _BLOCK)
            await asyncio.sleep(0)
