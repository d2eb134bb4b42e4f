"""A limit of requests per minute that the processes of one machine share through a file."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from nvcf_core.errors import InvalidRequestError

from .sliding_window import SlidingWindow, is_late

__all__ = ["FileLimiter"]

_LOCK_TIMEOUT = 30.0
"""Seconds to wait for another process that holds the file. It is held for less than a millisecond."""

_LONGEST_SLEEP = 1 / 60
"""Part of the window after which those who wait look again: 1 s of 60."""

_SPREAD = 0.002
"""Part of the window over which those who wait come back, so that they do not come all at once."""


class FileLimiter:
    """A `request_limiter` for the processes of one machine, kept also over their restarts.

    The file is an SQLite database: a process that is killed while it holds the lock leaves neither the lock nor half a
    state. It must lie on a local disk. Processes take turns as they come, without an order.

    Args:
        path: the file; made where there is none, in a folder that exists.
        per_minute: requests in any `window` seconds, 1 or more, over all processes that name the same file.
        window: seconds that the limit counts over; 60 is a minute.

    Raises:
        InvalidRequestError: `per_minute` or `window` is not positive; when acquiring: the file cannot be used.
    """

    def __init__(
        self, path: str | os.PathLike[str], per_minute: int, *, window: float = 60.0
    ) -> None:
        if per_minute < 1 or window <= 0:
            raise InvalidRequestError(
                f"per_minute={per_minute} and window={window} must be positive",
                field="request_limiter",
            )
        self.path, self.per_minute, self.window = os.path.abspath(path), per_minute, window
        self._slowed = False
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return f"FileLimiter({self.path!r}, {self.per_minute}, window={self.window})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.path, self.per_minute, self.window)

    def acquire(self) -> float:
        """Block until one request may be sent.

        Returns:
            The permit: when it was handed out, by `time.monotonic`.

        Raises:
            InvalidRequestError: the file cannot be used.
        """
        while True:
            permit, wait = self._take()
            if permit is not None:
                return permit
            time.sleep(wait)

    async def acquire_async(self) -> float:
        """Async version of `acquire`."""
        turn = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        # One task of each loop reads the file: the others could get nothing before it.
        async with turn:
            while True:
                permit, wait = await asyncio.to_thread(self._take)
                if permit is not None:
                    return permit
                await asyncio.sleep(wait)

    def sent(self, permit: float) -> None:
        """Count a request that is sent long after its permit from now on: the service counts it when it arrives.

        Args:
            permit: what `acquire` or `acquire_async` returned.

        Raises:
            InvalidRequestError: the file cannot be used.
        """
        if is_late(time.monotonic() - permit, self.window):
            with self._state() as state:
                state.count_late(time.monotonic())

    def feedback(self, status: int, retry_after: float | None = None) -> None:
        """Slow all processes down after a 429, and let them speed up again with each success.

        Raises:
            InvalidRequestError: the file cannot be used.
        """
        if status == 429 or (self._slowed and status < 400):
            with self._state() as state:
                state.feedback(time.monotonic(), status, retry_after)
                self._slowed = state.share < 1

    def _take(self) -> tuple[float | None, float]:
        """Take a permit, and return when it was granted. If there is none, return None and the seconds to wait."""
        with self._state() as state:
            now = time.monotonic()
            granted, wait = state.grant(now, 1, self.per_minute)
            self._slowed = state.share < 1
        if granted:
            return now, 0.0
        # Others may have been slowed down, and be faster again, before the next permit is due.
        longest = _LONGEST_SLEEP * self.window
        return None, min(wait, longest) + random.uniform(0, _SPREAD * self.window)

    @contextmanager
    def _state(self) -> Iterator[SlidingWindow]:
        """The state that all share, to be changed while nobody else can."""
        try:
            # A connection of its own each time: none may be carried over a fork, or between threads.
            with closing(sqlite3.connect(self.path, _LOCK_TIMEOUT, isolation_level=None)) as file:
                file.execute("PRAGMA synchronous = OFF")  # A minute is not worth a disk's time.
                file.execute("BEGIN IMMEDIATE")
                file.execute("CREATE TABLE IF NOT EXISTS limiter (id INTEGER PRIMARY KEY, state)")
                row = file.execute("SELECT state FROM limiter").fetchone()
                state = SlidingWindow(self.window)
                if row is not None:
                    state = SlidingWindow.load(row[0], self.window)
                yield state
                file.execute("REPLACE INTO limiter VALUES (1, ?)", (state.dump(),))
                file.execute("COMMIT")
        except sqlite3.Error as error:
            raise InvalidRequestError(
                f"FileLimiter cannot use the file {self.path}: {error}", field="request_limiter"
            ) from error


def _rebuild(path: str, per_minute: int, window: float) -> FileLimiter:
    return FileLimiter(path, per_minute, window=window)
