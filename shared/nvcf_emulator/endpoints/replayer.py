"""A server that answers from a recording, and says in what a request differs from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

from starlette.types import ASGIApp, Receive, Scope, Send

from nvcf_emulator.http.background_server import BackgroundServer
from nvcf_emulator.http.plain_asgi import (
    request_headers,
    request_path,
    send_chunks,
    until_the_client_leaves,
)
from nvcf_emulator.http.recorded_bodies import drained, sent_body
from nvcf_emulator.http.recording import Exchange, Recording
from nvcf_emulator.specs.rejections import encode_json
from nvcf_emulator.state import API_KEY

__all__ = ["Replayer"]

_MOST_SHOWN = 10


class Replayer:
    """A server that answers each request as a recording has it, once.

    Leaving its `with` block raises `AssertionError` where a request was not recorded.

    Args:
        path: The recording.
        pauses: Whether the pauses between the chunks of an answer are kept.
        port: TCP port; 0 for a free one.
        host: Address to listen on.

    Attributes:
        api_key: A key to use; any is accepted.
        differing: For each request that was not recorded, what differs from the nearest one.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a recording.
    """

    def __init__(
        self, path: str | Path, pauses: bool = False, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.api_key = API_KEY
        self.differing: list[str] = []
        self._recording = Recording.read(Path(path))
        self._pauses = pauses
        self._server = BackgroundServer(host, port, self._make_app)

    def __enter__(self) -> Replayer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if not self.differing:
            return
        said = "\n".join(self.differing)
        if error is None:
            raise AssertionError(said)
        error.add_note(said)

    @property
    def base_url(self) -> str:
        """The root of the models' endpoints; ends in `/v1`."""
        return f"{self._server.root}/v1"

    @property
    def nvcf_url(self) -> str:
        """The root of the asset, polling and function API."""
        return f"{self._server.root}/v2/nvcf"

    @property
    def unused(self) -> list[Exchange]:
        """The recorded exchanges that no request came for, in order; a new list."""
        return list(self._recording.exchanges)

    def start(self) -> Replayer:
        """Start to listen, in a thread; return itself. A running one goes on."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop to listen."""
        self._server.stop()

    def _make_app(self) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            body = await sent_body(scope, receive)
            await drained(body)
            request = Exchange(
                method=scope["method"],
                path=request_path(scope),
                query=scope["query_string"].decode(),
                request_headers=request_headers(scope),
                request_body=body.recorded(),
                status=0,
            )
            await self._answer(scope, send, request)

        return until_the_client_leaves(app)

    async def _answer(self, scope: Scope, send: Send, request: Exchange) -> None:
        found = self._recording.take(request)
        if found is None:
            body = encode_json({"error": {"message": self._differs(request), "code": 500}})
            headers = [("content-type", "application/json"), ("x-should-retry", "false")]
            await send_chunks(scope, send, 500, headers, _chunks(_alone(body), False))
            return
        found = found.at(f"http://{request.request_headers['host']}")
        await send_chunks(scope, send, found.status, found.headers, _chunks(found, self._pauses))

    def _differs(self, request: Exchange) -> str:
        nearest = self._recording.nearest(request)
        more = f" and {len(nearest) - _MOST_SHOWN} more" if len(nearest) > _MOST_SHOWN else ""
        said = (
            f"{request.method} {request.path} is not in {self._recording.path.name}; the nearest "
            f"recorded request differs in {'; '.join(nearest[:_MOST_SHOWN])}{more}. Record anew, "
            "or send what was recorded."
        )
        self.differing.append(said)
        return said


def _alone(body: bytes) -> Exchange:
    return Exchange("", "", "", {}, None, 500, chunks=[(0.0, body)])


async def _chunks(exchange: Exchange, pauses: bool) -> AsyncIterator[bytes]:
    for pause, data in exchange.chunks:
        if pauses:
            await asyncio.sleep(pause)
        yield data
    if not exchange.complete:
        raise ConnectionResetError("the recorded response broke off here")
