"""A limit of requests per minute that every object of the process with the same key and host shares."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from nvcf_core.locks import Lock

_WINDOW = 60.05
"""Seconds in which the limit holds. A little over a minute, for what the network adds."""


class Ticket:
    """A place in the queue."""

    __slots__ = ("at", "limit")

    def __init__(self, at: float, limit: int) -> None:
        self.at = at
        """When it may be used; once used, when that was."""
        self.limit = limit
        """How many may be used in a window, this one included."""


class Pace:
    """Hands out places in the order they are asked for, never more than the limit in any 60 seconds.

    After a 429 the limit is halved, and grows back with each answer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tickets: deque[Ticket] = deque()
        self._used: deque[float] = deque()
        """When tickets were used, within the last window."""
        self._share = 1.0

    def reserve(self, per_minute: int) -> Ticket:
        """Take the next place, under a limit of `per_minute` requests."""
        with self._lock:
            now = self._clock()
            while self._tickets and self._tickets[0].at < now - 2 * _WINDOW:
                self._tickets.popleft()
            limit = max(1, int(per_minute * self._share))
            at = max(now, self._tickets[-1].at if self._tickets else now)
            if len(self._tickets) >= limit:
                at = max(at, self._tickets[-limit].at + _WINDOW)
            ticket = Ticket(at, limit)
            self._tickets.append(ticket)
            return ticket

    def wait(self, ticket: Ticket) -> float:
        """Seconds until the ticket may be used; 0 uses it, now.

        To be asked again after every wait: those before may have come late.
        """
        with self._lock:
            now = self._clock()
            while self._used and self._used[0] <= now - _WINDOW:
                self._used.popleft()
            if len(self._used) >= ticket.limit:
                ticket.at = max(ticket.at, self._used[-ticket.limit] + _WINDOW)
            if ticket.at > now:
                return ticket.at - now
            ticket.at = now
            self._used.append(now)
            return 0.0

    def give_back(self, ticket: Ticket) -> None:
        """Leave the queue: the place was not used."""
        with self._lock:
            if ticket in self._tickets:
                self._tickets.remove(ticket)

    def slow_down(self) -> None:
        """The service said 429."""
        with self._lock:
            self._share = max(self._share / 2, 0.05)

    def recover(self) -> None:
        """The service answered."""
        if self._share < 1.0:
            with self._lock:
                self._share = min(1.0, self._share + 0.05)


_paces: dict[tuple[str, str], Pace] = {}


def pace_for(key_digest: str, host: str) -> Pace:
    """The pace of a key at a host, one for the whole process."""
    return _paces.setdefault((key_digest, host), Pace())
