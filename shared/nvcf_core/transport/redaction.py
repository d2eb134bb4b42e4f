"""A key that the service echoed, taken out of responses and errors."""

from __future__ import annotations

from typing import Any

from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Response

__all__ = ["redact", "redact_response"]


def redact(error: BaseException, secret: str) -> None:
    """Take a key that the service echoed out of an error, its response, and what caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        current.args = tuple(_redacted(part, secret) for part in current.args)
        if isinstance(current, NVCFError):
            for name, value in vars(current).items():
                setattr(current, name, _redacted(value, secret))
        current = current.__cause__ or current.__context__


def _redacted(value: Any, secret: str) -> Any:
    if isinstance(value, str):
        return value.replace(secret, "***")
    if isinstance(value, bytes):
        return value.replace(secret.encode(), b"***")
    return redact_response(value, secret) if isinstance(value, Response) else value


def redact_response(response: Response, secret: str) -> Response:
    """A response without a key that the service echoed in it."""
    headers = {name: text.replace(secret, "***") for name, text in response.headers.items()}
    return Response(
        response.status,
        headers,
        response.body.replace(secret.encode(), b"***"),
        response.received_at,
    )
