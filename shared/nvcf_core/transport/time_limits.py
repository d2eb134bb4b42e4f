"""Time limits of the phases of a request. Each limits a whole phase, not only the time between two bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import APITimeoutError
from nvcf_core.exchange import Request

__all__ = ["Phase", "TimeLimits", "time_limits"]

Phase: TypeAlias = Literal["connect", "read", "write", "pool"]

_CONNECT, _READ = 10.0, 300.0
"""Seconds, where the user gave no `timeout`."""

_PHASES: tuple[Phase, ...] = ("connect", "read", "write", "pool")


class TimeLimits:
    """The limits of one request, and the moment at which the phase that it is in has to end.

    Args:
        phases: seconds for each phase. None: no limit.

    Attributes:
        deadline: when all of the request has to end, by `time.monotonic`. None: no such moment.
        until: when the current phase has to end. None: no such moment.
        on_sending: called once, when the request is sent.
        body_limit: seconds that the body may stall now, and the keyword that set it.
    """

    __slots__ = (
        "_between_chunks",
        "_current",
        "_keeps_timer",
        "body_limit",
        "deadline",
        "on_sending",
        "phases",
        "until",
    )

    def __init__(self, phases: dict[Phase, float | None]) -> None:
        self.phases = phases
        self.deadline: float | None = None
        self.until: float | None = None
        self.body_limit: tuple[float | None, str] = (phases.get("read"), "timeout")
        self._current: Phase | None = None
        self.on_sending: Callable[[], None] | None = None
        self._between_chunks: tuple[float | None, str] | None = None
        self._keeps_timer = False

    def begin(self, phase: Phase) -> None:
        """Start the timer of a phase."""
        if phase == "write":
            self.note_sending()
        self._current = phase
        self._run(self.phases.get(phase))

    def note_sending(self) -> None:
        """The request goes out: it is told, once."""
        on_sending, self.on_sending = self.on_sending, None
        if on_sending is not None:
            on_sending()

    def wait_for_response(self) -> None:
        """Start the timer for the response, unless it is running: it starts with the first read after the last
        write."""
        if self._current != "read":
            self.begin("read")

    def limit_between_chunks(self, seconds: float | None, name: str) -> None:
        """Limit the time between chunks instead of the whole body. The timer for the first chunk is already running.

        Args:
            seconds: the longest time between two chunks. None: the limit for the response.
            name: the keyword that sets it, for errors.
        """
        self._between_chunks = self.body_limit if seconds is None else (seconds, name)

    def limit_total(self) -> None:
        """Limit the whole body to the time that the response had."""
        self._run(self.body_limit[0])

    def chunk_arrived(self) -> None:
        """Restart the timer for the next chunk of the body."""
        if self._keeps_timer:
            self._keeps_timer = False
        elif self._between_chunks is not None:
            self.body_limit = self._between_chunks
            self._run(self.body_limit[0])

    def keep_running_timer(self) -> None:
        """Keep the timer running at the next arrival: what arrived completes no chunk."""
        self._keeps_timer = True

    def cap_next_chunk(self) -> None:
        """Shorten the running timer to the time between two chunks, if more is left."""
        if self._between_chunks is not None:
            seconds, left = self._between_chunks[0], self.left()
            if seconds is not None and (left is None or seconds < left):
                self.body_limit = self._between_chunks
                self._run(seconds)

    def extend_to(self, seconds: float) -> None:
        """Extend the current phase to at least `seconds` from now, within `deadline`; never shorten it."""
        before = self.until
        self._run(seconds)
        if before is None or (self.until is not None and before > self.until):
            self.until = before

    def finish_within(self, seconds: float) -> None:
        """Limit the rest of the body to `seconds`, or to what is left if that is less."""
        self._between_chunks = None
        left = self.left()
        self._run(seconds if left is None else min(seconds, left))

    def left(self) -> float | None:
        """Return the seconds until the current phase has to end, negative after that. None: no limit."""
        return None if self.until is None else self.until - time.monotonic()

    def _run(self, seconds: float | None) -> None:
        until = None if seconds is None else time.monotonic() + seconds
        if self.deadline is not None and (until is None or self.deadline < until):
            until = self.deadline
        self.until = until

    def response_too_late(self, where: str) -> APITimeoutError:
        """Return the error for a response that did not arrive in time, by its phase.

        Args:
            where: the stage of the request, and the host.
        """
        said = {
            "connect": f"no connection within {self.phases.get('connect')} s",
            "write": f"sending stalled for {self.phases.get('write')} s",
            "pool": f"no free connection within {self.phases.get('pool')} s",
            "read": f"no response within {self.phases.get('read')} s",
        }[self._current or "read"]
        return APITimeoutError(f"{where}: {said} (timeout)", failed_at=time.monotonic())

    def body_too_late(self) -> APITimeoutError:
        """Return the error for a body that stalls, or takes longer than `call_timeout`."""
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            return APITimeoutError("the time of the call is over (call_timeout)", failed_at=now)
        seconds, name = self.body_limit
        return APITimeoutError(f"nothing arrived for {seconds} s ({name})", failed_at=now)


def time_limits(request: Request, options: RequestOptions, default: Any = None) -> TimeLimits:
    """Return the time limits of a request.

    Args:
        request: may shorten the wait for its response.
        options: the user's limits.
        default: used if the user set none. An httpx.Timeout, or None: our own defaults.
    """
    timeout = default if options.timeout is None else options.timeout
    # With max_connections calls wait their turn, however long that takes.
    phases: dict[Phase, float | None]
    phases = {"connect": _CONNECT, "read": _READ, "write": _READ, "pool": None}
    if isinstance(timeout, (int, float)):
        phases = {"connect": timeout, "read": timeout, "write": timeout, "pool": None}
    elif timeout is not None:
        phases = {name: getattr(timeout, name, None) for name in _PHASES}
    if request.read_timeout is not None:
        read = phases["read"]
        phases["read"] = request.read_timeout if read is None else min(read, request.read_timeout)
    return TimeLimits(phases)
