"""Waiting for the answer to a request that was accepted with 202."""

from __future__ import annotations

import re
from collections.abc import Callable

from nvcf_core.errors import (
    APIStatusError,
    APITimeoutError,
    InvalidResponseError,
    NVCFError,
    PollingTimeoutError,
)
from nvcf_core.exchange import Flow, Request, Response

from .chat_request import ChatRequest
from .retry import raise_for_status

__all__ = ["POLL_SECONDS_HEADER", "poll_until_done", "polled_too_long"]

POLL_SECONDS_HEADER = "nvcf-poll-seconds"
"""The header that says how long the service may hold a request before it answers 202."""

_SLOWEST_POLL = 5.0
"""The longest pause between polls, in seconds. A request that nobody polls for 10 is dropped."""

_LAST_POLL = 0.5
"""Seconds that the last poll may take beyond the limit."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def poll_until_done(call: ChatRequest, accepted: Response) -> Flow[Response]:
    """Poll until the result is there.

    The service holds each poll; where it does not, the pause between two grows.

    Raises:
        PollingTimeoutError: it was not there within `poll_timeout`.
    """
    _report_progress(call.on_progress, accepted)
    request_id = accepted.headers.get("nvcf-reqid", "")
    if not _REQUEST_ID.fullmatch(request_id):
        raise InvalidResponseError("the service answered 202 without a usable request id", body=b"")
    accept = "text/event-stream" if call.stream else "application/json"
    url = f"{call.poll_url}/{request_id}"
    response, at, pause, failures = accepted, accepted.received_at, 0.0, 0
    failure: NVCFError | None = None
    deadline = accepted.received_at + call.poll_timeout
    while response.status == 202:
        left = deadline - at
        if left <= 0:
            raise polled_too_long(call, request_id)
        # The last poll is made when the time is over: what is done by then is fetched.
        pause = min(pause, left)
        wait = max(left - pause, _LAST_POLL)
        hold = str(max(1, int(min(call.hold_seconds, wait))))
        poll = Request(
            "poll",
            "GET",
            url,
            {"accept": accept, POLL_SECONDS_HEADER: hold},
            delay=pause,
            failure=failure,
            tries=(failures, call.retry.max_retries) if failure else (0, 0),
            stream=True,
            read_timeout=wait,
        )
        try:
            response = raise_for_status((yield poll))
        except NVCFError as error:
            if isinstance(error, APITimeoutError) and error.failed_at >= deadline:
                raise polled_too_long(call, request_id) from error
            delay = call.retry.next_delay(failures, error)
            if delay is None or error is failure:  # Raised again: the retry budget is empty.
                raise
            at, pause = _error_time(error, at + pause), delay
            failure, failures = error, failures + 1
            continue
        held, at = response.received_at - at - pause, response.received_at
        failure, failures = None, 0
        pause = 0.0 if held >= 1.0 else min(max(pause * 2, 0.1), _SLOWEST_POLL)
        _report_progress(call.on_progress, response)
    return response


def _error_time(error: NVCFError, earliest: float) -> float:
    """Return the time of an error, by the clock of the responses."""
    at = (
        error.response.received_at
        if isinstance(error, APIStatusError)
        else getattr(error, "failed_at", 0.0)
    )
    return max(float(at), earliest)


def polled_too_long(call: ChatRequest, request_id: str | None) -> PollingTimeoutError:
    """Return the error for an answer that was not there within `poll_timeout`."""
    return PollingTimeoutError(
        f"{call.spec.id} was still working after {call.poll_timeout:g} s (poll_timeout)",
        request_id=request_id,
    )


def _report_progress(on_progress: Callable[[float], None] | None, response: Response) -> None:
    percent = response.headers.get("nvcf-percent-complete", "")
    if on_progress is not None and re.fullmatch(r"\d{1,3}(\.\d{1,9})?", percent):
        on_progress(float(percent))
