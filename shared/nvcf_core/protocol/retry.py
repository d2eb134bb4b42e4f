"""When to try again, and how long to wait first. Retries live here and nowhere else."""

from __future__ import annotations

import logging
import random
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from nvcf_core.errors import APIStatusError, NVCFError
from nvcf_core.exchange import Reply, Request
from nvcf_core.response.error_body import status_error

_log = logging.getLogger("nvcf_core")


@dataclass(frozen=True, slots=True)
class Retry:
    """A policy: how often, and with which pauses, in seconds."""

    max_retries: int = 2
    first: float = 0.5
    longest: float = 8.0
    longest_asked: float = 60.0
    """A `Retry-After` up to here is obeyed; asked for more, the error is raised at once."""

    def delay(self, retries: int, error: NVCFError) -> float | None:
        """Seconds to wait before the next try, after `retries` earlier ones. None: give up."""
        if not error.retryable or retries >= self.max_retries:
            return None
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is not None:
            return asked if asked <= self.longest_asked else None
        doubled = self.first * 2.0 ** min(retries, 60)  # Of more, the result would be no float.
        return random.uniform(0.5, 1.0) * min(doubled, self.longest)


def attempt(request: Request, retry: Retry) -> Generator[Request, Reply, Reply]:
    """Send `request` until its reply is good or the retries are spent.

    Raises:
        NVCFError: the last failure.
    """
    retries = 0
    while True:
        try:
            return check((yield request))
        except NVCFError as error:
            delay = retry.delay(retries, error)
            if delay is None:
                raise
            retries += 1
            _log_retry(request, retries, retry, delay, error)
        request = replace(request, after=delay)


def check(reply: Reply) -> Reply:
    """Return a good reply; raise the error that a bad one stands for."""
    if reply.status < 300 or (reply.status == 302 and "location" in reply.headers):
        return reply
    raise status_error(reply)


def _log_retry(request: Request, number: int, retry: Retry, delay: float, error: NVCFError) -> None:
    """One line: what failed and what comes next. No content, no url, no key."""
    facts: tuple[Any, ...] = (
        request.stage,
        type(error).__name__,
        getattr(error, "status", "no reply"),
    )
    _log.info(
        "%s failed: %s (%s); retry %d of %d in %.2f s", *facts, number, retry.max_retries, delay
    )
