"""Connections that wait for their next request, by origin: the last used goes first."""

from __future__ import annotations

import time
from collections import deque
from typing import Generic, TypeVar

from nvcf_core.locks import Lock

from .http1 import HTTP1
from .network import AsyncLink, SyncLink
from .urls import Origin, ParsedURL

__all__ = ["Connection", "IdleConnections", "L"]

_MOST_IDLE_PER_ORIGIN = 256
"""Connections of one origin that are kept open for the next request. To open another costs half of what a call does."""

_KEEP_ALIVE = 30.0
"""Seconds that they are kept."""

L = TypeVar("L", SyncLink, AsyncLink)


class Connection(Generic[L]):
    """A connection: the socket, and what is said over it."""

    __slots__ = ("http", "idle_since", "link", "origin")

    def __init__(self, origin: ParsedURL, link: L) -> None:
        self.origin = origin.origin
        self.link: L = link
        self.http = HTTP1()
        self.idle_since = 0.0


class IdleConnections(Generic[L]):
    """Connections that wait for their next request, by origin."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: dict[Origin, deque[Connection[L]]] = {}
        self.closed = False

    def take(self, origin: Origin) -> Connection[L] | None:
        """The one that was used last, if it is still good."""
        with self._lock:
            waiting = self._idle.get(origin)
            while waiting:
                self._drop_old(waiting)
                if waiting:
                    connection = waiting.pop()
                    # What comes unasked can only be the end, or worse.
                    if not connection.link.readable:
                        return connection
                    connection.link.close()
            return None

    def put(self, connection: Connection[L]) -> bool:
        """Keep a connection for the next request, if it can have one and there is room."""
        if not connection.http.is_reusable():
            return False
        with self._lock:
            if self.closed:
                return False
            waiting = self._idle.setdefault(connection.origin, deque())
            if len(waiting) >= _MOST_IDLE_PER_ORIGIN:
                return False
            connection.idle_since = time.monotonic()
            waiting.append(connection)
            return True

    def close(self) -> None:
        """Close them all. Nothing is waited for; those that are in use are closed when they come back."""
        with self._lock:
            self.closed = True
            waiting = [connection for each in self._idle.values() for connection in each]
            self._idle.clear()
        for connection in waiting:
            connection.link.close()

    @staticmethod
    def _drop_old(waiting: deque[Connection[L]]) -> None:
        """The longest unused stand first."""
        oldest = time.monotonic() - _KEEP_ALIVE
        while waiting and waiting[0].idle_since < oldest:
            waiting.popleft().link.close()
