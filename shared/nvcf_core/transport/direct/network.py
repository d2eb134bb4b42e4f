"""The sockets of connections, sync and async, that hold every wait to the limits of the request."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any

from nvcf_core.transport.time_limits import TimeLimits

from .addresses import look_up
from .connecting import aconnect_first, connect_first, in_turn
from .receiver import Receiver

__all__ = [
    "AsyncLink",
    "NetworkError",
    "NetworkTimeout",
    "PoolTimeout",
    "SyncLink",
    "WriteError",
]


class NetworkError(Exception):
    """A connection failed. The subclasses have the names of httpx's, since error messages show them."""


class ConnectError(NetworkError):
    """Could not connect."""


class ReadError(NetworkError):
    """The connection broke while the response was read."""


class WriteError(NetworkError):
    """The connection broke while the request was sent."""


class NetworkTimeout(Exception):
    """A phase took longer than its limit."""


class ConnectTimeout(NetworkTimeout):
    """Could not connect in time."""


class ReadTimeout(NetworkTimeout):
    """Nothing arrived in time."""


class WriteTimeout(NetworkTimeout):
    """The server did not accept data in time."""


class PoolTimeout(NetworkTimeout):
    """No slot for a connection in time."""


_SLICE = 1 << 17
"""Bytes that are sent at a time: each slice has the whole time of a write."""

_ALPN = ["http/1.1"]


class _Link:
    """What one connection is made over: the socket, and the limits of the request that uses it."""

    def __init__(self) -> None:
        self.limits = TimeLimits({})
        self._connected: socket.socket | None = None

    def close(self) -> None:
        """Close the socket at once, whatever is under way. Nothing is waited for."""
        if self._connected is not None:
            self._connected.close()

    @property
    def _socket(self) -> socket.socket:
        if self._connected is None:
            raise ConnectError("there is no connection yet")
        return self._connected

    @property
    def readable(self) -> bool:
        """Whether there is something to be read: on an idle connection, that the other side has closed it."""
        if self._socket.fileno() < 0:
            return True
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([self._socket], [], [], 0)[0])


def _prepared(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _slices(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + _SLICE] for start in range(0, len(view), _SLICE))


# --- synchronous ---------------------------------------------------------------------------------


class SyncLink(_Link):
    """The network of one synchronous connection: connects it, and is its stream then."""

    def connect(self, host: str, port: int) -> None:
        """Connect to the address of a host that answers first."""
        self.limits.begin("connect")
        try:
            addresses = look_up(host, port).result(self._left(ConnectTimeout))
            self._connected = _prepared(connect_first(in_turn(addresses), self.limits.left))
        except TimeoutError as error:
            raise ConnectTimeout(str(error)) from error
        except OSError as error:
            raise ConnectError(str(error)) from error

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Put TLS over the connection, within what is left of the time for connecting."""
        try:
            self._socket.settimeout(self._left(ConnectTimeout))
            context.set_alpn_protocols(_ALPN)
            self._connected = context.wrap_socket(self._socket, server_hostname=host)
        except TimeoutError as error:
            self.close()
            raise ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise ConnectError(str(error)) from error

    def read(self, max_bytes: int) -> bytes:
        """The next bytes of the response; none: the other side has ended it."""
        self.limits.wait_for_response()
        self._socket.settimeout(self._left(ReadTimeout))
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise ReadTimeout(str(error)) from error
        except OSError as error:
            raise ReadError(str(error)) from error

    def write(self, buffer: bytes) -> None:
        """Send bytes. Each slice of them has the whole time of a write."""
        try:
            for piece in _slices(buffer):
                self.limits.begin("write")
                left = piece
                while left:  # TLS takes a record at a time.
                    self._socket.settimeout(self._left(WriteTimeout))
                    left = left[self._socket.send(left) :]
        except TimeoutError as error:
            raise WriteTimeout(str(error)) from error
        except OSError as error:
            raise WriteError(str(error)) from error

    def _left(self, late: type[Exception]) -> float | None:
        left = self.limits.left()
        if left is not None and left <= 0:
            raise late
        return left


# --- asynchronous --------------------------------------------------------------------------------


class AsyncLink(_Link):
    """The network of one asynchronous connection: connects it, and is its stream then.

    It reads and writes its socket itself, and the loop only signals when to. So it owns the socket, and can close it
    at any time: while a task is being cancelled, from another thread, after the loop has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._receiver: Receiver | None = None

    async def connect(self, host: str, port: int) -> None:
        """Connect to the address of a host that answers first."""
        self.limits.begin("connect")
        try:
            async with asyncio.timeout(self.limits.left()):
                looked_up = look_up(host, port)
                if not looked_up.done():
                    await asyncio.wrap_future(looked_up)
                self._connected = _prepared(await aconnect_first(in_turn(looked_up.result())))
                self._receiver = Receiver(self._connected)
        except TimeoutError as error:
            raise ConnectTimeout(str(error)) from error
        except OSError as error:
            raise ConnectError(str(error)) from error

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Put TLS over the connection, within what is left of the time for connecting."""
        context.set_alpn_protocols(_ALPN)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        try:
            async with asyncio.timeout(self.limits.left()):
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        await self._flush()
                        self._feed_tls(await self._receive(_SLICE))
                await self._flush()
        except TimeoutError as error:
            raise ConnectTimeout(str(error)) from error
        except OSError as error:
            raise ConnectError(str(error)) from error
        self._tls = tls

    def rest(self) -> None:
        """Nothing more is to be read until the next request is sent."""
        if self._receiver is not None:
            self._receiver.stop()

    def close(self) -> None:
        """Close the socket, whatever is under way. Nothing is waited for."""
        if self._receiver is not None:
            self._receiver.close()

    async def read(self, max_bytes: int) -> bytes:
        """The next bytes of the response; none: the other side has ended it."""
        self.limits.wait_for_response()
        try:
            if self._tls is None:
                return await self._receive(max_bytes)
            return await self._read_tls(self._tls, max_bytes)
        except TimeoutError as error:
            raise ReadTimeout(str(error)) from error
        except OSError as error:
            raise ReadError(str(error)) from error

    async def write(self, buffer: bytes) -> None:
        """Send bytes. Each slice of them has the whole time of a write."""
        try:
            for piece in _slices(buffer):
                self.limits.begin("write")
                piece = self._sent_at_once(piece)
                if not piece:
                    continue
                async with asyncio.timeout(self.limits.left()):
                    if self._tls is None:
                        await self._send(piece)
                    else:
                        self._tls.write(piece)
                        await self._flush()
        except TimeoutError as error:
            raise WriteTimeout(str(error)) from error
        except OSError as error:
            raise WriteError(str(error)) from error

    def _sent_at_once(self, data: memoryview) -> memoryview:
        """Send what the system takes without waiting, which is all of nearly every request; return the rest."""
        left = self.limits.left()
        if self._tls is not None or (left is not None and left <= 0):
            return data
        try:
            return data[self._socket.send(data) :]
        except (BlockingIOError, InterruptedError):
            return data

    async def _read_tls(self, tls: ssl.SSLObject, max_bytes: int) -> bytes:
        while True:
            try:
                return tls.read(max_bytes)
            except ssl.SSLWantReadError:
                if self._outgoing.pending:
                    await self._flush()
                self._feed_tls(await self._receive(_SLICE))
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def _feed_tls(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        await self._send(memoryview(self._outgoing.read()))

    async def _send(self, data: memoryview) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def _receive(self, max_bytes: int) -> Coroutine[Any, Any, bytes]:
        if self._receiver is None:
            raise ConnectError("there is no connection yet")
        return self._receiver.receive(max_bytes, self.limits.until)
