"""Connecting to a host that has several addresses: each is tried beside those before it that are slow (RFC 8305)."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Sequence

from .addresses import Address

__all__ = ["aconnect_first", "connect_first", "in_turn"]

_STAGGER = 0.25
"""Seconds until the next of a host's addresses is tried beside one that has not answered."""

_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
"""What a system says of a connection that is being made."""


def in_turn(addresses: Sequence[Address]) -> list[Address]:
    """The addresses of a host, the families in turn, beginning with the one that the system prefers."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


def connect_first(
    addresses: Sequence[Address], seconds_left: Callable[[], float | None]
) -> socket.socket:
    """A socket that is connected to one of the addresses, whichever answers first.

    Args:
        addresses: in the order in which they are tried.
        seconds_left: how long it may still take. None: any time.

    Raises:
        TimeoutError: none answered in time.
        OSError: none could be connected to.
    """
    waiting = deque(addresses)
    with _Attempts() as attempts:
        while waiting or attempts.under_way:
            if waiting:
                attempts.begin(waiting.popleft())
            seconds = seconds_left()
            if seconds is not None and seconds <= 0:
                raise TimeoutError
            if waiting:
                seconds = _STAGGER if seconds is None else min(seconds, _STAGGER)
            if connected := attempts.first_connected(seconds):
                return connected
        raise attempts.failure


class _Attempts:
    """Connections that are being made at the same time. Those that nobody has taken are closed at the end."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.failure = OSError("the host has no address")
        """What became of the one that failed last."""

    def __enter__(self) -> _Attempts:
        return self

    def __exit__(self, *_: object) -> None:
        for key in self._selector.get_map().values():
            key.data.close()
        self._selector.close()

    @property
    def under_way(self) -> bool:
        """Whether there are any."""
        return bool(self._selector.get_map())

    def begin(self, address: Address) -> None:
        """Begin one more."""
        family, kind, protocol, _, where = address
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # This machine does not speak IPv6, say.
            self.failure = error
            return
        sock.setblocking(False)
        code = sock.connect_ex(where)
        if code in _UNDER_WAY:
            self._selector.register(sock, selectors.EVENT_WRITE, sock)
        else:
            self._fail(sock, code)

    def first_connected(self, seconds: float | None) -> socket.socket | None:
        """One that has been made, for which there are so many seconds. None: there is none yet."""
        if not self.under_way:
            return None
        for key, _ in self._selector.select(seconds):
            sock: socket.socket = key.data
            self._selector.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return sock
            self._fail(sock, code)
        return None

    def _fail(self, sock: socket.socket, code: int) -> None:
        sock.close()
        self.failure = OSError(code, os.strerror(code))


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def aconnect_first(addresses: Sequence[Address]) -> socket.socket:
    """Async version of `connect_first`, without a time limit.

    Raises:
        OSError: none could be connected to.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0])
    waiting = list(reversed(addresses))
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure = OSError("the host has no address")
    winner: socket.socket | None = None
    try:
        while winner is None and (waiting or attempts):
            if waiting:
                attempts.add(asyncio.create_task(_connect(waiting.pop())))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=_STAGGER if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                error = attempt.exception()
                if isinstance(error, OSError):
                    failure = error
                elif winner is None:
                    winner = attempt.result()
                else:
                    attempt.result().close()
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_late)
        if attempts:
            await asyncio.wait(attempts)
    if winner is None:
        raise failure
    return winner


def _close_late(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
