"""Sleeping, sending, reading and waiting, sync and async, side by side: the only code that exists twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
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
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import SecretStr

from nvcf_core.config.auth import Auth
from nvcf_core.config.request_limiter import RequestLimiter

from .bodies import BoundedBody, LengthGuard
from .httpx_client import ClientConfig
from .interface import Content, HTTPClient, HTTPResponse, Limits, PreparedRequest
from .pools import AsyncPools, SyncPool

__all__ = ["AsyncBackend", "Backend", "OpenResponse", "SyncBackend", "run_sync"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """A response that was left open, for its body to be read as it arrives."""

    http: HTTPClient
    response: HTTPResponse
    limits: Limits
    limit_name: str
    """The keyword that set how long the body may stand still."""


class Backend(Protocol):
    """All that the driver awaits."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def acquire(self, limiter: RequestLimiter) -> None:
        """Wait until the user's own limiter lets a request go."""
        ...

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """The API key of the next request."""
        ...

    async def open(self) -> HTTPClient:
        """The HTTP client to send with."""
        ...

    def content(self, pieces: Generator[bytes], guard: LengthGuard) -> Content:
        """A body as the HTTP client takes it, its length guarded."""
        ...

    async def send(self, prepared: PreparedRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        ...

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body until it ends, or is full."""
        ...

    async def close_response(self, response: HTTPResponse) -> None:
        """Be done with a response."""
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


class SyncBackend:
    """For synchronous callers. Its coroutines never suspend: they wait by blocking the thread."""

    def __init__(self, config: ClientConfig) -> None:
        self.pool = SyncPool(config)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what it is for

    async def acquire(self, limiter: RequestLimiter) -> None:
        """Wait until the user's own limiter lets a request go."""
        limiter.acquire()

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """The API key of the next request."""
        return auth.resolve_key()

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

    async def send(self, prepared: PreparedRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        return prepared.send()

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body until it ends, or is full."""
        for data in response.iter_bytes():
            if body.add(data):
                break

    async def close_response(self, response: HTTPResponse) -> None:
        """Be done with a response."""
        response.close()

    async def wait(self, future: Future[Any]) -> None:
        """Wait until another conversation has come to its result."""
        future.result()

    async def gather(
        self, function: Callable[[T], Awaitable[R]], items: Iterable[T]
    ) -> tuple[R, ...]:
        """Call a function for each of the items, one after another."""
        return tuple([await function(item) for item in items])

    def read(self, answer: OpenResponse) -> Iterator[bytes]:
        """The body of a response that was left open.

        Raises:
            APIConnectionError: it broke off, or stood still for too long.
        """
        try:
            yield from answer.response.iter_bytes()
        except answer.http.errors as error:
            raise answer.http.translate_body_error(
                error, answer.limits, answer.limit_name
            ) from error


class AsyncBackend:
    """For asynchronous callers, with connections of each event loop's own."""

    def __init__(self, config: ClientConfig) -> None:
        self.pools = AsyncPools(config)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def acquire(self, limiter: RequestLimiter) -> None:
        """Wait until the user's own limiter lets a request go."""
        await limiter.acquire_async()

    async def resolve_key(self, auth: Auth) -> SecretStr | None:
        """The API key of the next request."""
        return await auth.aresolve_key()

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

    async def send(self, prepared: PreparedRequest) -> HTTPResponse:
        """Send a request, and wait for the head of the response."""
        return await prepared.asend()

    async def read_into(self, body: BoundedBody, response: HTTPResponse) -> None:
        """Read a body until it ends, or is full."""
        async for data in response.aiter_bytes():
            if body.add(data):
                break

    async def close_response(self, response: HTTPResponse) -> None:
        """Be done with a response."""
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

    async def read(self, answer: OpenResponse) -> AsyncGenerator[bytes]:
        """The body of a response that was left open.

        Raises:
            APIConnectionError: it broke off, or stood still for too long.
        """
        try:
            async with aclosing(answer.response.aiter_bytes()) as body:
                async for data in body:
                    yield data
        except answer.http.errors as error:
            raise answer.http.translate_body_error(
                error, answer.limits, answer.limit_name
            ) from error
