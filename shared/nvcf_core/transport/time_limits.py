"""How long each phase of a request may take, in all: not only between two bytes."""

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
        on_sending: called once, when the request goes out.
        body_limit: seconds that the body may stand still now, and the keyword that set it.
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
        """Begin a phase: its time starts to run."""
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
        """From the first read after the last write on, the time for the response runs, whatever is read meanwhile."""
        if self._current != "read":
            self.begin("read")

    def limit_between_chunks(self, seconds: float | None, name: str) -> None:
        """Allow a body any time, as long as its pieces keep coming. For the first one the time is running already.

        Args:
            seconds: the longest pause. None: as long as for the response.
            name: the keyword that says so.
        """
        self._between_chunks = self.body_limit if seconds is None else (seconds, name)

    def limit_total(self) -> None:
        """Give a body as long as its response had, in all."""
        self._run(self.body_limit[0])

    def chunk_arrived(self) -> None:
        """A piece of the body has arrived, and the wait for the next one begins."""
        if self._keeps_timer:
            self._keeps_timer = False
        elif self._between_chunks is not None:
            self.body_limit = self._between_chunks
            self._run(self.body_limit[0])

    def keep_running_timer(self) -> None:
        """What has arrived was not all of a piece: the time that is running goes on, instead of beginning anew."""
        self._keeps_timer = True

    def cap_next_chunk(self) -> None:
        """Let the next piece take no longer than any other, though the time that is running may be longer."""
        if self._between_chunks is not None:
            seconds, left = self._between_chunks[0], self.left()
            if seconds is not None and (left is None or seconds < left):
                self.body_limit = self._between_chunks
                self._run(seconds)

    def extend_to(self, seconds: float) -> None:
        """Leave the phase that is running so many seconds, though its time may be nearly over."""
        before = self.until
        self._run(seconds)
        if before is None or (self.until is not None and before > self.until):
            self.until = before

    def finish_within(self, seconds: float) -> None:
        """Let the rest of the body take so long in all, or less."""
        self._between_chunks = None
        left = self.left()
        self._run(seconds if left is None else min(seconds, left))

    def left(self) -> float | None:
        """Seconds until the current phase has to end; below zero where that is over. None: no limit."""
        return None if self.until is None else self.until - time.monotonic()

    def _run(self, seconds: float | None) -> None:
        until = None if seconds is None else time.monotonic() + seconds
        if self.deadline is not None and (until is None or self.deadline < until):
            until = self.deadline
        self.until = until

    def response_too_late(self, where: str) -> APITimeoutError:
        """The error for a response that did not come in the time of its phase.

        Args:
            where: what was asked, and which host.
        """
        said = {
            "connect": f"no connection within {self.phases.get('connect')} s",
            "write": f"sending stood still for {self.phases.get('write')} s",
            "pool": f"no free connection within {self.phases.get('pool')} s",
            "read": f"no response within {self.phases.get('read')} s",
        }[self._current or "read"]
        return APITimeoutError(f"{where}: {said} (timeout)", failed_at=time.monotonic())

    def body_too_late(self) -> APITimeoutError:
        """The error for a body that stands still, or goes on for longer than all of the call may take."""
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            return APITimeoutError("the time of the call is over (call_timeout)", failed_at=now)
        seconds, name = self.body_limit
        return APITimeoutError(f"nothing arrived for {seconds} s ({name})", failed_at=now)


def time_limits(request: Request, options: RequestOptions, default: Any = None) -> TimeLimits:
    """The limits of a request.

    Args:
        request: may shorten the wait for its response.
        options: the user's limits.
        default: what holds where the user set none; an httpx.Timeout, or None: our own defaults.
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
