"""How often to try again, and how long to wait first. Whether it may help says the error: `NVCFError.retryable`."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import replace

from nvcf_core.errors import APIStatusError, NVCFError, StreamInterruptedError
from nvcf_core.exchange import Request, Response
from nvcf_core.response.error_body import status_error
from nvcf_core.values import value_class

__all__ = ["Retries", "RetryPolicy", "raise_for_status", "send_with_retries"]


@value_class
class RetryPolicy:
    """A policy: how often, and with which pauses, in seconds."""

    max_retries: int = 2
    initial_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 60.0
    """A `Retry-After` up to here is obeyed; asked for more, the error is raised at once."""

    shortest_delay: float = 0.1

    def next_delay(self, retries: int, error: NVCFError) -> float | None:
        """Seconds to wait before the next try, after `retries` earlier ones. None: give up.

        Every wait is drawn from a range, the shortest too, so that those who failed together do not come back together.
        """
        may_help = error.retryable or isinstance(error, StreamInterruptedError)
        if not may_help or retries >= self.max_retries:
            return None
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is None:
            doubled = self.initial_delay * 2.0 ** min(retries, 60)  # Of more, it would be no float.
            return random.uniform(self.shortest_delay, min(doubled, self.max_delay))
        if asked > self.max_retry_after:
            return None
        soonest = max(asked, self.shortest_delay)
        return random.uniform(soonest, soonest * 1.1)


class Retries:
    """The tries of one call, whether they fail before there is a response or while the answer arrives."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._count = 0
        self._failure: NVCFError | None = None
        self._delay = 0.0

    def after(self, error: NVCFError) -> bool:
        """Return whether there is another try after this failure. If so, `next` makes its request."""
        if error is self._failure:
            return False  # It was raised again, instead of a try that the process cannot afford.
        delay = self._policy.next_delay(self._count, error)
        if delay is None:
            return False
        self._count += 1
        self._failure, self._delay = error, delay
        return True

    def next(self, request: Request) -> Request:
        """The request of the current try."""
        if self._failure is None:
            return request
        tries = (self._count, self._policy.max_retries)
        return replace(request, delay=self._delay, failure=self._failure, tries=tries)


def send_with_retries(
    request: Request, retry: RetryPolicy | Retries
) -> Generator[Request, Response, Response]:
    """Send `request` until its response is good or the retries are spent.

    Args:
        request: what is sent.
        retry: a policy, for tries of its own; or those that a call has left.

    Raises:
        NVCFError: the last failure.
    """
    retries = retry if isinstance(retry, Retries) else Retries(retry)
    while True:
        try:
            return raise_for_status((yield retries.next(request)))
        except NVCFError as error:
            if not retries.after(error):
                raise


def raise_for_status(response: Response) -> Response:
    """Return a good response; raise the error that a bad one stands for."""
    if response.status < 300 or (response.status == 302 and "location" in response.headers):
        return response
    raise status_error(response)
