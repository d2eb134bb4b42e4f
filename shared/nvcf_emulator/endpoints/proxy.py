"""Passes requests on to a real server, and writes each exchange down, byte for byte."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

import httpx
from starlette.types import Receive, Scope, Send

from nvcf_emulator.http.plain_asgi import (
    read_body,
    request_headers,
    request_path,
    send_chunks,
    until_the_client_leaves,
)
from nvcf_emulator.http.recording import SECRET_HEADERS, Exchange, RecordingWriter, parsed_body

__all__ = ["Proxy"]

_OF_ONE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}
)


class Proxy:
    """An application that passes requests on.

    Args:
        roots: Where the paths below each prefix go.
        writer: Where the exchanges are written.

    Attributes:
        app: The application.
    """

    def __init__(self, roots: Mapping[str, str], writer: RecordingWriter) -> None:
        self._roots = roots
        self._writer = writer
        self._ssl = httpx.create_ssl_context()
        self.app = until_the_client_leaves(self._handle)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pass_on(scope, await read_body(receive), send)

    def _url(self, path: str, query: str) -> str | None:
        for prefix, root in self._roots.items():
            if path == prefix or path.startswith(prefix + "/"):
                return root + path.removeprefix(prefix) + (f"?{query}" if query else "")
        return None

    async def _pass_on(self, scope: Scope, raw: bytes, send: Send) -> None:
        url = self._url(request_path(scope), scope["query_string"].decode())
        if url is None:
            await send_chunks(scope, send, 404, [], _one(b"404: below /v1 or /v2/nvcf alone"))
            return
        headers = request_headers(scope)
        sent = {name: value for name, value in headers.items() if name not in _OF_ONE_CONNECTION}
        # As it is, so that keys are found and the file can be read.
        sent["accept-encoding"] = "identity"
        try:
            async with (
                # No time limits: how long an answer may take is for the client to say.
                httpx.AsyncClient(verify=self._ssl, timeout=None) as client,  # noqa: S113
                client.stream(scope["method"], url, content=raw or None, headers=sent) as response,
            ):
                await self._relay(scope, raw, response, send)
        except httpx.TransportError as error:
            message = f"the recorder cannot reach {url}: {error or type(error).__name__}"
            await send_chunks(scope, send, 502, [], _one(message.encode()))

    async def _relay(self, scope: Scope, raw: bytes, response: httpx.Response, send: Send) -> None:
        chunks: list[tuple[float, bytes]] = []
        kept = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name.lower() not in _OF_ONE_CONNECTION
        ]
        complete = False
        try:
            complete = await send_chunks(
                scope, send, response.status_code, kept, _noted(response, chunks)
            )
        finally:
            headers = request_headers(scope)
            exchange = Exchange(
                method=scope["method"],
                path=request_path(scope),
                query=scope["query_string"].decode(),
                request_headers={
                    name: value for name, value in headers.items() if name not in SECRET_HEADERS
                },
                request_body=parsed_body(raw),
                status=response.status_code,
                headers=[item for item in kept if item[0].lower() not in SECRET_HEADERS],
                chunks=chunks,
                complete=complete,
            )
            self._writer.add(exchange, _keys(headers))


def _keys(headers: Mapping[str, str]) -> list[str]:
    """Return the keys of a request, without the scheme that may stand before them."""
    values = [value for name, value in headers.items() if name in SECRET_HEADERS]
    return [value.rpartition(" ")[2] for value in values if value.strip()]


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _noted(
    response: httpx.Response, chunks: list[tuple[float, bytes]]
) -> AsyncIterator[bytes]:
    """Yield the bytes of a response as they come, and note them with the pauses between.

    Raises:
        ConnectionResetError: The response broke off.
    """
    before = time.monotonic()
    try:
        async for data in response.aiter_raw():
            now = time.monotonic()
            chunks.append((now - before, data))
            before = now
            yield data
    except httpx.TransportError as error:
        raise ConnectionResetError(str(error)) from error
