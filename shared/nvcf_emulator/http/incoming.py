"""A request on its way in: read, noted, and let through to the one who answers it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from nvcf_emulator.answers.http_response import Event, Outgoing, plain, refused
from nvcf_emulator.http.error_bodies import failure
from nvcf_emulator.http.fault_injection import Delivery
from nvcf_emulator.script.script import Failure, Fault, Place, Raw, Step
from nvcf_emulator.specs.rejections import Refusal
from nvcf_emulator.state import Received, State
from nvcf_emulator.validation.request import parse_body

LARGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Incoming:
    """A request that was read.

    Attributes:
        request: The request itself.
        account: Whose key it carries.
        body: The parsed body; None where there is none.
    """

    request: Request
    account: str
    body: dict[str, Any] | None = None

    def header(self, name: str) -> str | None:
        """Return a header's value, None where it is missing."""
        return self.request.headers.get(name)

    @property
    def path(self) -> dict[str, str]:
        """The variable parts of the path."""
        return {name: str(value) for name, value in self.request.path_params.items()}


Answerer = Callable[[Incoming], Awaitable[Outgoing]]


def received(request: Request, place: Place, raw: bytes = b"", body: Any = None) -> Received:
    """Return the note of a request."""
    return Received(
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        headers=dict(request.headers),
        body=body,
        raw=raw,
        length=len(raw),
        place=place,
    )


async def admit(request: Request, place: Place, state: State) -> Incoming:
    """Read a request and note it.

    Raises:
        Refusal: Its body is too large or no JSON, or its key is missing or wrong.
    """
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > LARGEST_BODY:
            state.record(received(request, place))
            raise Refusal("Request Entity Too Large", status=413, style="text")
    body: dict[str, Any] | None = None
    bad_body: Refusal | None = None
    try:
        body = parse_body(bytes(raw)) if raw else None
    except Refusal as error:
        bad_body = error
    state.record(received(request, place, bytes(raw), body))
    account = authorized(request, state)
    if bad_body:
        raise bad_body
    return Incoming(request, account, body)


def authorized(request: Request, state: State) -> str:
    """Return the account whose key the request carries.

    Raises:
        Refusal: 401 without a key, 403 with a wrong one.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise Refusal("Header of type `authorization` was missing", status=401, style="text")
    scheme, _, key = header.partition(" ")
    account = state.account(key) if scheme.lower() == "bearer" else None
    if account is None:
        raise Refusal("Authorization failed", status=403, style="problem")
    return account


def stamped(outgoing: Outgoing, request_id: str) -> Outgoing:
    """Return a reply with the headers that every reply of the service carries."""
    status = "fulfilled" if outgoing.status < 400 else "errored"
    return outgoing.with_headers({"nvcf-reqid": request_id, "nvcf-status": status})


def raw_reply(step: Raw) -> Outgoing:
    """Return the exact bytes that a test queued, each chunk flushed by itself."""
    return Outgoing(
        step.status,
        {name.lower(): value for name, value in step.headers.items()},
        tuple(Event(chunk) for chunk in step.chunks),
        stream=True,
        flush=True,
    )


def within_reply(step: Step) -> bool:
    """Tell whether a step is a fault that happens inside a reply."""
    return isinstance(step, Fault) and not step.before_reply


def replaces_reply(step: Step) -> bool:
    """Tell whether a step stands in the place of a reply."""
    return not within_reply(step)


def instead(
    state: State, place: Place, wanted: Callable[[Step], bool] = replaces_reply
) -> Outgoing | None:
    """Return what the next step puts in the place of a reply, None if it is not `wanted`."""
    step = state.take(place, wanted)
    if isinstance(step, Failure):
        return failure(step, place)
    if isinstance(step, Raw):
        return raw_reply(step)
    return Outgoing(fault=step) if isinstance(step, Fault) else None


def with_fault(outgoing: Outgoing, state: State, place: Place) -> Outgoing:
    """Return a reply with the fault that the next step says happens inside it, if it does."""
    step = state.take(place, within_reply)
    return replace(outgoing, fault=step) if isinstance(step, Fault) else outgoing


def endpoint(
    state: State, place: Place, answerer: Answerer
) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of a route whose replies are whole, in which queued steps happen."""

    async def handle(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            arrived = await admit(request, place, state)
            outgoing = instead(state, place)
            if outgoing is None:
                outgoing = await answerer(arrived)
                # A fault inside the reply waits for the poll that brings one.
                if outgoing.status != 202:
                    outgoing = with_fault(outgoing, state, place)
        except Refusal as refusal:
            outgoing = refused(refusal, "problem")
        return Delivery(stamped(outgoing, request_id), state)

    return handle


def nothing_there(state: State) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return the handler of requests that there is no route for."""

    async def handle(request: Request, _: Exception) -> Response:
        state.record(received(request, "any"))
        body = plain(b"404 page not found", "text/plain; charset=utf-8", 404)
        return Delivery(stamped(body, str(uuid.uuid4())), state)

    return handle
