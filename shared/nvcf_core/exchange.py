"""Requests, responses and the bodies they carry as plain values, and what a flow is. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from .values import value_class

__all__ = ["Body", "ByteSource", "Flow", "Request", "Response", "Stage", "Step"]


class ByteSource(Protocol):
    """Bytes of known length that can be read more than once."""

    @property
    def length(self) -> int:
        """Bytes in all."""
        ...

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start."""
        ...

    def base64(self) -> Generator[bytes]:
        """The bytes as base64 text, from the start."""
        ...


T = TypeVar("T")

Stage: TypeAlias = Literal["ask", "poll", "fetch", "create", "put", "delete", "models"]
"""What a request is for. Error messages name it, and only an `ask` counts against a rate limit."""


class Body(Protocol):
    """A request body that is never held in memory whole, and can be sent again."""

    @property
    def length(self) -> int:
        """Bytes in all."""
        ...

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start."""
        ...


@value_class
class Request:
    """One HTTP request that a flow yields."""

    stage: Stage
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | Body | None = field(default=None, repr=False)
    delay: float = 0.0
    """Seconds to wait before sending."""
    failure: Exception | None = field(default=None, repr=False)
    """Why it is sent again, None for the first attempt. Raised again if the retry budget is empty."""
    tries: tuple[int, int] = (0, 0)
    """The number of this retry, and the maximum. (0, 0) for the first attempt."""
    authorized: bool = True
    """Whether the driver adds the API key. The key itself never enters a Request."""
    stream: bool = False
    """Whether a 200 is left open, for the caller to read as it arrives."""
    read_timeout: float | None = None
    """Seconds to wait for the response, where that is less than the client's own limit."""
    on_progress: Callable[[int, int], None] | None = field(default=None, repr=False)
    """Called with (bytes sent, total bytes) while the body is sent."""
    on_response: Callable[[Response], None] | None = field(default=None, repr=False)
    """Called with the response as soon as it arrives, also if the flow is closed before it is resumed, while other
    requests of the same step are under way."""


@value_class
class Response:
    """The response to a request."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)
    """Empty if the body was left open (`Request.stream`)."""
    received_at: float = 0.0
    """When it arrived, by `time.monotonic`, so that flows need no clock."""

    @property
    def status_code(self) -> int:
        """The status, under the name that httpx and the frameworks' tracers use."""
        return self.status

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode(errors="replace")


Step: TypeAlias = "Request | tuple[Any, ...] | Future[Any]"
"""One request; or several steps that may run concurrently; or a future of another flow to wait for."""

Flow: TypeAlias = Generator[Step, Any, T]
"""A generator that yields each `Step`, is sent the result of the step, and returns the result of the flow.

For a `Request` it is sent the `Response`, or the `NVCFError` of the failed request is thrown into it. For a tuple of
steps it is sent a tuple of their results in the same order, `NVCFError`s included. For a `Future` it is sent None once
the future is done, successful or not.
"""
