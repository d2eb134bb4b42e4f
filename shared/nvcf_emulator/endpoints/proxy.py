"""Passes requests on to a real server, and writes each exchange down, byte for byte."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import httpx
from starlette.types import Receive, Scope, Send

from nvcf_emulator.http.plain_asgi import (
    request_headers,
    request_path,
    send_chunks,
    until_the_client_leaves,
)
from nvcf_emulator.http.recorded_bodies import SentBody, sent_body
from nvcf_emulator.http.recording import Exchange, RecordingWriter
from nvcf_emulator.http.redaction import SECRET_HEADERS
from nvcf_emulator.http.signed_urls import SignedUrls, is_signed, led_to

__all__ = ["Proxy"]

_OF_ONE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}
)


class Proxy:
    """An application that passes requests on.

    The signed urls that the service gives out, of uploads and of large results, are replaced by
    some of its own, so that their requests come here as well.

    Args:
        roots: Where the paths below each prefix go.
        writer: Where the exchanges are written.

    Attributes:
        app: The application.
    """

    def __init__(self, roots: Mapping[str, str], writer: RecordingWriter) -> None:
        self._roots = roots
        self._writer = writer
        self._signed = SignedUrls()
        self._ssl = httpx.create_ssl_context()
        self.app = until_the_client_leaves(self._handle)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = self._url(request_path(scope), scope["query_string"].decode())
        body = await sent_body(scope, receive)
        if url is None:
            await send_chunks(scope, send, 404, [], _one(b"404: below /v1 or /v2/nvcf alone"))
            return
        await self._pass_on(scope, body, url, send)

    def _url(self, path: str, query: str) -> str | None:
        if is_signed(path):
            return self._signed.url(path)
        for prefix, root in self._roots.items():
            if path == prefix or path.startswith(prefix + "/"):
                return root + path.removeprefix(prefix) + (f"?{query}" if query else "")
        return None

    async def _pass_on(self, scope: Scope, body: SentBody, url: str, send: Send) -> None:
        try:
            async with (
                # No time limits: how long an answer may take is for the client to say.
                httpx.AsyncClient(verify=self._ssl, timeout=None) as client,  # noqa: S113
                client.stream(
                    scope["method"], url, content=body.content, headers=_headers_to_send(scope)
                ) as response,
            ):
                await self._relay(scope, body, response, send)
        except httpx.TransportError as error:
            message = f"the recorder cannot reach {url}: {error or type(error).__name__}"
            await send_chunks(scope, send, 502, [], _one(message.encode()))

    async def _relay(
        self, scope: Scope, body: SentBody, response: httpx.Response, send: Send
    ) -> None:
        received = request_headers(scope)
        root = f"http://{received['host']}"
        begun = Exchange(
            method=scope["method"],
            path=request_path(scope),
            query=scope["query_string"].decode(),
            request_headers={
                name: value for name, value in received.items() if name not in SECRET_HEADERS
            },
            request_body=None,
            status=response.status_code,
        )
        headers = self._response_headers(response)
        chunks: list[tuple[float, bytes]] = []
        pieces = _noted(response.aiter_raw(), chunks)
        if begun.creates_asset:
            headers = [item for item in headers if item[0].lower() != "content-length"]
            described = _whole(response.aiter_raw(), self._signed.replaced_in)
            pieces = _whole(_noted(described, chunks), lambda data: led_to(root, data))
        complete = False
        try:
            sent = [(name, led_to(root, value)) for name, value in headers]
            complete = await send_chunks(scope, send, response.status_code, sent, pieces)
        finally:
            ended = replace(
                begun,
                request_body=body.recorded(),
                headers=[item for item in headers if item[0].lower() not in SECRET_HEADERS],
                chunks=chunks,
                complete=complete,
            )
            self._writer.add(ended, _keys(received))

    def _response_headers(self, response: httpx.Response) -> list[tuple[str, str]]:
        return [
            (name, self._location(response, value) if name.lower() == "location" else value)
            for name, value in response.headers.multi_items()
            if name.lower() not in _OF_ONE_CONNECTION
        ]

    def _location(self, response: httpx.Response, value: str) -> str:
        """Return where a redirect leads by way of the recorder."""
        url = str(response.url.join(value))
        for prefix, root in self._roots.items():
            if url.startswith(root + "/"):
                return self._signed.of_recorder(prefix + url.removeprefix(root))
        return self._signed.replaced(url)


def _headers_to_send(scope: Scope) -> dict[str, str]:
    headers = request_headers(scope)
    sent = {name: value for name, value in headers.items() if name not in _OF_ONE_CONNECTION}
    # As it is, so that keys are found and the file can be read.
    sent["accept-encoding"] = "identity"
    if scope["method"] == "GET" and is_signed(request_path(scope)):
        # A client takes its key off where a redirect leads to another host, which is hidden here.
        sent.pop("authorization", None)
    return sent


def _keys(headers: Mapping[str, str]) -> list[str]:
    """Return the keys of a request, without the scheme that may stand before them."""
    values = [value for name, value in headers.items() if name in SECRET_HEADERS]
    return [value.rpartition(" ")[2] for value in values if value.strip()]


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _whole(
    pieces: AsyncIterator[bytes], change: Callable[[bytes], bytes]
) -> AsyncIterator[bytes]:
    """Yield all pieces as one, changed."""
    yield change(b"".join([piece async for piece in pieces]))


async def _noted(
    pieces: AsyncIterator[bytes], chunks: list[tuple[float, bytes]]
) -> AsyncIterator[bytes]:
    """Yield the bytes of a response as they come, and note them with the pauses between.

    Raises:
        ConnectionResetError: The response broke off.
    """
    before = time.monotonic()
    try:
        async for data in pieces:
            now = time.monotonic()
            chunks.append((now - before, data))
            before = now
            yield data
    except httpx.TransportError as error:
        raise ConnectionResetError(str(error)) from error
