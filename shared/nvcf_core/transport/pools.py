"""One connection pool for each event loop, closed in that loop; and the one of the synchronous calls."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator

from nvcf_core.locks import Lock

from .clients import ClientConfig
from .interface import HTTPClient

__all__ = ["AsyncPools", "SyncPool"]


class SyncPool:
    """The connections of all synchronous calls. Safe to share between threads, and across forks."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._lock = Lock()
        self._http: HTTPClient | None = None
        self._pid = os.getpid()
        self._finalizer: weakref.finalize[[], SyncPool] | None = None

    def open(self) -> HTTPClient:
        """The client, made where there is none yet."""
        with self._lock:
            if self._pid != os.getpid():
                # The parent's connections are the parent's: they are neither used nor closed here.
                self._pid, self._http = os.getpid(), None
                if self._finalizer is not None:
                    self._finalizer.detach()
            if self._http is None:
                self._http = self._config.client()
                if self._http.owned:
                    self._finalizer = weakref.finalize(self, self._http.close)
            return self._http

    def close(self) -> None:
        """Close the connections. The next request opens others."""
        with self._lock:
            finalizer, self._finalizer, self._http = self._finalizer, None, None
        if finalizer is not None:
            finalizer()


class AsyncPools:
    """The connections of all asynchronous calls, apart for each event loop."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool]
        self._pools = weakref.WeakKeyDictionary()
        self._lock = Lock()
        self._pid = os.getpid()

    async def open(self) -> HTTPClient:
        """The client of the running loop, made where there is none yet."""
        loop = asyncio.get_running_loop()
        pool = self._current(loop)
        if pool is None:
            made = _LoopPool(await self._config.async_client())
            with self._lock:
                # Another task may have been quicker.
                pool = self._pools.setdefault(loop, made)
            if pool is made:
                await anext(pool.keeper)
        return pool.http

    def _current(self, loop: asyncio.AbstractEventLoop) -> _LoopPool | None:
        """The pool of a loop, if there is one. Those of loops that have ended are closed."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._pools.clear()
            pool = self._pools.get(loop)
            if pool is None:
                ended = [other for other in self._pools if other.is_closed()]
                for other in ended:
                    self._pools.pop(other).http.drop()
            return pool

    async def aclose(self) -> None:
        """Close the pools: this loop's now, those of other running loops over there."""
        running = asyncio.get_running_loop()
        with self._lock:
            pool = self._pools.pop(running, None)
        if pool is not None:
            await pool.keeper.aclose()
        self.close()

    def close(self) -> None:
        """Close what can be closed from here, and have every pool closed by its own loop, as far as that runs."""
        with self._lock:
            pools = list(self._pools.items())
            self._pools.clear()
        for loop, pool in pools:
            if pool.http.owned:
                pool.http.drop()
            if loop.is_running():
                loop.call_soon_threadsafe(pool.close_soon, loop)


class _LoopPool:
    """The pool of one event loop. It is closed when the loop ends, or when nobody holds it any more."""

    def __init__(self, http: HTTPClient) -> None:
        self.http = http
        self.keeper = self._keep(http)
        if http.owned:
            weakref.finalize(self, http.drop)

    @staticmethod
    async def _keep(http: HTTPClient) -> AsyncGenerator[None, None]:
        """Loops finish the async generators that began in them: that closes the pool, in the right loop."""
        try:
            yield
        finally:
            if http.owned:
                await http.aclose()

    def close_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close it, called within its loop."""
        task = loop.create_task(self.keeper.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()
"""Tasks that nobody awaits, held so that they are not collected halfway."""
