"""Sleeping, sending, reading and waiting, sync and async, side by side: the only code that exists twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import Future
from contextlib import aclosing, closing
from typing import Any, Protocol, TypeVar

from pydantic import SecretStr

from nvcf_core.config.auth import Auth
from nvcf_core.errors import InvalidRequestError

from .bodies import BoundedBody, LengthGuard
from .clients import ClientConfig
from .interface import Content, HTTPClient, HTTPResponse, SendableRequest
from .limits.rate_limiter import RequestLimiter
from .pools import AsyncPools, SyncPool

__all__ = ["AsyncBackend", "Backend", "SyncBackend", "run_sync"]

T = TypeVar("T")
R = TypeVar("R")


class Backend(Protocol):
    """The operations that the driver awaits, sync or async."""

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        ...

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """Return the API key for the next request."""
        ...

    async def acquire(self, limiter: RequestLimiter) -> object:
        """Wait for the user's own limiter, and return what it gave."""
        ...

    async def open(self) -> HTTPClient:
        """Return the HTTP client to send with."""
        ...

    def content(self, pieces: Generator[bytes], guard: LengthGuard) -> Content:
        """Return the body in the form that the HTTP client takes, with its length checked."""
        ...

    async def send(self, prepared: SendableRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        ...

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body to its end, or to its limit."""
        ...

    async def close_response(self, response: HTTPResponse) -> None:
        """Close the response."""
        ...

    async def wait(self, future: Future[Any]) -> None:
        """Wait until the future of another flow is done."""
        ...

    async def gather(
        self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]
    ) -> tuple[R, ...]:
        """Call a function for each item, concurrently if async."""
        ...


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits only a synchronous backend, which never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise AssertionError("a synchronous call was about to wait for an event loop")


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class SyncBackend:
    """For synchronous callers. Its coroutines never suspend: they wait by blocking the thread."""

    def __init__(self, config: ClientConfig) -> None:
        self.pool = SyncPool(config)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what it is for

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """Return the API key for the next request."""
        return auth.resolve_key()

    async def acquire(self, limiter: RequestLimiter) -> object:
        """Wait for the user's own limiter, and return what it gave."""
        return limiter.acquire()

    async def open(self) -> HTTPClient:
        """Return the HTTP client to send with."""
        return self.pool.open()

    def content(self, pieces: Generator[bytes], guard: LengthGuard) -> Iterator[bytes]:
        """Return the body in the form that the HTTP client takes, with its length checked."""
        with closing(pieces):
            for piece in pieces:
                yield guard.count(piece)
                guard.report_progress()
        guard.end()

    async def send(self, prepared: SendableRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        return prepared.send()

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body to its end, or to its limit."""
        for data in response.iter_bytes():
            if body.add(data):
                break

    async def close_response(self, response: HTTPResponse) -> None:
        """Close the response."""
        response.close()

    async def wait(self, future: Future[Any]) -> None:
        """Wait until the future of another flow is done.

        Raises:
            InvalidRequestError: that flow may belong to the event loop that waiting would block.
        """
        if not future.done() and _in_event_loop():
            raise InvalidRequestError(
                "a synchronous call inside a running event loop would have to wait for an upload that may be that "
                "loop's own, and would wait for ever: use the asynchronous method (ainvoke, achat, …) here"
            )
        future.result()

    async def gather(
        self, function: Callable[[T], Awaitable[R]], items: Iterable[T]
    ) -> tuple[R, ...]:
        """Call a function for each item, one after another."""
        return tuple([await function(item) for item in items])


class AsyncBackend:
    """For asynchronous callers, with connections of each event loop's own."""

    def __init__(self, config: ClientConfig) -> None:
        self.pools = AsyncPools(config)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """Return the API key for the next request."""
        return await auth.aresolve_key()

    async def acquire(self, limiter: RequestLimiter) -> object:
        """Wait for the user's own limiter, and return what it gave."""
        return await limiter.acquire_async()

    async def open(self) -> HTTPClient:
        """Return the HTTP client to send with."""
        return await self.pools.open()

    async def content(self, pieces: Generator[bytes], guard: LengthGuard) -> AsyncIterator[bytes]:
        """Return the body in the form that the HTTP client takes, with its length checked."""
        # They may have to be read from a disk, which must not hold up the loop.
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            try:
                yield guard.count(piece)
                guard.report_progress()
            except BaseException:
                pieces.close()  # Not while a thread reads: then it ends with that.
                raise
        guard.end()

    async def send(self, prepared: SendableRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        return await prepared.asend()

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body to its end, or to its limit."""
        async with aclosing(response.aiter_bytes()) as pieces:
            async for data in pieces:
                if body.add(data):
                    break

    async def close_response(self, response: HTTPResponse) -> None:
        """Close the response."""
        await response.aclose()

    async def wait(self, future: Future[Any]) -> None:
        """Wait until the future of another flow is done."""
        # Shielded: who leaves must not cancel what others wait for, too.
        await asyncio.shield(asyncio.wrap_future(future))

    async def gather(
        self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]
    ) -> tuple[R, ...]:
        """Call a function for each item, concurrently. If one fails, the others are cancelled."""
        tasks = [asyncio.ensure_future(function(item)) for item in items]
        try:
            return tuple(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
