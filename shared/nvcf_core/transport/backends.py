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
from .interface import HTTPClient, HTTPResponse, Pieces, SendableRequest
from .limits.rate_limiter import RequestLimiter
from .pools import AsyncPools, SyncPool

__all__ = ["AsyncBackend", "Backend", "SyncBackend", "run_sync"]

T = TypeVar("T")
R = TypeVar("R")


class Backend(Protocol):
    """All that the driver awaits."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """The API key of the next request."""
        ...

    async def acquire(self, limiter: RequestLimiter) -> object:
        """Wait for the user's own limiter, and return what it gave."""
        ...

    async def open(self) -> HTTPClient:
        """The HTTP client to send with."""
        ...

    def content(self, pieces: Generator[bytes], guard: LengthGuard) -> Pieces:
        """A body as the HTTP client takes it, its length guarded."""
        ...

    async def send(self, prepared: SendableRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        ...

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body until it ends, or is full."""
        ...

    async def close_response(self, response: HTTPResponse) -> None:
        """Close the response."""
        ...

    async def wait(self, future: Future[Any]) -> None:
        """Wait until another conversation has come to its result."""
        ...

    async def gather(
        self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]
    ) -> tuple[R, ...]:
        """Call a function for each of the items, side by side where that can be."""
        ...


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that awaits nothing but a synchronous backend, which never suspends."""
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
        """Let time pass."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what it is for

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """The API key of the next request."""
        return auth.resolve_key()

    async def acquire(self, limiter: RequestLimiter) -> object:
        """Wait for the user's own limiter, and return what it gave."""
        return limiter.acquire()

    async def open(self) -> HTTPClient:
        """The HTTP client to send with."""
        return self.pool.open()

    def content(self, pieces: Generator[bytes], guard: LengthGuard) -> Iterator[bytes]:
        """A body as the HTTP client takes it, its length guarded."""
        with closing(pieces):
            for piece in pieces:
                yield guard.count(piece)
                guard.report_progress()
        guard.end()

    async def send(self, prepared: SendableRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        return prepared.send()

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body until it ends, or is full."""
        for data in response.iter_bytes():
            if body.add(data):
                break

    async def close_response(self, response: HTTPResponse) -> None:
        """Close the response."""
        response.close()

    async def wait(self, future: Future[Any]) -> None:
        """Wait until another conversation has come to its result.

        Raises:
            InvalidRequestError: that conversation may belong to the event loop that would be held up.
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
        """Call a function for each of the items, one after another."""
        return tuple([await function(item) for item in items])


class AsyncBackend:
    """For asynchronous callers, with connections of each event loop's own."""

    def __init__(self, config: ClientConfig) -> None:
        self.pools = AsyncPools(config)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """The API key of the next request."""
        return await auth.aresolve_key()

    async def acquire(self, limiter: RequestLimiter) -> object:
        """Wait for the user's own limiter, and return what it gave."""
        return await limiter.acquire_async()

    async def open(self) -> HTTPClient:
        """The HTTP client to send with."""
        return await self.pools.open()

    async def content(self, pieces: Generator[bytes], guard: LengthGuard) -> AsyncIterator[bytes]:
        """A body as the HTTP client takes it, its length guarded."""
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
        """Read a body until it ends, or is full."""
        async with aclosing(response.aiter_bytes()) as pieces:
            async for data in pieces:
                if body.add(data):
                    break

    async def close_response(self, response: HTTPResponse) -> None:
        """Close the response."""
        await response.aclose()

    async def wait(self, future: Future[Any]) -> None:
        """Wait until another conversation has come to its result."""
        # Shielded: who leaves must not cancel what others wait for, too.
        await asyncio.shield(asyncio.wrap_future(future))

    async def gather(
        self, function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]
    ) -> tuple[R, ...]:
        """Call a function for each of the items, side by side. None goes on once one has failed."""
        tasks = [asyncio.ensure_future(function(item)) for item in items]
        try:
            return tuple(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
