"""A limit of requests per minute that every object of the process with the same key and host shares."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from nvcf_core.locks import Lock

__all__ = ["WINDOW", "RateLimiter", "Reservation", "shared_rate_limiter"]

WINDOW = 60.05
"""Seconds in which a limit holds. A little over a minute, for what the network adds."""


class Reservation:
    """A place in the queue."""

    __slots__ = ("at", "limit")

    def __init__(self, at: float, limit: int) -> None:
        self.at = at
        """When it may be used; once used, when that was."""
        self.limit = limit
        """How many may be used in a window, this one included."""


class RateLimiter:
    """Hands out places in the order they are asked for, never more than the limit in any 60 seconds.

    After a 429 the limit is halved, and grows back with each answer.

    Args:
        clock: tells the time, in seconds.
        window: seconds in which the limit holds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, window: float = WINDOW) -> None:
        self._clock, self._window = clock, window
        self._lock = Lock()
        self._reservations: deque[Reservation] = deque()
        self._used: deque[float] = deque()
        """When places were used, within the last window."""
        self._share = 1.0

    def reserve(self, per_minute: int) -> Reservation:
        """Take the next place, under a limit of `per_minute` requests."""
        with self._lock:
            now = self._clock()
            while self._reservations and self._reservations[0].at < now - 2 * self._window:
                self._reservations.popleft()
            limit = max(1, int(per_minute * self._share))
            at = max(now, self._reservations[-1].at if self._reservations else now)
            if len(self._reservations) >= limit:
                at = max(at, self._reservations[-limit].at + self._window)
            reservation = Reservation(at, limit)
            self._reservations.append(reservation)
            return reservation

    def wait(self, reservation: Reservation) -> float:
        """Seconds until the reservation may be used; 0 uses it, now.

        To be asked again after every wait: those before may have come late.
        """
        with self._lock:
            now = self._clock()
            while self._used and self._used[0] <= now - self._window:
                self._used.popleft()
            if len(self._used) >= reservation.limit:
                reservation.at = max(reservation.at, self._used[-reservation.limit] + self._window)
            if reservation.at > now:
                return reservation.at - now
            reservation.at = now
            self._used.append(now)
            return 0.0

    def cancel(self, reservation: Reservation) -> None:
        """Leave the queue: the place was not used."""
        with self._lock:
            if reservation in self._reservations:
                self._reservations.remove(reservation)

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


_limiters: dict[tuple[str, str], RateLimiter] = {}


def shared_rate_limiter(key_digest: str, host: str) -> RateLimiter:
    """The limiter of a key at a host, one for the whole process."""
    return _limiters.setdefault((key_digest, host), RateLimiter())
