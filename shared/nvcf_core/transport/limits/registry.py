"""What every object of the process shares by a key: made at first use, bounded in number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from nvcf_core.locks import Lock

__all__ = ["Registry"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST = 1024


class Registry(Generic[K, V]):
    """Values by key. Above a number of keys, the least recently used one is dropped.

    Args:
        make: makes a value, for a key that is new.
        most: how many keys are kept.
    """

    def __init__(self, make: Callable[[], V], most: int = _MOST) -> None:
        self._make, self._most = make, most
        self._lock = Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V:
        """The value of a key, the same one for every thread."""
        with self._lock:
            if key not in self._values:
                self._values[key] = self._make()
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            return self._values[key]
