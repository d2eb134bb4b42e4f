"""How the requests of one call are made: key, headers, time limits, rate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Request
from nvcf_core.values import value_class

from .auth import Auth
from .settings import CallSettings, Settings, key_from_env

__all__ = ["RequestOptions", "normalize_headers", "request_options"]


@value_class(kw_only=True)
class RequestOptions:
    """The options for the requests of one call."""

    auth: Auth
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The user's own, under lower-case names. They go to the service's hosts only."""
    timeout: Any = None
    """Seconds for each phase, an httpx.Timeout, or None: an injected client's own, or else the defaults."""
    chunk_timeout: float | None = None
    """Seconds between two chunks of an answer that has begun. None: as `timeout` has it."""
    keepalive_limit: float = 300.0
    """Seconds that a stream may consist of comments alone, which say only that the service is alive."""
    call_timeout: float | None = None
    """Seconds for all of a call: uploads, attempts, waits, polls, the answer. None: no limit."""
    requests_per_minute: int | None = None
    request_limiter: Any = field(default=None, repr=False)
    """The user's own, acquired before each request to the model."""
    retry_budget: bool = True
    """Whether retries are taken from the budget that all calls of the process share."""

    def headers_for(self, request: Request) -> dict[str, str]:
        """The headers of a request: the user's, and those that it needs, which win."""
        return {**self.headers, **request.headers} if request.authorized else dict(request.headers)


_LONGEST_WAIT = 1_000_000.0
"""Seconds, as much as every way of waiting takes: in place of infinity."""

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def normalize_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers under lower-case names.

    Raises:
        InvalidRequestError: a name or value is not one, or would break out of its line.
    """
    checked = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidRequestError(
                f"default_headers: {name!r} is not a header name", field="default_headers"
            )
        if (
            not isinstance(value, str)
            or not value.isascii()
            or not (value.isprintable() or not value)
        ):
            raise InvalidRequestError(
                f"default_headers: the value of {name} is not a header value",
                field="default_headers",
            )
        checked[name.lower()] = value
    return checked


def request_options(settings: Settings, call: CallSettings, roots: Sequence[str]) -> RequestOptions:
    """Return the options for the requests of one call.

    Args:
        settings: the object's own.
        call: those of the call; the object's own again where there is no call.
        roots: the urls of the service, to whose hosts the key may go.

    Raises:
        InvalidRequestError: a header cannot be sent.
    """
    # The environment may have got a key since the object was made.
    key = key_from_env() if settings.api_key is None else settings.api_key
    source = key_from_env if settings.api_key is None else settings.api_key
    auth = Auth(source, tuple(roots), key is None and settings.key_left_behind)
    if key is not None and (plain := auth.insecure_root()):
        settings.warn_once(
            "http",
            f"the API key goes to {plain} without TLS, where anyone on the way can read it",
        )
    return RequestOptions(
        auth=auth,
        headers=normalize_headers(call.default_headers),
        timeout=call.timeout,
        chunk_timeout=min(call.stream_chunk_timeout, _LONGEST_WAIT),
        call_timeout=call.call_timeout,
        requests_per_minute=settings.requests_per_minute,
        request_limiter=settings.request_limiter,
    )
