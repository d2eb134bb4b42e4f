"""How many synchronous requests may be under way at once."""

from __future__ import annotations

from queue import Empty, SimpleQueue

__all__ = ["Slots"]

_MOST = 1 << 16
"""More than there are ports: a larger number is no limit."""


class Slots:
    """Slots for requests, to be taken and given back.

    Unlike `threading.Semaphore` it may be given one back anywhere: the garbage collector closes streams that somebody
    dropped, perhaps while the same thread is taking a slot.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(min(count, _MOST)):
            self._free.put(None)

    def acquire(self, timeout: float | None) -> bool:
        """Take one. False: none was free for `timeout` seconds; None waits as long as it takes."""
        try:
            self._free.get(timeout=timeout)
        except Empty:
            return False
        return True

    def release(self) -> None:
        """Give one back."""
        self._free.put(None)
