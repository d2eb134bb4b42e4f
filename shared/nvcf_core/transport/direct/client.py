"""Our own HTTP client, sync and async, over connections that are kept for the next request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Generic, cast

from pydantic import SecretStr

from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Request
from nvcf_core.transport.encodings import decompressor_for
from nvcf_core.transport.failures import body_failure, connection_failure
from nvcf_core.transport.interface import Content, HTTPResponse
from nvcf_core.transport.time_limits import TimeLimits
from nvcf_core.transport.tls import Verify, aload_context, load_context

from .http1 import HTTP1, ProtocolError, Response
from .idle_connections import Connection, IdleConnections, L
from .network import (
    AsyncLink,
    NetworkError,
    NetworkTimeout,
    PoolTimeout,
    SyncLink,
    WriteError,
)
from .prepared_request import PreparedRequest, prepare_request
from .slots import Slots

__all__ = ["AsyncDirectClient", "DirectClient"]

_READ = 1 << 16
"""Bytes that are read at a time."""

_JOINED = 1 << 16
"""Bytes of a body up to which it is sent with the head of its request, in one write."""

_FAILURES = (NetworkError, NetworkTimeout, ProtocolError)


class _RequestInFlight:
    """One request, its limits, and the errors that it may raise."""

    def __init__(self, request: Request, sent: PreparedRequest, limits: TimeLimits) -> None:
        self.request, self.sent, self.limits = request, sent, limits

    def head(self, http: HTTP1) -> bytes:
        """Return what is sent first: the head, and a small body."""
        sent = self.sent
        head = http.begin(sent.method, sent.url.target, sent.headers)
        if sent.content is None:
            return head + http.end()
        if isinstance(sent.content, bytes) and len(sent.content) <= _JOINED:
            return head + http.data(sent.content) + http.end()
        return head

    @property
    def rest(self) -> Content:
        """The body that `head` left out."""
        content = self.sent.content
        return None if isinstance(content, bytes) and len(content) <= _JOINED else content

    def forget_key(self) -> None:
        """Drop the API key, which errors and tracebacks must not hold."""
        headers = self.sent.headers
        headers[:] = [header for header in headers if header[0] != b"authorization"]

    def failure(self, error: Exception) -> NVCFError:
        """Return the error for a request without a response."""
        where = f"{self.request.stage} ({self.sent.url.host.decode()})"
        if isinstance(error, NetworkTimeout):
            return self.limits.response_too_late(where)
        return connection_failure(where, error)

    def body_failure(self, error: Exception) -> NVCFError:
        """Return the error for a body that failed to arrive."""
        if isinstance(error, NetworkTimeout):
            return self.limits.body_too_late()
        return body_failure(error)


class _Response(Generic[L]):
    """The response that the driver reads, sync or async."""

    def __init__(
        self, head: Response, in_flight: _RequestInFlight, connection: Connection[L]
    ) -> None:
        self._in_flight = in_flight
        self._connection: Connection[L] = connection
        self.status_code = head.status_code
        self.headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self._closed = False
        self._ended = False

    @property
    def _reusable(self) -> bool:
        """Whether its connection may have another request. After a 5xx many a server closes it."""
        return self._ended and self.status_code < 500


class _Connections(Generic[L]):
    """The connections of a client, sync or async."""

    owned = True

    def __init__(self, slots: Slots | asyncio.Semaphore | None) -> None:
        self._idle: IdleConnections[L] = IdleConnections()
        self._release = None if slots is None else slots.release

    def close(self) -> None:
        """Close every connection that waits for its next request, and the others when they are done."""
        self._idle.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        self._idle.close()

    def drop(self) -> None:
        """Close every connection, like `close`: that waits for nothing."""
        self._idle.close()

    def give_back(self, connection: Connection[L] | None, *, reusable: bool) -> None:
        """Take a connection back that has done its work, failed, or been given up. Nothing is waited for."""
        if connection is not None and not (reusable and self._idle.put(connection)):
            connection.link.close()
        if self._release is not None:
            self._release()


# --- synchronous ---------------------------------------------------------------------------------


class DirectClient(_Connections[SyncLink]):
    """A synchronous client. Safe to share between threads.

    Args:
        verify: how certificates are checked.
        max_connections: how many requests may be under way at once. None: any number.
    """

    def __init__(self, verify: Verify = True, max_connections: int | None = None) -> None:
        self._verify = verify
        self._slots = Slots(max_connections) if max_connections else None
        super().__init__(self._slots)

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> _SyncRequestInFlight:
        """A request that is ready to be sent. See `HTTPClient`."""
        return _SyncRequestInFlight(self, request, *prepare_request(request, content, key, options))

    def send(self, in_flight: _SyncRequestInFlight) -> _SyncResponse:
        """Send a request over a connection that waits for one, or a new one."""
        if self._slots is not None:
            in_flight.limits.begin("pool")
            left = in_flight.limits.left()
            if not self._slots.acquire(left if left is None else max(left, 0)):
                raise PoolTimeout
        connection, url = None, in_flight.sent.url
        try:
            connection = self._idle.take(url.origin)
            if connection is None:
                connection = Connection(url, SyncLink())
                link, host = connection.link, url.host.decode("ascii")
                link.limits = in_flight.limits
                link.connect(host, url.origin[2])
                if url.scheme == b"https":
                    link.start_tls(load_context(self._verify), host)
            return self._send_over(in_flight, connection)
        except BaseException:
            self.give_back(connection, reusable=False)
            raise

    def _send_over(
        self, in_flight: _SyncRequestInFlight, connection: Connection[SyncLink]
    ) -> _SyncResponse:
        link, http = connection.link, connection.http
        link.limits = in_flight.limits
        self._write(in_flight, connection)
        while (head := http.response()) is None:
            http.receive(link.read(_READ))
        return _SyncResponse(head, in_flight, connection)

    @staticmethod
    def _write(in_flight: _SyncRequestInFlight, connection: Connection[SyncLink]) -> None:
        link, http = connection.link, connection.http
        try:
            link.write(in_flight.head(http))
            rest = in_flight.rest
            if rest is None:
                return
            for piece in (rest,) if isinstance(rest, bytes) else cast("Iterator[bytes]", rest):
                link.write(http.data(piece))
            if last := http.end():
                link.write(last)
        except WriteError:
            pass  # A server may answer before it has read everything, and close. The answer says why.


class _SyncRequestInFlight(_RequestInFlight):
    def __init__(
        self, client: DirectClient, request: Request, sent: PreparedRequest, limits: TimeLimits
    ) -> None:
        super().__init__(request, sent, limits)
        self.client = client

    def send(self) -> HTTPResponse:
        """Send it, and wait for the head of the response."""
        try:
            return self.client.send(self)
        except _FAILURES as error:
            raise self.failure(error) from error

    async def asend(self) -> HTTPResponse:
        """Raise TypeError: this client has no such method."""
        raise TypeError("this client is synchronous")


class _SyncResponse(_Response[SyncLink]):
    def __init__(
        self, head: Response, in_flight: _SyncRequestInFlight, connection: Connection[SyncLink]
    ) -> None:
        super().__init__(head, in_flight, connection)
        self._client = in_flight.client

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the decoded body in chunks, as it arrives."""
        decompressor = decompressor_for(self.headers)
        link, http, limits = self._connection.link, self._connection.http, self._in_flight.limits
        try:
            while True:
                if data := http.body():
                    if decompressor is None:
                        yield data
                    else:
                        yield from decompressor.feed(data)
                    limits.chunk_arrived()
                if http.ended:
                    break
                http.receive(link.read(_READ))
        except _FAILURES as error:
            raise self._in_flight.body_failure(error) from error
        self._ended = True

    def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """Raise TypeError: this client has no such method."""
        raise TypeError("this client is synchronous")

    def close(self) -> None:
        """Close the response. Its connection is kept for the next request if the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        self._client.give_back(self._connection, reusable=self._reusable)

    async def aclose(self) -> None:
        """Async version of `close`."""
        self.close()


# --- asynchronous --------------------------------------------------------------------------------


class AsyncDirectClient(_Connections[AsyncLink]):
    """An asynchronous client, of one event loop.

    Args:
        verify: how certificates are checked.
        max_connections: how many requests may be under way at once. None: any number.
    """

    def __init__(self, verify: Verify = True, max_connections: int | None = None) -> None:
        self._verify = verify
        self._slots = asyncio.Semaphore(max_connections) if max_connections else None
        super().__init__(self._slots)

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> _AsyncRequestInFlight:
        """A request that is ready to be sent. See `HTTPClient`."""
        return _AsyncRequestInFlight(
            self, request, *prepare_request(request, content, key, options)
        )

    async def send(self, in_flight: _AsyncRequestInFlight) -> _AsyncResponse:
        """Send a request over a connection that waits for one, or a new one."""
        if self._slots is not None:
            await self._wait_for_slot(self._slots, in_flight.limits)
        connection, url = None, in_flight.sent.url
        try:
            connection = self._idle.take(url.origin)
            if connection is None:
                connection = Connection(url, AsyncLink())
                link, host = connection.link, url.host.decode("ascii")
                link.limits = in_flight.limits
                await link.connect(host, url.origin[2])
                if url.scheme == b"https":
                    await link.start_tls(await aload_context(self._verify), host)
            return await self._send_over(in_flight, connection)
        except BaseException:
            self.give_back(connection, reusable=False)
            raise

    async def _send_over(
        self, in_flight: _AsyncRequestInFlight, connection: Connection[AsyncLink]
    ) -> _AsyncResponse:
        link, http = connection.link, connection.http
        link.limits = in_flight.limits
        await self._write(in_flight, connection)
        while (head := http.response()) is None:
            http.receive(await link.read(_READ))
        return _AsyncResponse(head, in_flight, connection)

    @staticmethod
    async def _write(in_flight: _AsyncRequestInFlight, connection: Connection[AsyncLink]) -> None:
        link, http = connection.link, connection.http
        try:
            await link.write(in_flight.head(http))
            rest = in_flight.rest
            if rest is None:
                return
            if isinstance(rest, bytes):
                await link.write(http.data(rest))
            else:
                async for piece in cast("AsyncIterator[bytes]", rest):
                    await link.write(http.data(piece))
            if last := http.end():
                await link.write(last)
        except WriteError:
            pass  # A server may answer before it has read everything, and close. The answer says why.

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
            raise PoolTimeout from None
        except BaseException:
            if acquired:
                slots.release()
            raise


class _AsyncRequestInFlight(_RequestInFlight):
    def __init__(
        self,
        client: AsyncDirectClient,
        request: Request,
        sent: PreparedRequest,
        limits: TimeLimits,
    ) -> None:
        super().__init__(request, sent, limits)
        self.client = client

    def send(self) -> HTTPResponse:
        """Raise TypeError: this client has no such method."""
        raise TypeError("this client is asynchronous")

    async def asend(self) -> HTTPResponse:
        """Send it, and wait for the head of the response."""
        try:
            return await self.client.send(self)
        except _FAILURES as error:
            raise self.failure(error) from error


class _AsyncResponse(_Response[AsyncLink]):
    def __init__(
        self, head: Response, in_flight: _AsyncRequestInFlight, connection: Connection[AsyncLink]
    ) -> None:
        super().__init__(head, in_flight, connection)
        self._client = in_flight.client

    def iter_bytes(self) -> Iterator[bytes]:
        """Raise TypeError: this client has no such method."""
        raise TypeError("this client is asynchronous")

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """Yield the decoded body in chunks, as it arrives."""
        decompressor = decompressor_for(self.headers)
        link, http, limits = self._connection.link, self._connection.http, self._in_flight.limits
        try:
            while True:
                if data := http.body():
                    if decompressor is None:
                        yield data
                    else:
                        for piece in decompressor.feed(data):
                            yield piece
                    limits.chunk_arrived()
                if http.ended:
                    break
                http.receive(await link.read(_READ))
        except _FAILURES as error:
            raise self._in_flight.body_failure(error) from error
        link.rest()
        self._ended = True

    def close(self) -> None:
        """Close the response and its connection."""
        if not self._closed:
            self._closed = True
            self._client.give_back(self._connection, reusable=False)

    async def aclose(self) -> None:
        """Close the response. Its connection is kept for the next request if the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        self._client.give_back(self._connection, reusable=self._reusable)
