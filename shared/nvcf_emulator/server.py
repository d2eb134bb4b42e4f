"""The stand-in as a server in a thread of its own, with everything a test may tell it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from types import TracebackType

from uvicorn.config import Config
from uvicorn.server import ServerState

from nvcf_emulator.app import BASE, NVCF, build
from nvcf_emulator.http.connection import Connection
from nvcf_emulator.state import State

API_KEY = "nvapi-emulator-0123456789abcdefghijklmnopqrstuvwxyz"

_BACKLOG = 2048
_KEEP_ALIVE = 75
_START_SECONDS = 10.0


class Emulator(State):
    """A local stand-in for the service, over real HTTP, strict about what the pages say.

    It is not a model: it answers by saying what it understood, or what a test told it to. Usable
    as a context manager; everything on it may be called from any thread.

    Args:
        port: TCP port; 0 for a free one.
        host: Address to listen on.
        api_key: The key that it accepts; `add_key` adds others.
        models: Further ids of models, served without the rules of any page.
        hash_uploads: Whether what is put at signed urls is hashed.

    Raises:
        OSError: At `start`, if the port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        api_key: str = API_KEY,
        models: Sequence[str] = (),
        hash_uploads: bool = True,
    ) -> None:
        super().__init__(api_key, tuple(models))
        self._wanted = (host, port)
        self._hash_uploads = hash_uploads
        self._server_state = ServerState()
        self._address: tuple[str, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

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
    def base_url(self) -> str:
        """The root of the models' endpoints; ends in `/v1`."""
        return self.root + BASE

    @property
    def nvcf_url(self) -> str:
        """The root of the asset, polling and function API."""
        return self.root + NVCF

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open."""
        return len(self._server_state.connections)

    def reset(self) -> None:
        """Make it as new: forget everything a test did to it, and drop every connection."""
        super().reset()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every connection that is open; return when they are gone."""
        if self._loop is None:
            return
        dropped = asyncio.run_coroutine_threadsafe(self._drop(self._server_state), self._loop)
        dropped.result(_START_SECONDS)

    def start(self) -> Emulator:
        """Start to listen, in a thread; return itself. A running one goes on."""
        if self._thread is not None:
            return self
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
        return self

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
            build(self, self._hash_uploads),
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
            lambda: Connection(config, state, loop, self.notify), sock=listener, backlog=_BACKLOG
        )
        started.set()
        await self._stopping.wait()
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
