"""Everything that can go wrong.

NVCFError
├── InvalidRequestError (also ValueError)   refused here: nothing was sent
├── APIConnectionError                      no reply
│   └── APITimeoutError
├── PollingTimeoutError                     accepted with 202 and not done in time
├── StreamInterruptedError                  ended or failed halfway; .partial holds what had arrived
├── AssetUploadError                        .stage is "create", "put" or "delete"
├── InvalidResponseError                    a 200 whose body is no answer; .body holds its beginning
└── APIStatusError                          .status .title .detail .response
    ├── BadRequestError                     400 409 413 422
    │   └── ContextLengthError
    ├── AuthenticationError                 401
    ├── PermissionDeniedError               402 403
    ├── NotFoundError                       404
    │   └── ModelGoneError                  410
    ├── RateLimitError                      429; .retry_after
    └── ServerError                         408, 5xx, and 400 DEGRADED
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import from_json

from .exchange import Reply

if TYPE_CHECKING:
    from .messages import Chunk

_LONGEST_DETAIL = 2_000


class NVCFWarning(UserWarning):
    """Something was sent, or left out, that the model's page does not speak of."""


class NVCFError(Exception):
    """Base of every error this package raises.

    Attributes:
        retryable: whether the same call may succeed if it is simply made again.
        request_id: the service's id of the request (`NVCF-REQID`), None where there was no reply.
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


class InvalidRequestError(NVCFError, ValueError):
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
    """No reply came back: the connection failed.

    Attributes:
        at: when that was, in seconds of the steady clock that also times replies.
    """

    retryable = True

    def __init__(self, message: str, *, at: float = 0.0) -> None:
        self.at = at
        super().__init__(message)


class APITimeoutError(APIConnectionError):
    """No reply came back in time. The message names the limit."""


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


class InvalidResponseError(NVCFError):
    """The service said 200, and the body is no answer.

    Attributes:
        body: the first bytes of it.
    """

    def __init__(self, message: str, *, body: bytes, request_id: str | None = None) -> None:
        self.body = body[:_LONGEST_DETAIL]
        super().__init__(message, request_id=request_id)


class APIStatusError(NVCFError):
    """The service answered with an error status.

    Attributes:
        status: the HTTP status.
        title: the short name the service gave the problem.
        detail: its explanation.
        response: the whole reply: `.status`, `.headers`, `.body`, `.text`.
        retry_after: seconds the service asked to wait, None where it did not say.
    """

    def __init__(self, reply: Reply, *, hint: str = "") -> None:
        problem = _problem(reply)
        self.status = reply.status
        self.title = problem.title
        self.detail = problem.detail
        self.response = reply
        self.retry_after = retry_after(reply.headers)
        said = ": ".join(part for part in (self.title, self.detail) if part)
        message = f"HTTP {self.status}: {said or 'the reply has no explanation'}"
        super().__init__(f"{message}. {hint}" if hint else message, request_id=problem.request_id)


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


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    401: AuthenticationError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,
    410: ModelGoneError,
    429: RateLimitError,
}
_HINTS: Mapping[int, str] = {
    401: "Set NVIDIA_API_KEY, or pass api_key",
    402: "The account's credits are spent",
    403: "Check the key (NVIDIA_API_KEY or api_key) and what its account may use",
    404: "available_models() lists the models; check model, base_url and function_id",
    410: "Choose another model: available_models() lists them",
    429: "requests_per_minute=… keeps below the account's limit",
}
_CONTEXT_LENGTH = re.compile(
    r"maximum context length|context_length_exceeded|context window|prompt is too long", re.I
)


def status_error(reply: Reply) -> APIStatusError:
    """The error that a reply with a status of 300 or more stands for."""
    kind = _kind(reply)
    error = kind(reply, hint=_HINTS.get(reply.status, ""))
    if reply.status == 409:
        error.retryable = True
    return error


def _kind(reply: Reply) -> type[APIStatusError]:
    if reply.status >= 500:
        return ServerError
    if reply.status in _BY_STATUS:
        return _BY_STATUS[reply.status]
    if reply.status < 400:
        return APIStatusError
    if reply.status == 400 and b"DEGRADED" in reply.body:
        return ServerError
    if _CONTEXT_LENGTH.search(reply.text[:_LONGEST_DETAIL]):
        return ContextLengthError
    return BadRequestError


class _Problem:
    """An error body, whichever of the service's shapes it has."""

    __slots__ = ("detail", "request_id", "title")

    def __init__(self, title: str, detail: str, request_id: str | None) -> None:
        self.title = title[:_LONGEST_DETAIL]
        self.detail = detail[:_LONGEST_DETAIL]
        self.request_id = request_id


def _problem(reply: Reply) -> _Problem:
    request_id = reply.headers.get("nvcf-reqid")
    try:
        body = from_json(reply.body)
    except ValueError:
        return _Problem("", " ".join(reply.text[: 2 * _LONGEST_DETAIL].split()), request_id)
    if not isinstance(body, dict):
        return _Problem("", "" if body is None else str(body), request_id)
    title, detail = explain(body)
    return _Problem(title, detail, request_id or _text(body.get("requestId")) or None)


def explain(body: Mapping[str, Any]) -> tuple[str, str]:
    """Title and detail of an error body that is a JSON object, in any of the shapes seen."""
    error = body.get("error")
    if isinstance(error, Mapping):
        return _text(error.get("type")), _text(error.get("message")) or str(error)
    detail = body.get("detail")
    if isinstance(detail, list):
        return _text(body.get("title")), "; ".join(_validation(item) for item in detail)
    words = _text(detail) or _text(error) or _text(body.get("message"))
    title = _text(body.get("title"))
    return title, words if words or title else str(dict(body))


def _validation(item: object) -> str:
    """One entry of a FastAPI validation error: where, and what."""
    if not isinstance(item, Mapping):
        return str(item)
    place = item.get("loc")
    where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg')}" if where else str(item.get("msg"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait: a number, or a date set against the reply's own `Date`."""
    value = headers.get("retry-after")
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    until, now = _date(value), _date(headers.get("date", ""))
    if until is None or now is None:
        return None
    return max(0.0, until - now)


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def mask(error: BaseException, secret: str) -> None:
    """Take a key that the service echoed out of an error, its reply, and what caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        current.args = tuple(_masked(part, secret) for part in current.args)
        if isinstance(current, NVCFError):
            for name, value in vars(current).items():
                setattr(current, name, _masked(value, secret))
        current = current.__cause__ or current.__context__


def _masked(value: Any, secret: str) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "***")
    if isinstance(value, bytes):
        return value.replace(secret.encode(), b"***")
    return masked_reply(value, secret) if isinstance(value, Reply) else value


def masked_reply(reply: Reply, secret: str) -> Reply:
    """A reply without a key that the service echoed in it."""
    headers = {name: text.replace(secret, "***") for name, text in reply.headers.items()}
    return Reply(reply.status, headers, reply.body.replace(secret.encode(), b"***"), reply.at)
