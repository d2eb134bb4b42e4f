"""Receives from a socket within an event loop: what one read has set up serves the next."""

from __future__ import annotations

import asyncio
import os
import socket
import time

__all__ = ["Receiver"]

_IN_A_ROW = 16
"""Reads that may find their bytes waiting before others get a turn."""


class Receiver:
    """Receives from one socket, read after read. To be made in the event loop that is to wait.

    A stream takes thousands of reads, and nearly all of them wait. To have the socket watched and to set a timer for
    each of them costs as much as all else of a read. So the loop goes on watching from one read to the next, until
    something comes while nobody reads; and a timer is left to run out, and set again then for what a later read has
    left.

    Args:
        sock: does not block.
    """

    __slots__ = (
        "_in_a_row", "_is_watched", "_loop", "_most", "_process", "_socket", "_timer", "_timer_until", "_until",
        "_waiter",
    )  # fmt: skip

    def __init__(self, sock: socket.socket) -> None:
        self._socket, self._loop = sock, asyncio.get_running_loop()
        self._process = os.getpid()
        self._waiter: asyncio.Future[bytes] | None = None
        self._most = 0
        self._until: float | None = None
        """When the read that waits has to end."""
        self._is_watched = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_until = 0.0
        """When the timer runs out."""
        self._in_a_row = 0
        """Reads, one after the other, that took as much as they could: there is more, most likely."""

    async def receive(self, most: int, until: float | None) -> bytes:
        """The next bytes; none: the other side has ended it. Where a read has not taken all, the next does not wait.

        Args:
            most: how many there may be.
            until: when they have to be there, by `time.monotonic`. None: whenever they come.

        Raises:
            TimeoutError: nothing came in time.
            OSError: the connection broke.
        """
        if until is not None and until <= time.monotonic():
            raise TimeoutError
        data = await self._left_over(most) if self._in_a_row else None
        if data is None:
            data = await self._next(most, until)
        self._in_a_row = self._in_a_row + 1 if len(data) == most else 0
        return data

    def stop(self) -> None:
        """Watch the socket no longer. To be called in the loop."""
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Close the socket: at once, but where the loop runs in another thread, and watches it. Then that closes it."""
        if not self._is_watched and self._timer is None:
            self._socket.close()
        elif self._loop.is_closed() or self._process != os.getpid():
            self._socket.close()  # A forked child leaves the loop alone: it would change what the parent's watches.
        elif self._loop.is_running() and _running_loop() is not self._loop:
            self._loop.call_soon_threadsafe(self.close)
        else:
            self.stop()
            self._socket.close()

    async def _left_over(self, most: int) -> bytes | None:
        """Return what has arrived already, None if nothing has."""
        if self._in_a_row == _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        try:
            return self._socket.recv(most)
        except (BlockingIOError, InterruptedError):
            self._in_a_row = 0
            return None

    async def _next(self, most: int, until: float | None) -> bytes:
        """Wait for the next bytes."""
        if not self._is_watched and not self._watch():
            async with asyncio.timeout(None if until is None else until - time.monotonic()):
                return await self._loop.sock_recv(self._socket, most)
        self._most, self._until = most, until
        if until is not None and (self._timer is None or until < self._timer_until):
            self._set_timer(until)
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def _watch(self) -> bool:
        """Have the loop watch the socket. False: this loop cannot. Windows' own cannot."""
        if self._socket.fileno() < 0:
            raise OSError("the connection was closed")
        try:
            self._loop.add_reader(self._socket.fileno(), self._on_readable)
        except NotImplementedError:
            return False
        self._is_watched = True
        return True

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket.fileno())

    def _on_readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._unwatch()  # Whoever reads is slower than the network. The next read has it watched again.
            return
        try:
            waiter.set_result(self._socket.recv(self._most))
        except (BlockingIOError, InterruptedError):
            pass  # Woken for nothing, which no system rules out.
        except OSError as error:
            waiter.set_exception(error)

    def _set_timer(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_until = until
        self._timer = self._loop.call_later(until - time.monotonic(), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        waiter, until = self._waiter, self._until
        if waiter is None or waiter.done() or until is None:
            return
        if time.monotonic() < until:
            self._set_timer(until)
        else:
            waiter.set_exception(TimeoutError())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
