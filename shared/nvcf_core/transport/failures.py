"""Errors for failed connections, with what to do about them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator

from nvcf_core.errors import (
    APIConnectionError,
    InvalidRequestError,
    InvalidResponseError,
    NVCFError,
)
from nvcf_core.exchange import Request

__all__ = ["body_failure", "connection_failure", "proxy_failure", "unusable_url"]

_LASTING = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNSUPPORTED_PROTOCOL")
"""OpenSSL's reasons that a retry cannot change: most often the server does not speak TLS."""


def connection_failure(where: str, error: Exception) -> APIConnectionError:
    """Return the error for a request that got no response.

    Args:
        where: the stage of the request, and the host.
        error: what the HTTP library raised. For a TLS failure among its causes the message says what to do.
    """
    said = f"{where}: {type(error).__name__}: {error}"
    lasting = False
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            lasting = True
            said = (
                f"{where}: the server's certificate is not trusted: {cause.verify_message}. "
                "Where a CA of your own has signed it, pass verify=, the path of that CA's certificate"
            )
        elif isinstance(cause, ssl.SSLError) and (cause.reason or "") in _LASTING:
            lasting = True
            said = (
                f"{where}: TLS failed: {cause.reason}. Does that port speak https, or is it http?"
            )
        elif isinstance(cause, ssl.SSLError) and "CERTIFICATE" in (cause.reason or ""):
            lasting = True
            said = (
                f"{where}: TLS failed: {cause.reason}. Where the server wants a certificate of the client, "
                "pass verify=, an ssl.SSLContext that has loaded it"
            )
    failure = APIConnectionError(said, failed_at=time.monotonic())
    if lasting:
        failure.retryable = False
    return failure


def proxy_failure(where: str, proxy: str, error: object) -> APIConnectionError:
    """Return the error for a proxy that refuses the request. It is not retryable.

    Args:
        where: the stage of the request, and the host.
        proxy: the proxy's url, without its password.
        error: what the HTTP library raised, or the status.
    """
    failure = APIConnectionError(
        f"{where}: the proxy {proxy} refused: {error}", failed_at=time.monotonic()
    )
    failure.retryable = False
    return failure


def body_failure(error: Exception) -> APIConnectionError:
    """Return the error for a body that broke off."""
    return APIConnectionError(
        f"the connection failed: {type(error).__name__}: {error}", failed_at=time.monotonic()
    )


def unusable_url(request: Request, error: Exception) -> NVCFError:
    """Return the error for an unusable URL: the service's fault if the service sent the URL."""
    if request.stage == "fetch":
        return InvalidResponseError(
            f"the service redirected to a url that cannot be used: {error}",
            body=request.url.encode(errors="replace"),
        )
    return InvalidRequestError(
        f"{request.stage}: the request cannot be sent: {error}", field="http_client"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
