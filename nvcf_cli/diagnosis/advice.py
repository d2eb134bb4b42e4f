"""What to do about an error of the service."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from nvcf_core.errors import (
    APIConnectionError,
    APIStatusError,
    AssetUploadError,
    AuthenticationError,
    InvalidRequestError,
    InvalidResponseError,
    ModelGoneError,
    NotFoundError,
    NVCFError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)

__all__ = ["advice_for", "cause_of"]

_NEW_KEY = (
    "the service does not accept the key in NVIDIA_API_KEY: check that it is whole and not expired, "
    "or make a new one at https://build.nvidia.com"
)
_NO_ADVICE = "read what the service said; `nvcf verify` compares it with the documentation"
_OTHER_MODEL = "choose another one: `nvcf models` shows which are listed"

_ADVICE: Sequence[tuple[type[NVCFError], str]] = (
    (AuthenticationError, _NEW_KEY),
    (ModelGoneError, f"the model is retired; {_OTHER_MODEL}"),
    (RateLimitError, "wait a minute, and keep below the limit with requests_per_minute=…"),
    (ServerError, "the fault is the service's: try again later"),
    (APIConnectionError, "`nvcf doctor` checks DNS, proxy and TLS of each host"),
    (InvalidResponseError, "check that NVIDIA_BASE_URL names a chat API, and ends in /v1"),
    (InvalidRequestError, "mend what the message names"),
)
"""The first class that fits counts."""


def cause_of(error: NVCFError) -> NVCFError:
    """The service's own error behind that of an upload."""
    cause = error.__cause__
    return cause if isinstance(error, AssetUploadError) and isinstance(cause, NVCFError) else error


def advice_for(error: NVCFError, model: str | None = None, listed: Sequence[str] = ()) -> str:
    """What to do about an error, in one sentence.

    Args:
        error: what was raised.
        model: the model that was asked, None where none was.
        listed: the models that the service lists, for the nearest spelling.
    """
    if isinstance(error, PermissionDeniedError):
        return "the account's credits are spent" if error.status == 402 else _NEW_KEY
    if isinstance(error, NotFoundError) and not isinstance(error, ModelGoneError):
        return _advice_for_missing(error, model, listed)
    return next((advice for kind, advice in _ADVICE if isinstance(error, kind)), _NO_ADVICE)


def _advice_for_missing(error: APIStatusError, model: str | None, listed: Sequence[str]) -> str:
    if model is None:
        return "the url leads nowhere: check NVIDIA_BASE_URL (it ends in /v1) and NVCF_URL"
    if "not found for account" in str(error).lower():
        return (
            f"the model is retired, or this key may not use it; {_OTHER_MODEL}, "
            "or check the key's entitlements at https://build.nvidia.com"
        )
    if model in listed:
        return "the model is listed, so the url must be wrong: check NVIDIA_BASE_URL, which ends in /v1"
    near = get_close_matches(model, listed, n=1)
    return f"no such model; did you mean {near[0]}?" if near else f"no such model; {_OTHER_MODEL}"
