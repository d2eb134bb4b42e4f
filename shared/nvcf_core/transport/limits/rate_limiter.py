"""A limit of requests per minute that every object of the process with the same key and host shares."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

from nvcf_core.locks import Lock

from .registry import Registry

__all__ = [
    "WINDOW",
    "RateLimiter",
    "RequestLimiter",
    "Reservation",
    "TimedLimiter",
    "shared_rate_limiter",
]

WINDOW = 60.05
"""Seconds in which a limit holds. A little over a minute, for what the network adds."""


@runtime_checkable
class RequestLimiter(Protocol):
    """A limiter of the user's own (`request_limiter`): of several processes, say."""

    def acquire(self) -> object:
        """Wait until a request may be sent to the model."""
        ...

    async def acquire_async(self) -> object:
        """Async version of `acquire`."""
        ...

    def feedback(self, status: int, retry_after: float | None) -> object:
        """Take the status of the response, and the seconds of its `Retry-After`, if it has one."""
        ...


@runtime_checkable
class TimedLimiter(RequestLimiter, Protocol):
    """A limiter that also wants to know when a request goes out: a connection may have to be made before."""

    def sent(self, permit: Any) -> object:
        """The request goes out now that was let through with what `acquire` or `acquire_async` returned."""
        ...


class Reservation:
    """A place in the queue."""

    __slots__ = ("number", "per_minute", "state")

    def __init__(self, number: int, per_minute: int) -> None:
        self.number = number
        self.per_minute = per_minute
        self.state: Literal["waiting", "granted", "sent", "left"] = "waiting"


class RateLimiter:
    """Grants places in the order in which they were reserved, never more than the limit in any 60 seconds.

    A place counts from the moment at which its request goes out. After a 429 the limit is halved, and grows back with
    each answer.

    Args:
        clock: returns the time, in seconds.
        window: seconds in which the limit holds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, window: float = WINDOW) -> None:
        self._clock, self._window = clock, window
        self._lock = Lock()
        self._granted = 0
        """Places whose requests are about to go out."""
        self._sent: deque[float] = deque()
        """When the requests of the last window went out."""
        self._next = 0
        """The number of the next reservation."""
        self._first = 0
        """The number before which nobody waits any more."""
        self._gone: list[int] = []
        """The numbers from there on whose callers wait no more, in order."""
        self._share = 1.0

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._next - self._first - len(self._gone)

    def reserve(self, per_minute: int) -> Reservation:
        """Take the next place in the queue, under a limit of `per_minute` requests."""
        with self._lock:
            self._next += 1
            return Reservation(self._next - 1, per_minute)

    def wait(self, reservation: Reservation) -> float:
        """Return the estimated seconds until the reservation may be used; 0 grants it.

        To be called again after every wait, and during long ones: those ahead may have been late, or left.
        """
        with self._lock:
            now = self._clock()
            limit = max(1, int(reservation.per_minute * self._share))
            while self._sent and self._sent[0] <= now - self._window:
                self._sent.popleft()
            ahead = reservation.number - self._first - bisect_left(self._gone, reservation.number)
            beyond = ahead + self._granted + len(self._sent) - limit
            if beyond < 0:
                reservation.state = "granted"
                self._granted += 1
                self._leave(reservation)
                return 0.0
            rounds, place = divmod(beyond, limit)
            before = self._sent[place] if place < len(self._sent) else now
            return max(before + self._window * (1 + rounds) - now, 0.001)

    def sent(self, reservation: Reservation) -> None:
        """Record that the request is sent now: its minute begins."""
        with self._lock:
            reservation.state = "sent"
            self._granted -= 1
            self._sent.append(self._clock())

    def cancel(self, reservation: Reservation) -> None:
        """Give the place back, unless its request has gone out."""
        with self._lock:
            if reservation.state == "waiting":
                self._leave(reservation)
            elif reservation.state == "granted":
                self._granted -= 1
            else:
                return
            reservation.state = "left"

    def _leave(self, reservation: Reservation) -> None:
        """Remove a reservation from the queue."""
        insort(self._gone, reservation.number)
        done = 0
        while done < len(self._gone) and self._gone[done] == self._first:
            done += 1
            self._first += 1
        del self._gone[:done]

    def on_response(self, status: int) -> None:
        """Take the status of a response into account: slower after a 429, faster after each success."""
        if status == 429:
            self.on_rate_limited()
        elif status < 400:
            self.on_success()

    def on_rate_limited(self) -> None:
        """The service said 429."""
        with self._lock:
            self._share = max(self._share / 2, 0.05)

    def on_success(self) -> None:
        """The service answered."""
        if self._share < 1.0:
            with self._lock:
                self._share = min(1.0, self._share + 0.05)


_limiters: Registry[tuple[str, str], RateLimiter] = Registry(RateLimiter)


def shared_rate_limiter(key_digest: str, host: str) -> RateLimiter:
    """The limiter of a key at a host, one for the whole process."""
    return _limiters.get((key_digest, host))
