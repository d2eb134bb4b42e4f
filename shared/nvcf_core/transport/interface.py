"""What the driver needs of an HTTP client, whichever library it belongs to. All that is raised is an `NVCFError`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Protocol, TypeAlias

from pydantic import SecretStr

from nvcf_core.config.options import RequestOptions
from nvcf_core.exchange import Request

from .time_limits import TimeLimits

__all__ = ["Content", "HTTPClient", "HTTPResponse", "SendableRequest"]

Content: TypeAlias = "bytes | Iterator[bytes] | AsyncIterator[bytes] | None"
"""The body of a request, as a client sends it."""


class SendableRequest(Protocol):
    """A request that is ready to be sent, under its limits."""

    @property
    def limits(self) -> TimeLimits:
        """The time limits of its phases. They are set before it is sent, and again before its body is read."""
        ...

    def send(self) -> HTTPResponse:
        """Send it over a sync client, and wait for the head of the response.

        Raises:
            APIConnectionError: there is none.
        """
        ...

    async def asend(self) -> HTTPResponse:
        """Async version of `send`."""
        ...

    def forget_key(self) -> None:
        """Drop the API key, which errors and tracebacks must not hold."""
        ...


class HTTPResponse(Protocol):
    """A response whose body may still be arriving."""

    @property
    def status_code(self) -> int:
        """The status, e.g. 200."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers. Names are in lower case."""
        ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the decoded body in chunks, as it arrives.

        Raises:
            APIConnectionError: it broke off, or stalled for too long.
            InvalidResponseError: it has a content encoding that was not requested.
        """
        ...

    def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """Async version of `iter_bytes`."""
        ...

    def close(self) -> None:
        """Close the response, and its connection too unless the body was read to its end."""
        ...

    async def aclose(self) -> None:
        """Async version of `close`."""
        ...


class HTTPClient(Protocol):
    """Prepares requests to be sent over its connections. `close` is of sync clients, `aclose` of async ones."""

    @property
    def owned(self) -> bool:
        """Whether we made it. The user's own is used as it is, and never closed."""
        ...

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> SendableRequest:
        """Make a request ready.

        Args:
            request: what is to be sent.
            content: its body.
            key: added as a bearer token.
            options: the user's own headers, and limits of time.

        Raises:
            InvalidRequestError: its url is not one.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...

    async def aclose(self) -> None:
        """Async version of `close`."""
        ...

    def drop(self) -> None:
        """Close what can be closed without waiting: where the event loop has ended, or after a fork."""
        ...
