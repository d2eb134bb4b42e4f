"""Bodies held to their length while they are sent, and to limits while they are read."""

from __future__ import annotations

import time

from nvcf_core.errors import APITimeoutError, InvalidRequestError, InvalidResponseError
from nvcf_core.exchange import Request, Stage
from nvcf_core.wire import LONGEST_DOCUMENT

from .time_limits import TimeLimits

__all__ = ["BoundedBody", "LengthGuard", "pause_too_long"]

_LONGEST_PROBLEM = 1 << 20
"""Bytes of an error's body that are read."""

_LONGEST_RESULT = 256 << 20
"""Bytes of a fetched result, which is a zip. Any other body that is read at once is one JSON document."""

_MIB = 1 << 20


def pause_too_long(limit: float | None, name: str) -> APITimeoutError:
    """Return the error for an answer that stalls."""
    return APITimeoutError(f"nothing arrived for {limit} s ({name})", failed_at=time.monotonic())


class BoundedBody:
    """A body that is read to its end, within limits. Of an error's body only the beginning is read.

    Args:
        status: of the response.
        stage: what the request was for.
        limits: of the request. Where they limit the time between chunks, a chunk is one MiB.
    """

    def __init__(self, status: int, stage: Stage, limits: TimeLimits | None = None) -> None:
        longest = _LONGEST_RESULT if stage == "fetch" else LONGEST_DOCUMENT
        self._limit = longest if status < 300 else _LONGEST_PROBLEM
        self._may_cut = status >= 300
        self._pieces: list[bytes] = []
        self._length = 0
        self._limits = limits

    def add(self, data: bytes) -> bool:
        """Add a chunk; return whether that is enough."""
        before = self._length
        self._pieces.append(data)
        self._length += len(data)
        if self._limits is not None and self._length // _MIB == before // _MIB:
            self._limits.keep_running_timer()
        if self._length > self._limit and not self._may_cut:
            raise InvalidResponseError(
                f"the response is longer than {self._limit} bytes", body=self._pieces[0]
            )
        return self._length > self._limit

    def body(self) -> bytes:
        """Return the body, at most up to the limit."""
        return b"".join(self._pieces)[: self._limit]


class LengthGuard:
    """Checks that a body has the announced length, and reports progress."""

    def __init__(self, request: Request, length: int) -> None:
        self._request, self._length = request, length
        self._sent = 0

    def count(self, piece: bytes) -> bytes:
        """Count a chunk that is about to be sent."""
        self._sent += len(piece)
        if self._sent > self._length:
            raise self._changed()
        return piece

    def report_progress(self) -> None:
        """Report the bytes that have been sent."""
        if self._request.on_progress is not None:
            self._request.on_progress(self._sent, self._length)

    def end(self) -> None:
        """Check that the whole body was sent.

        Raises:
            InvalidRequestError: it was less.
        """
        if self._sent < self._length:
            raise self._changed()

    def _changed(self) -> InvalidRequestError:
        return InvalidRequestError(
            f"{self._request.stage}: the file changed while it was sent: it had {self._length} bytes"
        )
