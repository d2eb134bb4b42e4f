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

from nvcf_core.config.auth import key_digest
from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import Terms
from nvcf_core.errors import InvalidRequestError, NVCFError
from nvcf_core.exchange import Flow, Reply, Request, Step
from nvcf_core.locks import Lock

from .bodies import Answered, Collector, Meter
from .httpx_client import Http, Wiring
from .pools import _LoopPool
from .rate_limiter import Pace, pace_for
from .redaction import masked_reply

T = TypeVar("T")


def _refused(error: Exception, request: Request) -> InvalidRequestError:
    return InvalidRequestError(
        f"{request.stage}: the request cannot be sent: {error}", field="http_client"
    )


def _reply(request: Request, response: Any, body: bytes, key: SecretStr | None) -> Reply:
    reply = Reply(response.status_code, dict(response.headers.items()), body, time.monotonic())
    if key and (body or reply.status >= 300):
        reply = masked_reply(reply, key.get_secret_value())
    if request.heard is not None:
        request.heard(reply)
    return reply


def _stays_open(request: Request, response: Any) -> bool:
    return request.live and bool(response.status_code == 200)


def _await_chunks(built: Any, chunk_timeout: float | None, answered: Answered[Any]) -> None:
    """From the headers on, the wait is for chunks: httpx reads the limit anew when the body begins."""
    answered.limits = built.extensions.get("timeout", {})
    if chunk_timeout is not None and "read" in answered.limits:
        answered.limits["read"] = chunk_timeout
        answered.limit_name = "stream_chunk_timeout"


def _pace(request: Request, terms: Terms, key: SecretStr | None) -> Pace | None:
    if terms.requests_per_minute is None or request.stage != "ask":
        return None
    return pace_for(key_digest(key), origin(request.url)[1])


def _note(pace: Pace | None, status: int) -> None:
    if pace is not None and status == 429:
        pace.slow_down()
    elif pace is not None and status < 400:
        pace.recover()


class Driver:
    """Pumps conversations for synchronous callers. Safe to share between threads, and across forks."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._lock = Lock()
        self._http: Http | None = None
        self._pid = os.getpid()
        self._finalizer: weakref.finalize[..., Driver] | None = None

    def run(self, flow: Flow[T], terms: Terms) -> Answered[T]:
        """Send what the conversation yields until it returns.

        Raises:
            NVCFError: what the conversation raises.
        """
        answered: Answered[Any] = Answered(None)
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        try:
            while True:
                step = resume(value)
                try:
                    value, resume = self._take(step, terms, answered), flow.send
                except NVCFError as error:
                    value, resume = error, flow.throw
        except StopIteration as stop:
            answered.result = stop.value
            return answered
        except BaseException:
            self.leave(answered)
            raise
        finally:
            flow.close()

    def read(self, answered: Answered[Any]) -> Iterator[bytes]:
        """The body of a response that was left open.

        Raises:
            APIConnectionError: it broke off, or stood still for too long.
        """
        http = answered.http
        if http is None:
            return
        try:
            yield from answered.response.iter_bytes()
        except http.failures() as error:
            raise answered.failure(error) from error

    def leave(self, answered: Answered[Any]) -> None:
        """Close the response, and with it a connection whose body was not read to its end."""
        if answered.response is not None:
            answered.response.close()

    def close(self) -> None:
        """Close the pool. The next request opens another."""
        with self._lock:
            finalizer, self._finalizer, self._http = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def _open(self) -> Http:
        with self._lock:
            if self._pid != os.getpid():
                # The parent's connections are the parent's: they are neither used nor closed here.
                self._pid, self._http = os.getpid(), None
                if self._finalizer is not None:
                    self._finalizer.detach()
            if self._http is None:
                self._http = self._wiring.client()
                if self._http.own:
                    self._finalizer = weakref.finalize(self, self._http.client.close)
            return self._http

    def _take(self, step: Step, terms: Terms, answered: Answered[Any]) -> Any:
        if isinstance(step, Request):
            return self._send(step, terms, answered)
        if isinstance(step, Future):
            return step.result()
        return tuple(self._try(request, terms, answered) for request in step)

    def _try(self, step: Any, terms: Terms, answered: Answered[Any]) -> Any:
        try:
            return self._take(step, terms, answered)
        except NVCFError as error:
            return error

    def _send(self, request: Request, terms: Terms, answered: Answered[Any]) -> Reply:
        if request.after > 0:
            time.sleep(request.after)
        key = terms.access.find() if terms.access.allows(request) else None
        pace = _pace(request, terms, key)
        if pace is not None and terms.requests_per_minute is not None:
            self._queue(pace, terms.requests_per_minute)
        http = self._open()
        built: Any = None
        response: Any = None
        try:
            built = http.build(request, self._content(request), key, terms)
            auth = http.auth(request, key)
            response = http.client.send(built, stream=True, auth=auth, follow_redirects=False)
            return self._received(request, response, built, terms, answered, http, key, pace)
        except http.failures() as error:
            raise http.failure(error, request, built.extensions.get("timeout", {})) from error
        except http.refusals() as error:
            raise _refused(error, request) from error
        finally:
            if built is not None:
                built.headers.pop("authorization", None)
            if response is not None and response is not answered.response:
                response.close()

    @staticmethod
    def _queue(pace: Pace, per_minute: int) -> None:
        """Wait for a place under the limit. Who leaves gives it back."""
        ticket = pace.reserve(per_minute)
        try:
            while (wait := pace.wait(ticket)) > 0:
                time.sleep(wait)
        except BaseException:
            pace.give_back(ticket)
            raise

    def _received(
        self, request: Request, response: Any, built: Any, terms: Terms, answered: Answered[Any], http: Http,
        key: SecretStr | None, pace: Pace | None,
    ) -> Reply:  # fmt: skip
        _note(pace, response.status_code)
        answered.key = key or answered.key
        if _stays_open(request, response):
            answered.response, answered.http = response, http
            _await_chunks(built, terms.chunk_timeout, answered)
            return _reply(request, response, b"", key)
        collector = Collector(response.status_code)
        for data in response.iter_bytes():
            if collector.add(data):
                break
        return _reply(request, response, collector.body(), key)

    @classmethod
    def _content(cls, request: Request) -> Any:
        body = request.body
        if body is None or isinstance(body, bytes):
            return body
        return cls._pieces(body.chunks(), Meter(request, body.length))

    @staticmethod
    def _pieces(pieces: Generator[bytes], meter: Meter) -> Iterator[bytes]:
        with closing(pieces):
            for piece in pieces:
                yield meter.take(piece)
                meter.tell()
        meter.end()


class AsyncDriver:
    """Pumps conversations for asynchronous callers, with one pool for each running event loop."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool]
        self._pools = weakref.WeakKeyDictionary()
        self._lock = Lock()
        self._pid = os.getpid()

    async def run(self, flow: Flow[T], terms: Terms) -> Answered[T]:
        """Send what the conversation yields until it returns.

        Raises:
            NVCFError: what the conversation raises.
        """
        answered: Answered[Any] = Answered(None)
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        try:
            while True:
                step = resume(value)
                try:
                    value, resume = await self._take(step, terms, answered), flow.send
                except NVCFError as error:
                    value, resume = error, flow.throw
        except StopIteration as stop:
            answered.result = stop.value
            return answered
        except BaseException:
            await self.leave(answered)
            raise
        finally:
            flow.close()

    async def read(self, answered: Answered[Any]) -> AsyncGenerator[bytes, None]:
        """The body of a response that was left open.

        Raises:
            APIConnectionError: it broke off, or stood still for too long.
        """
        http = answered.http
        if http is None:
            return
        try:
            async with aclosing(answered.response.aiter_bytes()) as body:
                async for data in body:
                    yield data
        except http.failures() as error:
            raise answered.failure(error) from error

    async def leave(self, answered: Answered[Any]) -> None:
        """Close the response, and with it a connection whose body was not read to its end."""
        if answered.response is not None:
            await answered.response.aclose()

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

    async def _open(self) -> Http:
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
            http = self._wiring.async_client()
            pool = self._pools[loop] = _LoopPool(http)
        await anext(pool.keeper)
        return http

    async def _take(self, step: Step, terms: Terms, answered: Answered[Any]) -> Any:
        if isinstance(step, Request):
            return await self._send(step, terms, answered)
        if isinstance(step, Future):
            # Shielded: who leaves must not cancel what others wait for, too.
            return await asyncio.shield(asyncio.wrap_future(step))
        return tuple(
            await asyncio.gather(*(self._try(request, terms, answered) for request in step))
        )

    async def _try(self, step: Any, terms: Terms, answered: Answered[Any]) -> Any:
        try:
            return await self._take(step, terms, answered)
        except NVCFError as error:
            return error

    async def _send(self, request: Request, terms: Terms, answered: Answered[Any]) -> Reply:
        if request.after > 0:
            await asyncio.sleep(request.after)
        key = await terms.access.afind() if terms.access.allows(request) else None
        pace = _pace(request, terms, key)
        if pace is not None and terms.requests_per_minute is not None:
            await self._queue(pace, terms.requests_per_minute)
        http = await self._open()
        built: Any = None
        response: Any = None
        try:
            built = http.build(request, self._content(request), key, terms)
            auth = http.auth(request, key)
            response = await http.client.send(built, stream=True, auth=auth, follow_redirects=False)
            return await self._received(request, response, built, terms, answered, http, key, pace)
        except http.failures() as error:
            raise http.failure(error, request, built.extensions.get("timeout", {})) from error
        except http.refusals() as error:
            raise _refused(error, request) from error
        finally:
            if built is not None:
                built.headers.pop("authorization", None)
            if response is not None and response is not answered.response:
                await response.aclose()

    @staticmethod
    async def _queue(pace: Pace, per_minute: int) -> None:
        """Wait for a place under the limit. Who leaves gives it back."""
        ticket = pace.reserve(per_minute)
        try:
            while (wait := pace.wait(ticket)) > 0:
                await asyncio.sleep(wait)
        except BaseException:
            pace.give_back(ticket)
            raise

    async def _received(
        self, request: Request, response: Any, built: Any, terms: Terms, answered: Answered[Any], http: Http,
        key: SecretStr | None, pace: Pace | None,
    ) -> Reply:  # fmt: skip
        _note(pace, response.status_code)
        answered.key = key or answered.key
        if _stays_open(request, response):
            answered.response, answered.http = response, http
            _await_chunks(built, terms.chunk_timeout, answered)
            return _reply(request, response, b"", key)
        collector = Collector(response.status_code)
        async for data in response.aiter_bytes():
            if collector.add(data):
                break
        return _reply(request, response, collector.body(), key)

    @classmethod
    def _content(cls, request: Request) -> Any:
        body = request.body
        if body is None or isinstance(body, bytes):
            return body
        return cls._pieces(body.chunks(), Meter(request, body.length))

    @staticmethod
    async def _pieces(pieces: Generator[bytes], meter: Meter) -> AsyncIterator[bytes]:
        # They may have to be read from a disk, which must not hold up the loop.
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            try:
                yield meter.take(piece)
                meter.tell()
            except BaseException:
                pieces.close()  # Not while a thread reads: then it ends with that.
                raise
        meter.end()
