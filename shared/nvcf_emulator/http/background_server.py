"""An application served over HTTP by a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from nvcf_emulator.http.connection import Connection

__all__ = ["BackgroundServer"]

_BACKLOG = 2048
_KEEP_ALIVE = 75
_TURNS_UNTIL_NOTED = 3
"""Turns of the event loop from accepting a connection until it is among those that are dropped."""
_START_SECONDS = 10.0


class BackgroundServer:
    """A server in a thread of its own.

    Args:
        host: Address to listen on.
        port: TCP port; 0 for a free one.
        make_app: Makes the application, anew at each start.
        changed: Is called whenever a connection comes or goes.
    """

    def __init__(
        self,
        host: str,
        port: int,
        make_app: Callable[[], ASGIApp],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._wanted = (host, port)
        self._make_app = make_app
        self._changed = changed
        self._server_state = ServerState()
        self._address: tuple[str, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def root(self) -> str:
        """Its url, without a path.

        Raises:
            RuntimeError: It was not started.
        """
        if self._address is None:
            raise RuntimeError("the emulator is not running: call start(), or use it with `with`")
        host, port = self._address
        return f"http://{host}:{port}"

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open."""
        return len(self._server_state.connections)

    def drop_connections(self) -> None:
        """Close every connection that is open; return when they are gone."""
        if self._loop is None:
            return
        dropped = asyncio.run_coroutine_threadsafe(self._drop(self._server_state), self._loop)
        dropped.result(_START_SECONDS)

    def start(self) -> None:
        """Start to listen, in a thread. A running one goes on.

        Raises:
            OSError: The port is taken.
        """
        if self._thread is not None:
            return
        listener = socket.create_server(self._wanted, backlog=_BACKLOG)
        host, port = listener.getsockname()[:2]
        self._address = (host, port)
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, started), name="nvcf-emulator", daemon=True
        )
        self._thread.start()
        if not started.wait(_START_SECONDS):
            raise RuntimeError(f"the emulator did not start within {_START_SECONDS} seconds")

    def stop(self) -> None:
        """Drop every connection, stop to listen, and end the thread. Does nothing if stopped."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self._thread = self._loop = self._stopping = self._address = None

    def _run(self, listener: socket.socket, started: threading.Event) -> None:
        asyncio.run(self._serve(listener, started))

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        state = self._server_state
        config = Config(
            self._make_app(),
            interface="asgi3",
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE,
        )
        config.load()
        server = await loop.create_server(
            lambda: Connection(config, state, loop, self._changed), sock=listener, backlog=_BACKLOG
        )
        started.set()
        await self._stopping.wait()
        # asyncio leaves a connection open that was accepted just before its server is closed.
        for _ in range(_TURNS_UNTIL_NOTED):
            await asyncio.sleep(0)
        server.close()
        await self._drop(state)
        await server.wait_closed()

    @staticmethod
    async def _drop(state: ServerState) -> None:
        """Cut every connection, and wait for the work that was done on it."""
        for connection in list(state.connections):
            connection.transport.abort()
        while state.connections or state.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*state.tasks)
            await asyncio.sleep(0)
