"""A limit of requests per minute as plain values that can be stored: what was used, and how slow to be."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

__all__ = ["SlidingWindow", "is_late"]

_MARGIN = 1 / 60
"""Part of the window by which it is longer, for the time between a permit and the arrival of its request: 1 s of 60."""

_LATE = _MARGIN / 2
"""Part of the window after which a request that goes out is late, and counts from then on. The rest of the margin is
for its way to the service."""

_SLOTS = 600
"""Time slots of one window, so that the stored state stays small: 0.1 s of 60."""

_SMALLEST_SHARE = 0.05
_GROWTH = 0.05

_LONGEST_PAUSE = 60.0
"""Seconds of a `Retry-After` that are obeyed, as everywhere else."""


@dataclass(slots=True)
class SlidingWindow:
    """Never more than a limit in any `seconds` seconds. After a 429 the limit is halved, and grows with each success.

    Its caller keeps it from being used twice at once, and says what time it is.
    """

    seconds: float = 60.0
    used: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    """Permits that were handed out: when, rounded up, and how many."""
    share: float = 1.0
    """The part of the limit that the service bears at present."""
    paused_until: float = 0.0

    def grant(self, now: float, wanted: int, limit: int) -> tuple[int, float]:
        """Take up to `wanted` permits.

        Args:
            now: seconds of a clock that all who share the state share.
            wanted: permits requested, 1 or more.
            limit: the most permits of one window.

        Returns:
            How many permits there are, to be used at once. Where there are none: seconds until there may be one.
        """
        self._forget(now)
        if now < self.paused_until:
            return 0, self.paused_until - now
        free = max(1, int(limit * self.share)) - sum(count for _, count in self.used)
        if free < 1:
            return 0, max(0.0, self.used[0][0] + self._length - now)
        granted = min(wanted, free)
        self._use(now, granted)
        return granted, 0.0

    def count_late(self, now: float) -> None:
        """Count a request that goes out long after its permit, from now on.

        Its permit counts as well, until it has passed: who knows whether others were granted with it in mind.
        """
        self._use(now, 1)

    def feedback(self, now: float, status: int, retry_after: float | None) -> None:
        """Take a response into account: slower after a 429, faster after each success."""
        if status == 429:
            self.share = max(self.share / 2, _SMALLEST_SHARE)
            pause = min(retry_after or 0.0, _LONGEST_PAUSE)
            self.paused_until = max(self.paused_until, now + pause)
        elif status < 400:
            self.share = min(1.0, self.share + _GROWTH)

    def dump(self) -> str:
        """The state as JSON text."""
        return json.dumps([self.used, self.share, self.paused_until])

    @classmethod
    def load(cls, text: str, seconds: float) -> SlidingWindow:
        """The state that `dump` gave."""
        used, share, paused_until = json.loads(text)
        return cls(seconds, [(when, count) for when, count in used], share, paused_until)

    @property
    def _length(self) -> float:
        return self.seconds * (1 + _MARGIN)

    def _forget(self, now: float) -> None:
        """Drop what has passed, and what a clock that began anew says of the future."""
        latest = now + self.seconds
        self.used = [(at, n) for at, n in self.used if now - self._length < at <= latest]
        if self.paused_until > now + _LONGEST_PAUSE:
            self.paused_until = 0.0

    def _use(self, now: float, count: int) -> None:
        slot = self.seconds / _SLOTS
        at = math.ceil(now / slot) * slot
        if self.used and self.used[-1][0] >= at:
            at, before = self.used.pop()
            count += before
        self.used.append((at, count))


def is_late(seconds: float, window: float) -> bool:
    """Whether a request that goes out so many seconds after its permit has to be counted anew.

    Args:
        seconds: since the permit.
        window: seconds that the limit counts over.
    """
    return seconds > _LATE * window
