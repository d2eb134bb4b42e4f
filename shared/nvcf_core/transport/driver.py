"""Sends what a flow yields until it returns. Written once: all that waits is the backend's."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from pydantic import SecretStr

from nvcf_core.config.auth import key_fingerprint
from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Flow, Request, Response, Step, retry_after

from .backends import Backend, OpenResponse
from .bodies import BoundedBody, LengthGuard
from .interface import Content, HTTPClient, HTTPResponse, Limits, PreparedRequest
from .rate_limiter import RateLimiter, shared_rate_limiter
from .redaction import redact, redact_response

__all__ = ["Conversation"]

T = TypeVar("T")


class Conversation:
    """One flow, being held, and what it left open.

    Args:
        backend: sends and waits, sync or async.
        options: how requests are made.
    """

    def __init__(self, backend: Backend, options: RequestOptions) -> None:
        self.backend = backend
        self.options = options
        self.answer: OpenResponse | None = None
        """The response that was left open, once there is one."""
        self.key: SecretStr | None = None
        """The API key that was sent last."""

    async def run(self, flow: Flow[T]) -> T:
        """Send what the flow yields until it returns.

        Raises:
            NVCFError: what the flow raises.
        """
        resume: Callable[[Any], Step] = flow.send
        value: Any = None
        try:
            while True:
                step = resume(value)
                try:
                    value, resume = await self._take(step), flow.send
                except NVCFError as error:
                    value, resume = error, flow.throw
        except StopIteration as stop:
            result: T = stop.value
            return result
        except BaseException:
            await self.leave()
            raise
        finally:
            flow.close()

    async def leave(self) -> None:
        """Close what was left open, and with it a connection whose body was not read to its end."""
        answer, self.answer = self.answer, None
        if answer is not None:
            await self.backend.close_response(answer.response)

    def redact(self, error: NVCFError) -> None:
        """Take the key out of an error, should the service have echoed it."""
        if self.key is not None:
            redact(error, self.key.get_secret_value())

    async def _take(self, step: Step) -> Any:
        if isinstance(step, Request):
            return await _Sending(self, step).response()
        if isinstance(step, Future):
            return await self.backend.wait(step)
        return await self.backend.gather(self._try, step)

    async def _try(self, step: Step) -> Any:
        try:
            return await self._take(step)
        except NVCFError as error:
            return error


class _Sending:
    """One request under way."""

    def __init__(self, conversation: Conversation, request: Request) -> None:
        self._conversation, self._request = conversation, request
        self._backend, self._options = conversation.backend, conversation.options
        self._key: SecretStr | None = None
        self._limiter: RateLimiter | None = None
        self._kept_open = False

    async def response(self) -> Response:
        """Send it when its time has come, and read what has to be read of the response.

        Raises:
            NVCFError: there is no response.
        """
        await self._wait_turn()
        http = await self._backend.open()
        limits: Limits = {}
        prepared: PreparedRequest | None = None
        response: HTTPResponse | None = None
        try:
            prepared = http.prepare(self._request, self._content(), self._key, self._options)
            limits = prepared.limits
            response = await self._backend.send(prepared)
            return await self._received(http, response, limits)
        except http.errors as error:
            raise http.translate_error(error, self._request, limits) from error
        finally:
            if prepared is not None:
                prepared.forget_key()
            if response is not None and not self._kept_open:
                await self._backend.close_response(response)

    async def _wait_turn(self) -> None:
        """Wait for the request's own time, and for a place under the limit of requests per minute."""
        request, auth = self._request, self._options.auth
        if request.delay > 0:
            await self._backend.sleep(request.delay)
        if auth.applies_to(request):
            self._key = self._conversation.key = await self._backend.resolve_key(auth)
        per_minute = self._options.requests_per_minute
        if per_minute is not None and request.stage == "ask":
            self._limiter = shared_rate_limiter(key_fingerprint(self._key), origin(request.url)[1])
            await self._queue(self._limiter, per_minute)
        if self._options.request_limiter is not None and request.stage == "ask":
            await self._backend.acquire(self._options.request_limiter)

    async def _queue(self, limiter: RateLimiter, per_minute: int) -> None:
        """Wait for a place under the limit. Who leaves gives it back."""
        reservation = limiter.reserve(per_minute)
        try:
            while (wait := limiter.wait(reservation)) > 0:
                await self._backend.sleep(wait)
        except BaseException:
            limiter.cancel(reservation)
            raise

    def _content(self) -> Content:
        body = self._request.body
        if body is None or isinstance(body, bytes):
            return body
        return self._backend.content(body.chunks(), LengthGuard(self._request, body.length))

    async def _received(self, http: HTTPClient, response: HTTPResponse, limits: Limits) -> Response:
        status = response.status_code
        if self._limiter is not None:
            self._limiter.on_response(status)
        shared = self._options.request_limiter
        if shared is not None and self._request.stage == "ask":
            shared.feedback(status, retry_after(response.headers))
        if self._request.stream and status == 200:
            self._keep_open(http, response, limits)
            return self._as_response(response, b"")
        body = BoundedBody(status)
        await self._backend.read_into(body, response)
        return self._as_response(response, body.body())

    def _keep_open(self, http: HTTPClient, response: HTTPResponse, limits: Limits) -> None:
        """Leave the body to be read by the caller. From here on the wait is for chunks."""
        self._kept_open = True
        name = "timeout"
        if self._options.chunk_timeout is not None and "read" in limits:
            limits["read"] = self._options.chunk_timeout
            name = "stream_chunk_timeout"
        self._conversation.answer = OpenResponse(http, response, limits, name)

    def _as_response(self, response: HTTPResponse, body: bytes) -> Response:
        result = Response(
            response.status_code, dict(response.headers.items()), body, time.monotonic()
        )
        if self._key and (body or result.status >= 300):
            result = redact_response(result, self._key.get_secret_value())
        if self._request.on_response is not None:
            self._request.on_response(result)
        return result
