"""How long the threads of this process were kept from running: what a busy machine adds to every wait."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left

__all__ = ["LagWatch"]

NAP = 0.02
"""Seconds after which the watching thread wants to wake up."""


class LagWatch:
    """Sleeps again and again, and notes by how much it overslept.

    A thread that wants to run waits for a core and for the interpreter. Whoever waits for something is late by as
    much as this thread: what its wait took beyond that is its own doing.
    """

    def __init__(self) -> None:
        self._woken: list[float] = []
        """When the thread woke up, in seconds of the monotonic clock."""
        self._lag: list[float] = []
        """Seconds that it had overslept by then, in all."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lag watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> LagWatch:
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, begun: float, ended: float) -> float:
        """Seconds that this thread was late for between two times of the monotonic clock.

        Sleeps that were under way at either time count in full, and the thread is waited for until it has woken
        up behind the end.
        """
        while not self._woken or self._woken[-1] < ended:
            time.sleep(NAP / 2)
        first, last = bisect_left(self._woken, begun), bisect_left(self._woken, ended)
        return self._lag[last] - (self._lag[first - 1] if first else 0.0)

    def _watch(self) -> None:
        total, before = 0.0, time.monotonic()
        while not self._ended.is_set():
            time.sleep(NAP)
            now = time.monotonic()
            total += max(0.0, now - before - NAP)
            self._lag.append(total)
            self._woken.append(now)
            before = now
