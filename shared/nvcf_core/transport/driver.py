"""Two thin drivers that send what a flow yields, one sync and one async. They alone wait and do I/O."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, closing
from typing import Any, TypeVar

from pydantic import SecretStr

from nvcf_core.config.auth import key_fingerprint
from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import InvalidRequestError, NVCFError
from nvcf_core.exchange import Flow, Request, Response, Step
from nvcf_core.locks import Lock

from .bodies import BoundedBody, LengthGuard, Outcome
from .httpx_client import ClientConfig, HTTPClient
from .pools import LoopPool
from .rate_limiter import RateLimiter, shared_rate_limiter
from .redaction import redact_response

T = TypeVar("T")


def _refused(error: Exception, request: Request) -> InvalidRequestError:
    return InvalidRequestError(
        f"{request.stage}: the request cannot be sent: {error}", field="http_client"
    )


def _reply(request: Request, response: Any, body: bytes, key: SecretStr | None) -> Response:
    reply = Response(response.status_code, dict(response.headers.items()), body, time.monotonic())
    if key and (body or reply.status >= 300):
        reply = redact_response(reply, key.get_secret_value())
    if request.on_response is not None:
        request.on_response(reply)
    return reply


def _stays_open(request: Request, response: Any) -> bool:
    return request.stream and bool(response.status_code == 200)


def _await_chunks(built: Any, chunk_timeout: float | None, outcome: Outcome[Any]) -> None:
    """From the headers on, the wait is for chunks: httpx reads the limit anew when the body begins."""
    outcome.limits = built.extensions.get("timeout", {})
    if chunk_timeout is not None and "read" in outcome.limits:
        outcome.limits["read"] = chunk_timeout
        outcome.limit_name = "stream_chunk_timeout"


def _pace(request: Request, options: RequestOptions, key: SecretStr | None) -> RateLimiter | None:
    if options.requests_per_minute is None or request.stage != "ask":
        return None
    return shared_rate_limiter(key_fingerprint(key), origin(request.url)[1])


def _note(limiter: RateLimiter | None, status: int) -> None:
    if limiter is not None and status == 429:
        limiter.on_rate_limited()
    elif limiter is not None and status < 400:
        limiter.on_success()


class Driver:
    """Pumps conversations for synchronous callers. Safe to share between threads, and across forks."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._lock = Lock()
        self._http: HTTPClient | None = None
        self._pid = os.getpid()
        self._finalizer: weakref.finalize[..., Driver] | None = None

    def run(self, flow: Flow[T], options: RequestOptions) -> Outcome[T]:
        """Send what the conversation yields until it returns.

        Raises:
            NVCFError: what the conversation raises.
        """
        outcome: Outcome[Any] = Outcome(None)
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        try:
            while True:
                step = resume(value)
                try:
                    value, resume = self._take(step, options, outcome), flow.send
                except NVCFError as error:
                    value, resume = error, flow.throw
        except StopIteration as stop:
            outcome.result = stop.value
            return outcome
        except BaseException:
            self.leave(outcome)
            raise
        finally:
            flow.close()

    def read(self, outcome: Outcome[Any]) -> Iterator[bytes]:
        """The body of a response that was left open.

        Raises:
            APIConnectionError: it broke off, or stood still for too long.
        """
        http = outcome.http
        if http is None:
            return
        try:
            yield from outcome.response.iter_bytes()
        except http.transport_errors() as error:
            raise outcome.translate_error(error) from error

    def leave(self, outcome: Outcome[Any]) -> None:
        """Close the response, and with it a connection whose body was not read to its end."""
        if outcome.response is not None:
            outcome.response.close()

    def close(self) -> None:
        """Close the pool. The next request opens another."""
        with self._lock:
            finalizer, self._finalizer, self._http = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def _open(self) -> HTTPClient:
        with self._lock:
            if self._pid != os.getpid():
                # The parent's connections are the parent's: they are neither used nor closed here.
                self._pid, self._http = os.getpid(), None
                if self._finalizer is not None:
                    self._finalizer.detach()
            if self._http is None:
                self._http = self._config.client()
                if self._http.owned:
                    self._finalizer = weakref.finalize(self, self._http.client.close)
            return self._http

    def _take(self, step: Step, options: RequestOptions, outcome: Outcome[Any]) -> Any:
        if isinstance(step, Request):
            return self._send(step, options, outcome)
        if isinstance(step, Future):
            return step.result()
        return tuple(self._try(request, options, outcome) for request in step)

    def _try(self, step: Any, options: RequestOptions, outcome: Outcome[Any]) -> Any:
        try:
            return self._take(step, options, outcome)
        except NVCFError as error:
            return error

    def _send(self, request: Request, options: RequestOptions, outcome: Outcome[Any]) -> Response:
        if request.delay > 0:
            time.sleep(request.delay)
        key = options.auth.resolve_key() if options.auth.applies_to(request) else None
        limiter = _pace(request, options, key)
        if limiter is not None and options.requests_per_minute is not None:
            self._queue(limiter, options.requests_per_minute)
        http = self._open()
        built: Any = None
        response: Any = None
        try:
            built = http.build(request, self._content(request), key, options)
            auth = http.auth(request, key)
            response = http.client.send(built, stream=True, auth=auth, follow_redirects=False)
            return self._received(request, response, built, options, outcome, http, key, limiter)
        except http.transport_errors() as error:
            raise http.translate_error(
                error, request, built.extensions.get("timeout", {})
            ) from error
        except http.request_errors() as error:
            raise _refused(error, request) from error
        finally:
            if built is not None:
                built.headers.pop("authorization", None)
            if response is not None and response is not outcome.response:
                response.close()

    @staticmethod
    def _queue(limiter: RateLimiter, per_minute: int) -> None:
        """Wait for a place under the limit. Who leaves gives it back."""
        reservation = limiter.reserve(per_minute)
        try:
            while (wait := limiter.wait(reservation)) > 0:
                time.sleep(wait)
        except BaseException:
            limiter.cancel(reservation)
            raise

    def _received(
        self, request: Request, response: Any, built: Any, options: RequestOptions, outcome: Outcome[Any],
        http: HTTPClient, key: SecretStr | None, limiter: RateLimiter | None,
    ) -> Response:  # fmt: skip
        _note(limiter, response.status_code)
        outcome.key = key or outcome.key
        if _stays_open(request, response):
            outcome.response, outcome.http = response, http
            _await_chunks(built, options.chunk_timeout, outcome)
            return _reply(request, response, b"", key)
        collector = BoundedBody(response.status_code)
        for data in response.iter_bytes():
            if collector.add(data):
                break
        return _reply(request, response, collector.body(), key)

    @classmethod
    def _content(cls, request: Request) -> Any:
        body = request.body
        if body is None or isinstance(body, bytes):
            return body
        return cls._pieces(body.chunks(), LengthGuard(request, body.length))

    @staticmethod
    def _pieces(pieces: Generator[bytes], meter: LengthGuard) -> Iterator[bytes]:
        with closing(pieces):
            for piece in pieces:
                yield meter.count(piece)
                meter.report_progress()
        meter.end()


class AsyncDriver:
    """Pumps conversations for asynchronous callers, with one pool for each running event loop."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopPool]
        self._pools = weakref.WeakKeyDictionary()
        self._lock = Lock()
        self._pid = os.getpid()

    async def run(self, flow: Flow[T], options: RequestOptions) -> Outcome[T]:
        """Send what the conversation yields until it returns.

        Raises:
            NVCFError: what the conversation raises.
        """
        outcome: Outcome[Any] = Outcome(None)
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        try:
            while True:
                step = resume(value)
                try:
                    value, resume = await self._take(step, options, outcome), flow.send
                except NVCFError as error:
                    value, resume = error, flow.throw
        except StopIteration as stop:
            outcome.result = stop.value
            return outcome
        except BaseException:
            await self.leave(outcome)
            raise
        finally:
            flow.close()

    async def read(self, outcome: Outcome[Any]) -> AsyncGenerator[bytes, None]:
        """The body of a response that was left open.

        Raises:
            APIConnectionError: it broke off, or stood still for too long.
        """
        http = outcome.http
        if http is None:
            return
        try:
            async with aclosing(outcome.response.aiter_bytes()) as body:
                async for data in body:
                    yield data
        except http.transport_errors() as error:
            raise outcome.translate_error(error) from error

    async def leave(self, outcome: Outcome[Any]) -> None:
        """Close the response, and with it a connection whose body was not read to its end."""
        if outcome.response is not None:
            await outcome.response.aclose()

    async def aclose(self) -> None:
        """Close the pools: this loop's now, those of other running loops over there."""
        running = asyncio.get_running_loop()
        with self._lock:
            pool = self._pools.pop(running, None)
        if pool is not None:
            await pool.keeper.aclose()
        self.close()

    def close(self) -> None:
        """Have every pool closed by its own loop. One whose loop does not run closes with that loop."""
        with self._lock:
            pools = list(self._pools.items())
            self._pools.clear()
        for loop, pool in pools:
            if loop.is_running():
                loop.call_soon_threadsafe(pool.close_soon, loop)

    async def _open(self) -> HTTPClient:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._pools.clear()
            pool = self._pools.get(loop)
            if pool is not None:
                return pool.http
            for other in [other for other in self._pools if other.is_closed()]:
                del self._pools[other]
            http = self._config.async_client()
            pool = self._pools[loop] = LoopPool(http)
        await anext(pool.keeper)
        return http

    async def _take(self, step: Step, options: RequestOptions, outcome: Outcome[Any]) -> Any:
        if isinstance(step, Request):
            return await self._send(step, options, outcome)
        if isinstance(step, Future):
            # Shielded: who leaves must not cancel what others wait for, too.
            return await asyncio.shield(asyncio.wrap_future(step))
        return tuple(
            await asyncio.gather(*(self._try(request, options, outcome) for request in step))
        )

    async def _try(self, step: Any, options: RequestOptions, outcome: Outcome[Any]) -> Any:
        try:
            return await self._take(step, options, outcome)
        except NVCFError as error:
            return error

    async def _send(
        self, request: Request, options: RequestOptions, outcome: Outcome[Any]
    ) -> Response:
        if request.delay > 0:
            await asyncio.sleep(request.delay)
        key = await options.auth.aresolve_key() if options.auth.applies_to(request) else None
        limiter = _pace(request, options, key)
        if limiter is not None and options.requests_per_minute is not None:
            await self._queue(limiter, options.requests_per_minute)
        http = await self._open()
        built: Any = None
        response: Any = None
        try:
            built = http.build(request, self._content(request), key, options)
            auth = http.auth(request, key)
            response = await http.client.send(built, stream=True, auth=auth, follow_redirects=False)
            return await self._received(
                request, response, built, options, outcome, http, key, limiter
            )
        except http.transport_errors() as error:
            raise http.translate_error(
                error, request, built.extensions.get("timeout", {})
            ) from error
        except http.request_errors() as error:
            raise _refused(error, request) from error
        finally:
            if built is not None:
                built.headers.pop("authorization", None)
            if response is not None and response is not outcome.response:
                await response.aclose()

    @staticmethod
    async def _queue(limiter: RateLimiter, per_minute: int) -> None:
        """Wait for a place under the limit. Who leaves gives it back."""
        reservation = limiter.reserve(per_minute)
        try:
            while (wait := limiter.wait(reservation)) > 0:
                await asyncio.sleep(wait)
        except BaseException:
            limiter.cancel(reservation)
            raise

    async def _received(
        self, request: Request, response: Any, built: Any, options: RequestOptions, outcome: Outcome[Any],
        http: HTTPClient, key: SecretStr | None, limiter: RateLimiter | None,
    ) -> Response:  # fmt: skip
        _note(limiter, response.status_code)
        outcome.key = key or outcome.key
        if _stays_open(request, response):
            outcome.response, outcome.http = response, http
            _await_chunks(built, options.chunk_timeout, outcome)
            return _reply(request, response, b"", key)
        collector = BoundedBody(response.status_code)
        async for data in response.aiter_bytes():
            if collector.add(data):
                break
        return _reply(request, response, collector.body(), key)

    @classmethod
    def _content(cls, request: Request) -> Any:
        body = request.body
        if body is None or isinstance(body, bytes):
            return body
        return cls._pieces(body.chunks(), LengthGuard(request, body.length))

    @staticmethod
    async def _pieces(pieces: Generator[bytes], meter: LengthGuard) -> AsyncIterator[bytes]:
        # They may have to be read from a disk, which must not hold up the loop.
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            try:
                yield meter.count(piece)
                meter.report_progress()
            except BaseException:
                pieces.close()  # Not while a thread reads: then it ends with that.
                raise
        meter.end()
