"""A request on its way in: read, noted, and passed to what answers it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from nvcf_emulator.answers.http_response import (
    Event,
    HTTPResponse,
    plain_response,
    rejection_response,
)
from nvcf_emulator.http.error_bodies import failure_response
from nvcf_emulator.http.fault_injection import ResponseSender
from nvcf_emulator.script.chat_request import ChatRequest
from nvcf_emulator.script.steps import Failure, Fault, Place, Raw, Step
from nvcf_emulator.specs.rejections import Rejection
from nvcf_emulator.state import Received, State
from nvcf_emulator.validation.request import parse_body

__all__ = [
    "Incoming",
    "as_received",
    "breaks_within_response",
    "endpoint",
    "not_found",
    "raw_response",
    "read_request",
    "scripted_response",
    "with_fault",
    "with_request_id",
]

LARGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Incoming:
    """A request that was read.

    Attributes:
        request: The request itself.
        account: Whose key it carries.
        noted: What is remembered of it.
        body: The parsed body; None where there is none.
    """

    request: Request
    account: str
    noted: Received
    body: dict[str, Any] | None = None

    def header(self, name: str) -> str | None:
        """Return a header's value, None where it is missing."""
        return self.request.headers.get(name)

    @property
    def path(self) -> dict[str, str]:
        """The variable parts of the path."""
        return {name: str(value) for name, value in self.request.path_params.items()}


Handler = Callable[[Incoming], Awaitable[HTTPResponse]]


def as_received(request: Request, place: Place, raw: bytes = b"", body: Any = None) -> Received:
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


async def read_request(request: Request, place: Place, state: State) -> Incoming:
    """Read a request and note it.

    Raises:
        Rejection: Its body is too large or not JSON, or its key is missing or wrong.
    """
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > LARGEST_BODY:
            state.note(as_received(request, place))
            raise Rejection("Request Entity Too Large", status=413, style="text")
    body: dict[str, Any] | None = None
    bad_body: Rejection | None = None
    try:
        body = parse_body(bytes(raw)) if raw else None
    except Rejection as error:
        bad_body = error
    noted = as_received(request, place, bytes(raw), body)
    state.note(noted)
    account = authorized(request, state)
    if bad_body:
        raise bad_body
    return Incoming(request, account, noted, body)


def authorized(request: Request, state: State) -> str:
    """Return the account whose key the request carries.

    Raises:
        Rejection: 401 without a key, 403 with a wrong one.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise Rejection("Header of type `authorization` was missing", status=401, style="text")
    scheme, _, key = header.partition(" ")
    account = state.account(key) if scheme.lower() == "bearer" else None
    if account is None:
        raise Rejection("Authorization failed", status=403, style="problem")
    return account


def with_request_id(response: HTTPResponse, request_id: str) -> HTTPResponse:
    """Return a response with the headers that every response of the service carries."""
    status = "fulfilled" if response.status < 400 else "errored"
    return response.with_headers({"nvcf-reqid": request_id, "nvcf-status": status})


def raw_response(step: Raw) -> HTTPResponse:
    """Return the exact bytes that a test scripted, each chunk flushed by itself."""
    return HTTPResponse(
        step.status,
        {name.lower(): value for name, value in step.headers.items()},
        tuple(Event(chunk) for chunk in step.chunks),
        stream=True,
        flush=True,
    )


def breaks_within_response(step: Step) -> bool:
    """Tell whether a step is a fault that happens inside a response."""
    return isinstance(step, Fault) and not step.before_response


def replaces_response(step: Step) -> bool:
    """Tell whether a step stands in the place of a response."""
    return not breaks_within_response(step)


def scripted_response(
    state: State,
    place: Place,
    wanted: Callable[[Step], bool] = replaces_response,
    request: ChatRequest | None = None,
) -> HTTPResponse | None:
    """Return what the next step puts in the place of a response, None if it is not `wanted`."""
    step = state.script.queue.take(place, wanted, request)
    if isinstance(step, Failure):
        return failure_response(step, place)
    if isinstance(step, Raw):
        return raw_response(step)
    return HTTPResponse(fault=step) if isinstance(step, Fault) else None


def with_fault(response: HTTPResponse, state: State, place: Place) -> HTTPResponse:
    """Return a response with the fault that the next step says happens inside it, if it does."""
    step = state.script.queue.take(place, breaks_within_response)
    return replace(response, fault=step) if isinstance(step, Fault) else response


def endpoint(
    state: State, place: Place, handler: Handler
) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of a route whose responses are whole, in which scripted steps happen."""

    async def handle(request: Request) -> Response:
        request_id = str(uuid.uuid4())
        try:
            arrived = await read_request(request, place, state)
            response = scripted_response(state, place)
            if response is None:
                response = await handler(arrived)
                # A fault inside the response waits for the poll that brings one.
                if response.status != 202:
                    response = with_fault(response, state, place)
        except Rejection as rejection:
            response = rejection_response(rejection, "problem")
        return ResponseSender(with_request_id(response, request_id), state)

    return handle


def not_found(state: State) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return the handler of requests that there is no route for."""

    async def handle(request: Request, _: Exception) -> Response:
        state.note(as_received(request, "any"))
        body = plain_response(b"404 page not found", "text/plain; charset=utf-8", 404)
        return ResponseSender(with_request_id(body, str(uuid.uuid4())), state)

    return handle
