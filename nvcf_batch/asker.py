"""One row asked: the model without a framework, and what came of it as a result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from nvcf_core import BaseNVCF, Chunk, Message, ModelSpec, RequestLimiter
from nvcf_core.config.settings import Settings
from nvcf_core.errors import InvalidRequestError, NVCFError
from nvcf_core.transport.limits.rate_limiter import TimedLimiter

from .answer_schema import ParsedAnswers
from .results import Result

__all__ = ["Asker", "AskerConfig"]


class Asker(BaseNVCF):
    """A model with the settings of `BaseNVCF`, asked by messages."""

    @property
    def spec(self) -> ModelSpec:
        """The row of the model."""
        return self._spec()

    async def check_key(self) -> None:
        """Make sure that there is a key where one is needed.

        Raises:
            InvalidRequestError: there is none.
        """
        await self._own_options().auth.aresolve_key()

    async def ask(
        self, messages: Sequence[Message], given: Mapping[str, Any], parser: ParsedAnswers | None
    ) -> Result:
        """Ask once, tries included. What goes wrong is a part of the result.

        Args:
            messages: the conversation.
            given: keywords of the call.
            parser: reads objects of a schema out of answers.
        """
        tries = _Tries(time.monotonic())
        _tries.set(tries)
        result = Result()
        try:
            request = self._build_request(messages, given, stream=False)
            # A batch has a bounded number of calls under way, and each may wait: no row fails for what others met.
            options = replace(request.options, retry_budget=False)
            answer = await self._client.acomplete(replace(request, options=options))
            _take(result, answer)
            if parser is not None:
                result.parsed = parser.parse(answer)
        except NVCFError as error:
            take_error(result, error)
        result.tries = tries.count
        result.seconds = time.monotonic() - tries.started
        return result


def _take(result: Result, answer: Chunk) -> None:
    result.answer = answer.text
    result.reasoning = answer.reasoning or None
    result.tool_calls = [
        {"id": call.id, "name": call.name, "arguments": call.arguments}
        for call in answer.tool_calls
    ]
    result.finish_reason = answer.finish_reason
    result.request_id = answer.request_id
    if answer.usage is not None:
        result.prompt_tokens = answer.usage.prompt_tokens
        result.completion_tokens = answer.usage.completion_tokens


def take_error(result: Result, error: NVCFError) -> None:
    """Note an error in a result."""
    result.error_type, result.error = type(error).__name__, str(error)
    result.request_id = error.request_id or result.request_id


@dataclass(slots=True)
class _Tries:
    started: float
    """When the row was taken up; once it was asked, when that was first."""
    count: int = 0


_tries: ContextVar[_Tries] = ContextVar("tries")


class _CountingLimiter:
    """Counts the tries of each row, and asks the limiter that there is, if any."""

    def __init__(self, limiter: RequestLimiter | None) -> None:
        self._limiter = limiter

    def acquire(self) -> object:
        """Pass on to the limiter."""
        return None if self._limiter is None else self._limiter.acquire()

    async def acquire_async(self) -> object:
        """Pass on to the limiter. The time of a row begins with its first request."""
        permit = None if self._limiter is None else await self._limiter.acquire_async()
        tries = _tries.get()
        tries.count += 1
        if tries.count == 1:
            tries.started = time.monotonic()
        return permit

    def sent(self, permit: object) -> None:
        """As the limiter, where it wants to know."""
        if isinstance(self._limiter, TimedLimiter):
            self._limiter.sent(permit)

    def feedback(self, status: int, retry_after: float | None) -> None:
        """Pass on to the limiter."""
        if self._limiter is not None:
            self._limiter.feedback(status, retry_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskerConfig:
    """All that makes an `Asker`, as it travels to workers."""

    settings: Mapping[str, Any] = field(repr=False)
    """Keywords of the constructor. Without the key."""
    given: Mapping[str, Any] = field(repr=False)
    """Keywords of each call that are not settings."""
    key: Any = field(repr=False)
    """A key that was given in the settings, or a callable. None: the environment of the worker."""
    limiter: RequestLimiter | None = None

    @classmethod
    def of(cls, model: str, settings: Mapping[str, Any]) -> AskerConfig:
        """Sort settings.

        Args:
            model: the model id.
            settings: keywords of `ChatNVCF`'s constructor, and fields of the request's body.

        Raises:
            InvalidRequestError: a key has another name than `api_key`, and would be sent as a field of the body.
        """
        for name in settings:
            if name.endswith("api_key") and name != "api_key":
                raise InvalidRequestError(
                    f"settings: the key is given as api_key, not as {name}", field="settings"
                )
        own = {name: value for name, value in settings.items() if name in Settings.model_fields}
        given = {name: value for name, value in settings.items() if name not in own}
        own = {"max_retries": 5, **own, "model": model}
        key, limiter = own.pop("api_key", None), own.pop("request_limiter", None)
        if isinstance(key, str):
            key = SecretStr(key)
        return cls(settings=own, given=given, key=key, limiter=limiter)

    def make(self) -> Asker:
        """The model.

        Raises:
            InvalidRequestError: a setting is out of bounds.
        """
        key = {} if self.key is None else {"api_key": self.key}
        return Asker(**self.settings, **key, request_limiter=_CountingLimiter(self.limiter))
