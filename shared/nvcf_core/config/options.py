"""How the requests of one call are made: key, headers, time limits, rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Request

from .auth import Auth
from .request_limiter import RequestLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """The options of one conversation."""

    auth: Auth
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The user's own, under lower-case names. They go to the service's hosts only."""
    timeout: Any = None
    """Seconds for each phase, an httpx.Timeout, or None: an injected client's own, or else the defaults."""
    chunk_timeout: float | None = None
    """Seconds between two chunks of a body that is left open. None: as `timeout` has it."""
    requests_per_minute: int | None = None
    request_limiter: RequestLimiter | None = field(default=None, repr=False)
    """Asked besides, before each request to the model."""

    def headers_for(self, request: Request) -> dict[str, str]:
        """The headers of a request: the user's, and those that it needs, which win."""
        return {**self.headers, **request.headers} if request.authorized else dict(request.headers)


_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers under lower-case names.

    Raises:
        InvalidRequestError: a name or value is none, or would break out of its line.
    """
    checked = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidRequestError(
                f"default_headers: {name!r} is no header name", field="default_headers"
            )
        if (
            not isinstance(value, str)
            or not value.isascii()
            or not (value.isprintable() or not value)
        ):
            raise InvalidRequestError(
                f"default_headers: the value of {name} is no header value", field="default_headers"
            )
        checked[name.lower()] = value
    return checked
