"""Locks that neither a forked child nor the garbage collector waits for in vain."""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["Lock"]


class Lock:
    """A lock to be used with `with`.

    In a forked child, where its holder does not exist, it is free. The thread that holds it may take it again: the
    garbage collector runs anywhere, and closes calls that somebody dropped, which then give back what they held. So
    what is done under a lock has to be right at every point at which an object is made.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Be free."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[Lock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in _all:
        lock.renew()


if hasattr(os, "register_at_fork"):  # Where there are forks.
    os.register_at_fork(after_in_child=_renew_all)
