"""Runs flows: sends the requests that they yield. Sync and async share this code; the backend does all waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pydantic import SecretStr

from nvcf_core.config.auth import key_fingerprint
from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import (
    APIConnectionError,
    APITimeoutError,
    InvalidResponseError,
    NVCFError,
)
from nvcf_core.exchange import Flow, Request, Response, Step
from nvcf_core.observability.observation import UNOBSERVED, Observation
from nvcf_core.wire import retry_after

from .backends import Backend
from .bodies import BoundedBody, LengthGuard
from .interface import Content, HTTPResponse, SendableRequest
from .limits.rate_limiter import RateLimiter, Reservation, TimedLimiter, shared_rate_limiter
from .limits.retry_budget import RetryBudget, shared_retry_budget
from .redaction import clear_locals, guard_logs, redact, redact_response, redact_text
from .time_limits import TimeLimits

__all__ = ["FlowRunner", "OpenResponse"]

T = TypeVar("T")

_log = logging.getLogger("nvcf")
"""INFO: a retry. DEBUG: a wait for a limit, and all that is not the question itself. No content, no url, no key."""

_FOR_AN_ANSWER_IN_TIME = 0.4
"""Seconds that the body of a polled answer has at least, whose head came at the last moment."""


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """A response that was left open, for its body to be read as it arrives."""

    response: HTTPResponse
    limits: TimeLimits
    polls_end: float | None = None
    """When the time of the polls is over, by `time.monotonic`. None: it did not come to a poll."""


class FlowRunner:
    """Runs the flow of one call and keeps the response it left open for streaming.

    Args:
        backend: sends and waits, sync or async.
        options: how requests are made.
        observation: called for every request.
    """

    def __init__(
        self, backend: Backend, options: RequestOptions, observation: Observation = UNOBSERVED
    ) -> None:
        self.backend = backend
        self.options = options
        self.observation = observation
        self.deadline: float | None = None
        """When all of the call has to end, by `time.monotonic`. None: no such moment."""
        if options.call_timeout is not None:
            self.deadline = time.monotonic() + options.call_timeout
        self.answer: OpenResponse | None = None
        """The response that was left open, once there is one."""
        self.key: SecretStr | None = None
        """The API key that was sent last."""

    async def run(self, flow: Flow[T]) -> T:
        """Send what the flow yields until it returns.

        Raises:
            NVCFError: what the flow raises.
        """
        try:
            return await self._drive(flow)
        except BaseException as error:
            if isinstance(error, NVCFError):
                self.redact(error)
                clear_locals(error)  # The flow has raised it, or is not resumed.
            await self.close_answer()
            raise
        finally:
            flow.close()

    async def _drive(self, flow: Flow[T]) -> T:
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        while True:
            try:
                step = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                value, resume = await self._perform(step), flow.send
            except NVCFError as error:
                self.check_deadline(error)
                value, resume = error, flow.throw

    async def close_answer(self) -> None:
        """Close the response that was left open, and its connection unless the body was read to its end."""
        answer, self.answer = self.answer, None
        if answer is not None:
            await self.backend.close_response(answer.response)

    def check_deadline(self, error: NVCFError | None = None) -> None:
        """Raise if the time limit of the call has passed: then there are no retries, and no cleanup requests.

        Args:
            error: the last error, which becomes the cause.

        Raises:
            APITimeoutError: names `call_timeout`.
        """
        if self.is_over():
            raise APITimeoutError(
                f"the call took longer than {self.options.call_timeout:g} s (call_timeout)",
                failed_at=time.monotonic(),
            ) from error

    def is_over(self) -> bool:
        """Return whether the time limit of the call has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def redact(self, error: NVCFError) -> None:
        """Remove the key from an error, in case the service echoed it."""
        if self.key is not None:
            redact(error, self.key)

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Request):
            return await _RequestSender(self, step).response()
        if isinstance(step, Future):
            return await self.backend.wait(step)
        return await self.backend.gather(self._perform_or_error, step)

    async def _perform_or_error(self, step: Step) -> Any:
        try:
            return await self._perform(step)
        except NVCFError as error:
            return error


class _RequestSender:
    """Sends one request."""

    def __init__(self, runner: FlowRunner, request: Request) -> None:
        self._runner, self._request = runner, request
        self._backend, self._options = runner.backend, runner.options
        self._key: SecretStr | None = None
        self._limiter: RateLimiter | None = None
        self._reservation: Reservation | None = None
        self._permit: object = None
        """What the user's own limiter gave."""
        self._kept_open = False

    async def response(self) -> Response:
        """Wait for the delay and the limits, send the request, and read the response unless it is to stay open.

        Raises:
            NVCFError: there is no response. The API key is removed from it, in case the service echoed it.
        """
        prepared: SendableRequest | None = None
        response: HTTPResponse | None = None
        try:
            await self._wait_turn()
            http = await self._backend.open()
            prepared = http.prepare(self._request, self._content(), self._key, self._options)
            prepared.limits.deadline = self._deadline()
            prepared.limits.on_sending = self._note_sending
            response = await self._backend.send(prepared)
            return await self._read_response(response, prepared.limits)
        except NVCFError as error:
            self._runner.redact(error)
            raise
        finally:
            if self._limiter is not None and self._reservation is not None:
                self._limiter.cancel(
                    self._reservation
                )  # It stays taken where the request went out.
            if prepared is not None:
                prepared.forget_key()
            if response is not None and not self._kept_open:
                await self._backend.close_response(response)

    def _deadline(self) -> float | None:
        """Return the deadline of the response: the earlier of the call's and the request's own."""
        deadline, own = self._runner.deadline, self._request.read_timeout
        if own is None:
            return deadline
        until = time.monotonic() + own
        return until if deadline is None else min(until, deadline)

    async def _wait_turn(self) -> None:
        """Wait for the request's delay, and for the limits of requests per minute."""
        request, auth = self._request, self._options.auth
        if request.failure is not None:
            if not self._can_retry(request.failure):
                raise request.failure
            self._note_retry(request, request.failure)
        await self._sleep(request.delay)
        if auth.applies_to(request):
            self._key = self._runner.key = await self._backend.resolve_key(auth)
            if self._key is not None:
                self._runner.observation.redact_with(partial(redact_text, key=self._key))
                guard_logs(self._key)
        if request.stage == "ask" and self._options.request_limiter is not None:
            began = time.monotonic()
            self._permit = await self._backend.acquire(self._options.request_limiter)
            self._runner.observation.waited(time.monotonic() - began)
        per_minute = self._options.requests_per_minute
        if per_minute is not None and request.stage == "ask":
            self._limiter = shared_rate_limiter(key_fingerprint(self._key), origin(request.url)[1])
            self._reservation = self._limiter.reserve(per_minute)
            await self._wait_in_queue(self._limiter, self._reservation)

    async def _wait_in_queue(self, limiter: RateLimiter, place: Reservation) -> None:
        """Wait for a place under the limit; check now and then whether it is free earlier, since others may have
        left."""
        wait = limiter.wait(place)
        if wait <= 0:
            return
        _log.debug("waiting about %.2f s for requests_per_minute", wait)
        began = time.monotonic()
        while wait > 0:
            await self._sleep(min(wait, max(1.0, wait / 10)))
            wait = limiter.wait(place)
        self._runner.observation.waited(time.monotonic() - began)

    def _note_retry(self, request: Request, failure: Exception) -> None:
        status = getattr(failure, "status", "no response")
        number, most = request.tries
        what, name = request.stage, type(failure).__name__
        _log.info(
            "%s failed: %s (%s); retry %d of %d in %.2f s",
            what, name, status, number, most, request.delay,
        )  # fmt: skip
        self._runner.observation.retrying(request)

    def _note_sending(self) -> None:
        if self._limiter is not None and self._reservation is not None:
            self._limiter.sent(self._reservation)
        if self._permit is not None:
            limiter = self._options.request_limiter
            if isinstance(limiter, TimedLimiter):
                limiter.sent(self._permit)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than the call has left."""
        deadline = self._runner.deadline
        if deadline is not None:
            self._runner.check_deadline()
            seconds = min(seconds, deadline - time.monotonic())
        if seconds > 0:
            await self._backend.sleep(seconds)
        self._runner.check_deadline()

    def _can_retry(self, failure: Exception) -> bool:
        return not self._options.retry_budget or self._budget().take(failure)

    def _budget(self) -> RetryBudget:
        # Before a retry the key is that of the last attempt; a callable is called only when the request is sent.
        key = self._key or self._runner.key
        return shared_retry_budget(key_fingerprint(key), origin(self._request.url))

    def _content(self) -> Content:
        body = self._request.body
        if body is None or isinstance(body, bytes):
            return body
        return self._backend.content(body.chunks(), LengthGuard(self._request, body.length))

    async def _read_response(self, response: HTTPResponse, limits: TimeLimits) -> Response:
        request, status = self._request, response.status_code
        if self._limiter is not None:
            self._limiter.on_response(status)
        if request.stage == "ask" and self._options.request_limiter is not None:
            headers = dict(response.headers.items())
            self._options.request_limiter.feedback(status, retry_after(headers))
        if status < 400 and request.failure is None:
            self._budget().refund()
        if request.stream and status == 200:
            self._keep_open(response, limits)
            return self._as_response(response, b"")
        if request.stage == "fetch" and status < 300:
            limits.limit_between_chunks(None, "timeout")  # It may be large.
        else:
            limits.limit_total()
        body = BoundedBody(status, request.stage, limits)
        try:
            await self._backend.read_into(body, response)
        except APITimeoutError:
            raise
        except (APIConnectionError, InvalidResponseError):
            # An error that cannot be read to its end, or not be decoded, is still that error.
            if status < 400:
                raise
        return self._as_response(response, body.body())

    def _keep_open(self, response: HTTPResponse, limits: TimeLimits) -> None:
        """Leave the body open, to be read by the caller in chunks."""
        self._kept_open = True
        polls_end = None if self._request.read_timeout is None else limits.deadline
        limits.deadline = self._runner.deadline
        if polls_end is not None:
            limits.extend_to(_FOR_AN_ANSWER_IN_TIME)
        self._runner.answer = OpenResponse(response, limits, polls_end)

    def _as_response(self, response: HTTPResponse, body: bytes) -> Response:
        result = Response(
            response.status_code, dict(response.headers.items()), body, time.monotonic()
        )
        if self._key and result.status >= 400:
            result = redact_response(result, self._key)
        if self._request.on_response is not None:
            self._request.on_response(result)
        if self._request.stage != "ask":
            _log.debug("%s was answered with %d", self._request.stage, result.status)
        self._runner.observation.responded(self._request, result)
        return result
