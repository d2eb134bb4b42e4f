"""The errors of `nvcf_core.errors`, each one of langchain-core's `ModelError` family as well.

Whoever catches the one or the other is served: LangChain's retry, fallback and summarisation middleware look for
`ModelRateLimitError`, `ContextOverflowError` and their kin, and for `is_retryable`.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from langchain_core import exceptions as lc

from nvcf_core import errors as core
from nvcf_core.errors import NVCFWarning

if TYPE_CHECKING:
    from langchain_core.exceptions import ModelError as _ModelRefusal
else:
    # langchain-core has a class of its own for this from 1.7.5 on.
    _ModelRefusal = getattr(lc, "ModelRefusalError", lc.ModelError)

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


class NVCFError(core.NVCFError, lc.ModelError):
    """Base of every error that this package raises."""


class InvalidRequestError(
    NVCFError, core.InvalidRequestError, lc.ModelInvalidRequestError, ValueError
):
    """Refused here; nothing was sent. A ValueError, as LangChain's own models raise for such input."""


class APIConnectionError(NVCFError, core.APIConnectionError, lc.ModelConnectionError):
    """No response came back: the connection failed."""


class APITimeoutError(APIConnectionError, core.APITimeoutError, lc.ModelTimeoutError):
    """No response came back in time."""


class PollingTimeoutError(NVCFError, core.PollingTimeoutError, lc.ModelTimeoutError):
    """The service accepted the request with 202 and did not finish within `poll_timeout`."""


class StreamInterruptedError(NVCFError, core.StreamInterruptedError, lc.ModelAPIError):
    """The answer ended or failed halfway; `.partial` holds what had arrived."""


class AssetUploadError(NVCFError, core.AssetUploadError, lc.ModelAPIError):
    """An asset could not be created, put or deleted."""


class InvalidResponseError(NVCFError, core.InvalidResponseError, lc.ModelAPIError):
    """The service said 200, and the body is not an answer."""


class APIStatusError(NVCFError, core.APIStatusError):
    """The service answered with an error status."""


class BadRequestError(APIStatusError, core.BadRequestError, lc.ModelInvalidRequestError):
    """400, 409, 413, 422: the service refused the request as it was."""


class ContextLengthError(BadRequestError, core.ContextLengthError, lc.ContextOverflowError):
    """The messages and `max_tokens` together are longer than the model's context window."""


class AuthenticationError(APIStatusError, core.AuthenticationError, lc.ModelAuthenticationError):
    """401: no usable key arrived."""


class PermissionDeniedError(
    APIStatusError, core.PermissionDeniedError, lc.ModelPermissionDeniedError
):
    """402, 403: the key is unknown, not entitled, or its credits are spent."""


class NotFoundError(APIStatusError, core.NotFoundError, lc.ModelNotFoundError):
    """404: no such model, function, asset or request."""


class ModelGoneError(NotFoundError, core.ModelGoneError):
    """410: the model has reached its end of life."""


class RateLimitError(APIStatusError, core.RateLimitError, lc.ModelRateLimitError):
    """429: too many requests."""


class ServerError(APIStatusError, core.ServerError, lc.ModelAPIError):
    """408, 5xx, and a 400 whose text says DEGRADED: the service's fault."""


class RefusalError(NVCFError, core.RefusalError, _ModelRefusal):
    """The model declined to give the requested structured answer; `.refusal` is its explanation."""

    def __init__(self, refusal: str, *, request_id: str | None = None) -> None:
        core.RefusalError.__init__(self, refusal, request_id=request_id)


_LANGCHAIN_CLASSES: dict[type[core.NVCFError], type[NVCFError]] = {
    core.NVCFError: NVCFError,
    core.InvalidRequestError: InvalidRequestError,
    core.APIConnectionError: APIConnectionError,
    core.APITimeoutError: APITimeoutError,
    core.PollingTimeoutError: PollingTimeoutError,
    core.StreamInterruptedError: StreamInterruptedError,
    core.AssetUploadError: AssetUploadError,
    core.RefusalError: RefusalError,
    core.InvalidResponseError: InvalidResponseError,
    core.APIStatusError: APIStatusError,
    core.BadRequestError: BadRequestError,
    core.ContextLengthError: ContextLengthError,
    core.AuthenticationError: AuthenticationError,
    core.PermissionDeniedError: PermissionDeniedError,
    core.NotFoundError: NotFoundError,
    core.ModelGoneError: ModelGoneError,
    core.RateLimitError: RateLimitError,
    core.ServerError: ServerError,
}


def to_langchain_error(error: core.NVCFError) -> NVCFError:
    """Return the LangChain counterpart of a core error, with the same message, attributes, traceback and cause."""
    kind = next(
        _LANGCHAIN_CLASSES[base] for base in type(error).__mro__ if base in _LANGCHAIN_CLASSES
    )
    twin = kind.__new__(kind, *error.args)
    twin.__dict__.update(error.__dict__, is_retryable=error.retryable)
    twin.__cause__ = error.__cause__
    return twin.with_traceback(error.__traceback__)


class TranslatingErrors:
    """Context manager that re-raises core errors as their LangChain counterparts."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, core.NVCFError) and not isinstance(error, NVCFError):
            twin = to_langchain_error(error)
            raise twin from twin.__cause__


translating_errors = TranslatingErrors()
