"""Errors for failed connections, with what to do about them."""

from __future__ import annotations

import re
import socket
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

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""OpenSSL's reasons where the other side, most often, does not speak TLS at all."""

_NO_AGREEMENT = re.compile(
    r"UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|(KEY|MD|DIGEST|SECURITY|CIPHER)\w*_(SMALL|WEAK|LOW|MISMATCH)"
    r"|ALERT_(HANDSHAKE_FAILURE|PROTOCOL_VERSION|INSUFFICIENT_SECURITY|UNRECOGNIZED_NAME|NO_APPLICATION_PROTOCOL)"
    r"|UNRECOGNIZED_NAME"
)
"""Those where both sides find nothing that they agree on."""

_CLIENT_CERTIFICATE = re.compile(r"CERTIFICATE|ALERT_(UNKNOWN_CA|ACCESS_DENIED)")
"""Those where the server does not take the certificate of the client, or wants one."""

_MISMATCHES = (62, 64)
"""OpenSSL's codes for a certificate of another host, or of another address."""


def connection_failure(where: str, error: Exception) -> APIConnectionError:
    """Return the error for a request that got no response.

    Args:
        where: the stage of the request, and the host.
        error: what the HTTP library raised. For a TLS failure among its causes the message says what to do.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and (said := _lasting_tls_failure(cause)):
            failure = APIConnectionError(f"{where}: {said}", failed_at=time.monotonic())
            failure.retryable = False
            return failure
    said = f"{where}: {type(error).__name__}: {error}"
    if any(isinstance(cause, socket.gaierror) for cause in _causes(error)):
        said += ". The name of the host could not be looked up"
    return APIConnectionError(said, failed_at=time.monotonic())


def _lasting_tls_failure(error: ssl.SSLError) -> str | None:
    """What to say, and what to do, where another try would fail in the same way. None: it need not."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        todo = (
            "Ask for the server by a name that its certificate has, or pass verify=, an ssl.SSLContext"
            if error.verify_code in _MISMATCHES
            else "Where a CA of your own has signed it, pass verify=, the path of that CA's certificate"
        )
        said = (error.verify_message or reason).rstrip(".")
        return f"the server's certificate is not trusted: {said}. {todo}"
    if reason in _NO_TLS:
        return f"TLS failed: {reason}. Does that port speak https, or is it http?"
    if _NO_AGREEMENT.search(reason):
        return (
            f"TLS failed: {reason}. Server and client agree on no version of TLS, cipher or name: "
            "verify= takes an ssl.SSLContext that allows others"
        )
    if _CLIENT_CERTIFICATE.search(reason):
        return (
            f"TLS failed: {reason}. Where the server wants a certificate of the client, "
            "pass verify=, an ssl.SSLContext that has loaded it"
        )
    return None


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
    if isinstance(error, RuntimeError):
        return InvalidRequestError(
            f"{request.stage}: the request cannot be sent: {error}", field="http_client"
        )
    field = "base_url" if request.stage in ("ask", "models") else "nvcf_url"
    return InvalidRequestError(
        f"{request.stage}: {request.url} cannot be asked: {error}. Check {field}", field=field
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
