"""When to try again, and how long to wait first. Retries live here and nowhere else."""

from __future__ import annotations

import logging
import random
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from nvcf_core.errors import APIStatusError, NVCFError
from nvcf_core.exchange import Request, Response
from nvcf_core.response.error_body import status_error

__all__ = ["RetryPolicy", "raise_for_status", "send_with_retries"]

_log = logging.getLogger("nvcf_core")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A policy: how often, and with which pauses, in seconds."""

    max_retries: int = 2
    initial_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 60.0
    """A `Retry-After` up to here is obeyed; asked for more, the error is raised at once."""

    def delay(self, retries: int, error: NVCFError) -> float | None:
        """Seconds to wait before the next try, after `retries` earlier ones. None: give up."""
        if not error.retryable or retries >= self.max_retries:
            return None
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is not None:
            return asked if asked <= self.max_retry_after else None
        doubled = self.initial_delay * 2.0 ** min(
            retries, 60
        )  # Of more, the result would be no float.
        return random.uniform(0.5, 1.0) * min(doubled, self.max_delay)


def send_with_retries(
    request: Request, retry: RetryPolicy
) -> Generator[Request, Response, Response]:
    """Send `request` until its response is good or the retries are spent.

    Raises:
        NVCFError: the last failure.
    """
    retries = 0
    while True:
        try:
            return raise_for_status((yield request))
        except NVCFError as error:
            delay = retry.delay(retries, error)
            if delay is None:
                raise
            retries += 1
            _log_retry(request, retries, retry, delay, error)
        request = replace(request, delay=delay)


def raise_for_status(response: Response) -> Response:
    """Return a good response; raise the error that a bad one stands for."""
    if response.status < 300 or (response.status == 302 and "location" in response.headers):
        return response
    raise status_error(response)


def _log_retry(
    request: Request, number: int, retry: RetryPolicy, delay: float, error: NVCFError
) -> None:
    """One line: what failed and what comes next. No content, no url, no key."""
    facts: tuple[Any, ...] = (
        request.stage,
        type(error).__name__,
        getattr(error, "status", "no response"),
    )
    _log.info(
        "%s failed: %s (%s); retry %d of %d in %.2f s", *facts, number, retry.max_retries, delay
    )
