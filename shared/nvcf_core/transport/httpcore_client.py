"""Our own HTTP client over httpcore's connections: they are kept by origin, and the last used goes first."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar, cast

import httpcore
from pydantic import SecretStr

from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Request
from nvcf_core.locks import Lock

from .encodings import decompressor_for
from .failures import body_failure, connection_failure, unusable_url
from .httpx_client import parsed_url
from .interface import Content, HTTPResponse
from .network import AsyncLink, SyncLink
from .time_limits import TimeLimits, time_limits
from .tls import Verify, aload_context, load_context

__all__ = ["AsyncHTTPCoreClient", "HTTPCoreClient"]

_KEPT = 100
"""Connections of one origin that are kept open for the next request."""

_KEEP_ALIVE = 30.0
"""Seconds that they are kept."""

_USER_AGENT = b"nvcf-adapters"

_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


class _Connection(Protocol):
    """What the pools need of an httpcore connection, sync or async."""

    def is_idle(self) -> bool: ...

    def has_expired(self) -> bool: ...


L = TypeVar("L", SyncLink, AsyncLink)
C = TypeVar("C", bound=_Connection)


class _Kept(Generic[L, C]):
    """A connection, and the socket that it is over."""

    __slots__ = ("connection", "idle_since", "link", "origin")

    def __init__(self, origin: httpcore.Origin, connection: C, link: L) -> None:
        self.origin = origin
        self.connection = connection
        self.link: L = link
        self.idle_since = 0.0


class _IdleConnections(Generic[L, C]):
    """Connections that wait for their next request, by origin."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: dict[tuple[bytes, bytes, int], deque[_Kept[L, C]]] = {}
        self.closed = False

    def take(self, origin: httpcore.Origin) -> _Kept[L, C] | None:
        """The one that was used last, if it is still good."""
        with self._lock:
            waiting = self._idle.get((origin.scheme, origin.host, origin.port))
            while waiting:
                self._drop_old(waiting)
                if waiting:
                    kept = waiting.pop()
                    if not kept.connection.has_expired():
                        return kept
                    kept.link.close()
            return None

    def put(self, kept: _Kept[L, C]) -> bool:
        """Keep a connection for the next request, if it can have one and there is room."""
        if not kept.connection.is_idle():
            return False
        origin = kept.origin
        with self._lock:
            waiting = self._idle.setdefault((origin.scheme, origin.host, origin.port), deque())
            if self.closed or len(waiting) >= _KEPT:
                return False
            kept.idle_since = time.monotonic()
            waiting.append(kept)
            return True

    def close(self) -> None:
        """Close them all. Nothing is waited for; those that are in use are closed when they come back."""
        with self._lock:
            self.closed = True
            waiting = [kept for each in self._idle.values() for kept in each]
            self._idle.clear()
        for kept in waiting:
            kept.link.close()

    @staticmethod
    def _drop_old(waiting: deque[_Kept[L, C]]) -> None:
        """The longest unused stand first."""
        oldest = time.monotonic() - _KEEP_ALIVE
        while waiting and waiting[0].idle_since < oldest:
            waiting.popleft().link.close()


class _Exchange:
    """One request of httpcore's, its limits, and our names for what goes wrong with it."""

    def __init__(self, request: Request, native: httpcore.Request, limits: TimeLimits) -> None:
        self.request, self.native, self.limits = request, native, limits

    @property
    def origin(self) -> httpcore.Origin:
        """Where it goes."""
        return self.native.url.origin

    @property
    def secure(self) -> bool:
        """Whether it goes over TLS."""
        return self.native.url.scheme == b"https"

    def forget_key(self) -> None:
        """Drop the API key, which errors and tracebacks must not hold."""
        headers = self.native.headers
        headers[:] = [header for header in headers if header[0] != b"authorization"]

    def failure(self, error: Exception) -> NVCFError:
        """What went wrong before there was a response."""
        where = f"{self.request.stage} ({self.native.url.host.decode()})"
        if isinstance(error, httpcore.TimeoutException):
            return self.limits.response_too_late(where)
        return connection_failure(where, error)

    def body_failure(self, error: Exception) -> NVCFError:
        """What went wrong while the body arrived."""
        if isinstance(error, httpcore.TimeoutException):
            return self.limits.body_too_late()
        return body_failure(error)


class _Response:
    """What the driver reads of a response, sync or async."""

    def __init__(self, native: httpcore.Response, exchange: _Exchange) -> None:
        self._native, self._exchange = native, exchange
        self.status_code = native.status
        self.headers: dict[str, str] = {}
        for raw_name, raw_value in native.headers:
            name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self._closed = False
        self._ended = False

    @property
    def _reusable(self) -> bool:
        """Whether its connection may have another request. After a 5xx many a server closes it."""
        return self._ended and self.status_code < 500


# --- synchronous ---------------------------------------------------------------------------------


class HTTPCoreClient:
    """A synchronous client. Safe to share between threads.

    Args:
        verify: how certificates are checked.
        max_connections: how many requests may be under way at once. None: any number.
    """

    owned = True

    def __init__(self, verify: Verify = True, max_connections: int | None = None) -> None:
        self._verify = verify
        self._slots = threading.Semaphore(max_connections) if max_connections else None
        self._idle: _IdleConnections[SyncLink, httpcore.HTTPConnection] = _IdleConnections()

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> _SyncExchange:
        """A request that is ready to be sent. See `HTTPClient`."""
        return _SyncExchange(self, request, *_native(request, content, key, options))

    def close(self) -> None:
        """Close every connection that waits for its next request, and the others when they are done."""
        self._idle.close()

    async def aclose(self) -> None:
        """As `close`."""
        self._idle.close()

    def drop(self) -> None:
        """As `close`: the sockets are ours, and nothing has to be waited for."""
        self._idle.close()

    def send(self, exchange: _SyncExchange) -> _SyncResponse:
        """Send a request over a connection that waits for one, or a new one."""
        if self._slots is not None:
            exchange.limits.begin("pool")
            left = exchange.limits.left()
            if not self._slots.acquire(timeout=left if left is None else max(left, 0)):
                raise httpcore.PoolTimeout
        kept = None
        try:
            kept = self._idle.take(exchange.origin) or self._connect(exchange)
            kept.link.limits = exchange.limits
            native = kept.connection.handle_request(exchange.native)
            return _SyncResponse(native, exchange, kept)
        except BaseException:
            self.give_back(kept, reusable=False)
            raise

    def give_back(
        self, kept: _Kept[SyncLink, httpcore.HTTPConnection] | None, *, reusable: bool
    ) -> None:
        """Take a connection back that has done its work, or failed."""
        if kept is not None and not (reusable and self._idle.put(kept)):
            kept.link.close()
        if self._slots is not None:
            self._slots.release()

    def _connect(self, exchange: _SyncExchange) -> _Kept[SyncLink, httpcore.HTTPConnection]:
        link = SyncLink()
        context = load_context(self._verify) if exchange.secure else None
        connection = httpcore.HTTPConnection(
            exchange.origin, ssl_context=context, network_backend=link
        )
        return _Kept(exchange.origin, connection, link)


class _SyncExchange(_Exchange):
    def __init__(
        self, client: HTTPCoreClient, request: Request, native: httpcore.Request, limits: TimeLimits
    ) -> None:
        super().__init__(request, native, limits)
        self.client = client

    def send(self) -> HTTPResponse:
        """Send it, and wait for the head of the response."""
        try:
            return self.client.send(self)
        except _FAILURES as error:
            raise self.failure(error) from error

    async def asend(self) -> HTTPResponse:
        """Not of this client."""
        raise TypeError("this client is synchronous")


class _SyncResponse(_Response):
    def __init__(
        self,
        native: httpcore.Response,
        exchange: _SyncExchange,
        kept: _Kept[SyncLink, httpcore.HTTPConnection],
    ) -> None:
        super().__init__(native, exchange)
        self._client, self._kept = exchange.client, kept

    def iter_bytes(self) -> Iterator[bytes]:
        """The decoded body, in the pieces in which it arrives."""
        decompressor = decompressor_for(self.headers)
        limits = self._exchange.limits
        try:
            for data in cast("Iterable[bytes]", self._native.stream):
                if decompressor is None:
                    yield data
                else:
                    yield from decompressor.feed(data)
                limits.next_piece()
        except _FAILURES as error:
            raise self._exchange.body_failure(error) from error
        self._ended = True

    def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """Not of this client."""
        raise TypeError("this client is synchronous")

    def close(self) -> None:
        """Be done with it. A connection whose body was read to its end is kept for the next request."""
        if self._closed:
            return
        self._closed = True
        reusable = False
        try:
            if self._reusable:
                cast("_Closing", self._native.stream).close()
                reusable = True
        finally:
            self._client.give_back(self._kept, reusable=reusable)

    async def aclose(self) -> None:
        """As `close`."""
        self.close()


# --- asynchronous --------------------------------------------------------------------------------


class AsyncHTTPCoreClient:
    """An asynchronous client, of one event loop.

    Args:
        verify: how certificates are checked.
        max_connections: how many requests may be under way at once. None: any number.
    """

    owned = True

    def __init__(self, verify: Verify = True, max_connections: int | None = None) -> None:
        self._verify = verify
        self._slots = asyncio.Semaphore(max_connections) if max_connections else None
        self._idle: _IdleConnections[AsyncLink, httpcore.AsyncHTTPConnection] = _IdleConnections()

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> _AsyncExchange:
        """A request that is ready to be sent. See `HTTPClient`."""
        return _AsyncExchange(self, request, *_native(request, content, key, options))

    def close(self) -> None:
        """Close every connection that waits for its next request, and the others when they are done."""
        self._idle.close()

    async def aclose(self) -> None:
        """As `close`."""
        self._idle.close()

    def drop(self) -> None:
        """As `close`: the sockets are ours, and nothing has to be waited for."""
        self._idle.close()

    async def send(self, exchange: _AsyncExchange) -> _AsyncResponse:
        """Send a request over a connection that waits for one, or a new one."""
        if self._slots is not None:
            await self._wait_for_slot(self._slots, exchange.limits)
        kept = None
        try:
            kept = self._idle.take(exchange.origin) or await self._connect(exchange)
            kept.link.limits = exchange.limits
            native = await kept.connection.handle_async_request(exchange.native)
            return _AsyncResponse(native, exchange, kept)
        except BaseException:
            self.give_back(kept, reusable=False)
            raise

    def give_back(
        self, kept: _Kept[AsyncLink, httpcore.AsyncHTTPConnection] | None, *, reusable: bool
    ) -> None:
        """Take a connection back that has done its work, failed, or been given up. Nothing is waited for."""
        if kept is not None and not (reusable and self._idle.put(kept)):
            kept.link.close()
        if self._slots is not None:
            self._slots.release()

    @staticmethod
    async def _wait_for_slot(slots: asyncio.Semaphore, limits: TimeLimits) -> None:
        limits.begin("pool")
        acquired = False
        try:
            async with asyncio.timeout(limits.left()):
                acquired = await slots.acquire()
        except TimeoutError:
            if acquired:
                slots.release()
            raise httpcore.PoolTimeout from None
        except BaseException:
            if acquired:
                slots.release()
            raise

    async def _connect(
        self, exchange: _AsyncExchange
    ) -> _Kept[AsyncLink, httpcore.AsyncHTTPConnection]:
        link = AsyncLink()
        context: ssl.SSLContext | None = None
        if exchange.secure:
            context = await aload_context(self._verify)
        connection = httpcore.AsyncHTTPConnection(
            exchange.origin, ssl_context=context, network_backend=link
        )
        return _Kept(exchange.origin, connection, link)


class _AsyncExchange(_Exchange):
    def __init__(
        self,
        client: AsyncHTTPCoreClient,
        request: Request,
        native: httpcore.Request,
        limits: TimeLimits,
    ) -> None:
        super().__init__(request, native, limits)
        self.client = client

    def send(self) -> HTTPResponse:
        """Not of this client."""
        raise TypeError("this client is asynchronous")

    async def asend(self) -> HTTPResponse:
        """Send it, and wait for the head of the response."""
        try:
            return await self.client.send(self)
        except _FAILURES as error:
            raise self.failure(error) from error


class _AsyncResponse(_Response):
    def __init__(
        self,
        native: httpcore.Response,
        exchange: _AsyncExchange,
        kept: _Kept[AsyncLink, httpcore.AsyncHTTPConnection],
    ) -> None:
        super().__init__(native, exchange)
        self._client, self._kept = exchange.client, kept

    def iter_bytes(self) -> Iterator[bytes]:
        """Not of this client."""
        raise TypeError("this client is asynchronous")

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """The decoded body, in the pieces in which it arrives."""
        decompressor = decompressor_for(self.headers)
        limits = self._exchange.limits
        body = cast(
            "AsyncGenerator[bytes]", aiter(cast("AsyncIterable[bytes]", self._native.stream))
        )
        try:
            async with contextlib.aclosing(body):
                async for data in body:
                    if decompressor is None:
                        yield data
                    else:
                        for piece in decompressor.feed(data):
                            yield piece
                    limits.next_piece()
        except _FAILURES as error:
            raise self._exchange.body_failure(error) from error
        self._ended = True

    def close(self) -> None:
        """Give it up, and its connection."""
        if not self._closed:
            self._closed = True
            self._client.give_back(self._kept, reusable=False)

    async def aclose(self) -> None:
        """Be done with it. A connection whose body was read to its end is kept for the next request."""
        if self._closed:
            return
        self._closed = True
        reusable = False
        try:
            if self._reusable:
                await cast("_AsyncClosing", self._native.stream).aclose()
                reusable = True
        finally:
            self._client.give_back(self._kept, reusable=reusable)


class _Closing(Protocol):
    def close(self) -> None: ...


class _AsyncClosing(Protocol):
    async def aclose(self) -> None: ...


def _native(
    request: Request, content: Content, key: SecretStr | None, options: RequestOptions
) -> tuple[httpcore.Request, TimeLimits]:
    """A request of httpcore's, and its limits. To a foreign host only its own headers go."""
    try:
        url = parsed_url(request.url)
    except ValueError as error:
        raise unusable_url(request, error) from None
    headers = {b"host": url.netloc}
    if request.authorized:
        headers |= {b"accept": b"*/*", b"accept-encoding": b"identity", b"user-agent": _USER_AGENT}
    for name, value in options.headers_for(request).items():
        headers[name.encode("ascii")] = value.encode("ascii")
    if b"content-length" not in headers and (content or request.method in ("POST", "PUT")):
        length = len(content) if isinstance(content, bytes) else 0
        headers[b"content-length"] = b"%d" % length
    if key is not None:
        headers[b"authorization"] = b"Bearer " + key.get_secret_value().encode("ascii")
    native = httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
        headers=list(headers.items()),
        content=content,
    )
    return native, time_limits(request, options)
