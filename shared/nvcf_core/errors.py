"""Everything that can go wrong.

```text
NVCFError
├── InvalidRequestError                     refused here: nothing was sent
├── APIConnectionError                      no response
│   └── APITimeoutError
├── PollingTimeoutError                     accepted with 202 and not done in time
├── StreamInterruptedError                  ended or failed halfway; .partial holds what had arrived
├── AssetUploadError                        .stage is "create", "put" or "delete"
├── RefusalError                            the model declined to give the requested object; .refusal
├── InvalidResponseError                    a 200 whose body is not an answer; .body holds its beginning
└── APIStatusError                          .status .title .detail .response
    ├── BadRequestError                     400 409 413 422
    │   └── ContextLengthError
    ├── AuthenticationError                 401
    ├── PermissionDeniedError               402 403
    ├── NotFoundError                       404
    │   └── ModelGoneError                  410
    ├── RateLimitError                      429; .retry_after
    └── ServerError                         408, 5xx, and 400 DEGRADED
```
"""

from __future__ import annotations

from typing import Any, Literal

from .exchange import Response
from .messages import Chunk

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AssetUploadError",
    "AuthenticationError",
    "BadRequestError",
    "ContextLengthError",
    "InvalidRequestError",
    "InvalidResponseError",
    "ModelGoneError",
    "NVCFError",
    "NVCFWarning",
    "NotFoundError",
    "PermissionDeniedError",
    "PollingTimeoutError",
    "RateLimitError",
    "RefusalError",
    "ServerError",
    "StreamInterruptedError",
]

_LONGEST_BODY = 2_000
"""Bytes that an error keeps of a body that is not an answer."""


class NVCFWarning(UserWarning):
    """Something was sent, or left out, that the model's documentation does not speak of."""


class NVCFError(Exception):
    """Base of every error this package raises.

    Attributes:
        retryable: whether the same call may succeed if it is simply made again.
        request_id: the service's id of the request (`NVCF-REQID`), None where there was no response.
    """

    retryable: bool = False
    request_id: str | None = None

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        self.request_id = request_id
        super().__init__(f"{message} (request id {request_id})" if request_id else message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[NVCFError], args: tuple[Any, ...], state: dict[str, Any]) -> NVCFError:
    """An error as it was pickled, without running its constructor."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidRequestError(NVCFError):
    """Refused here; nothing was sent.

    Attributes:
        field: the keyword or message at fault, e.g. `"temperature"` or `"messages[2]"`.
        model: the model it was meant for, None where that plays no part.
    """

    def __init__(self, message: str, *, field: str | None = None, model: str | None = None) -> None:
        self.field = field
        self.model = model
        super().__init__(message)


class APIConnectionError(NVCFError):
    """No response came back: the connection failed.

    Attributes:
        failed_at: when that was, in seconds of the steady clock that also times responses.
    """

    retryable = True

    def __init__(self, message: str, *, failed_at: float = 0.0) -> None:
        self.failed_at = failed_at
        super().__init__(message)


class APITimeoutError(APIConnectionError):
    """No response came back in time. The message names the limit."""


class PollingTimeoutError(NVCFError):
    """The service accepted the request with 202 and did not finish within `poll_timeout`."""


class StreamInterruptedError(NVCFError):
    """The answer ended or failed halfway.

    Attributes:
        partial: what had arrived until then (`.text`, `.reasoning`, `.tool_calls`).
    """

    def __init__(self, message: str, *, partial: Chunk, request_id: str | None = None) -> None:
        self.partial = partial
        super().__init__(message, request_id=request_id)


class AssetUploadError(NVCFError):
    """An asset could not be created, put or deleted. The cause is chained.

    Attributes:
        stage: `"create"`, `"put"` or `"delete"`.
        asset_id: the asset, None where it was never created.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: Literal["create", "put", "delete"],
        asset_id: str | None = None,
        retryable: bool = False,
        request_id: str | None = None,
    ) -> None:
        self.stage = stage
        self.asset_id = asset_id
        self.retryable = retryable
        super().__init__(message, request_id=request_id)


class RefusalError(NVCFError):
    """The model declined to give the requested structured answer.

    Attributes:
        refusal: what it said.
    """

    def __init__(self, refusal: str, *, request_id: str | None = None) -> None:
        self.refusal = refusal
        super().__init__(f"the model refused: {refusal}", request_id=request_id)


class InvalidResponseError(NVCFError):
    """The service said 200, and the body is not an answer.

    Attributes:
        body: the first bytes of it.
    """

    def __init__(self, message: str, *, body: bytes, request_id: str | None = None) -> None:
        self.body = body[:_LONGEST_BODY]
        super().__init__(message, request_id=request_id)


class APIStatusError(NVCFError):
    """The service answered with an error status.

    Attributes:
        status: the HTTP status.
        title: the short name the service gave the problem.
        detail: its explanation.
        response: the whole response: `.status`, `.headers`, `.body`, `.text`.
        retry_after: seconds the service asked to wait, None where it did not say.
    """

    def __init__(
        self,
        response: Response,
        *,
        title: str = "",
        detail: str = "",
        hint: str = "",
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        self.status = response.status
        self.title = title
        self.detail = detail
        self.response = response
        self.retry_after = retry_after
        said = ": ".join(part for part in (title, detail) if part)
        message = f"HTTP {self.status}: {said or 'the response has no explanation'}"
        super().__init__(_with_hint(message, hint), request_id=request_id)

    def add_hint(self, hint: str) -> None:
        """Add a sentence to the message that says what to do."""
        self.args = (_with_hint(str(self), hint),)


def _with_hint(message: str, hint: str) -> str:
    return f"{message.rstrip('.')}. {hint}" if hint else message


class BadRequestError(APIStatusError):
    """400, 409, 413, 422: the service refused the request as it was. A 409 may be tried again."""


class ContextLengthError(BadRequestError):
    """The messages and `max_tokens` together are longer than the model's context window."""


class AuthenticationError(APIStatusError):
    """401: no usable key arrived."""


class PermissionDeniedError(APIStatusError):
    """402, 403: the key is unknown, not entitled, or its credits are spent."""


class NotFoundError(APIStatusError):
    """404: no such model, function, asset or request."""


class ModelGoneError(NotFoundError):
    """410: the model has reached its end of life."""


class RateLimitError(APIStatusError):
    """429: too many requests. `.retry_after` where the service said how long to wait."""

    retryable = True


class ServerError(APIStatusError):
    """408, 5xx, and a 400 whose text says DEGRADED: the service's fault, not the caller's."""

    retryable = True
