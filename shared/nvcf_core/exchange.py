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
    """One HTTP request that a conversation wants sent."""

    stage: Stage
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | Body | None = field(default=None, repr=False)
    delay: float = 0.0
    """Seconds to wait before sending."""
    failure: Exception | None = field(default=None, repr=False)
    """Why it is sent again, None at the first try. It is raised once more where the process can afford no retry."""
    tries: tuple[int, int] = (0, 0)
    """Which retry it is, and how many there may be. (0, 0) at the first try."""
    authorized: bool = True
    """Whether the driver adds the API key. The key itself never enters a Request."""
    stream: bool = False
    """Whether a 200 is left open, for the caller to read as it arrives."""
    read_timeout: float | None = None
    """Seconds to wait for the response, where that is less than the client's own limit."""
    on_progress: Callable[[int, int], None] | None = field(default=None, repr=False)
    """Told (bytes sent, bytes in all) while the body is sent."""
    on_response: Callable[[Response], None] | None = field(default=None, repr=False)
    """Told of the response as soon as it is there, also if the conversation is left before it goes on: while others
    of the same step are under way, say."""


@value_class
class Response:
    """What came back: enough of it to decide what comes next."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)
    """Empty while a live response is still arriving."""
    received_at: float = 0.0
    """When it arrived, in seconds of a steady clock, so that conversations need no clock."""

    @property
    def status_code(self) -> int:
        """The status, under the name that httpx and the frameworks' tracers use."""
        return self.status

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode(errors="replace")


Step: TypeAlias = "Request | tuple[Any, ...] | Future[Any]"
"""One request; or several steps that may be taken side by side; or another conversation's result to wait for."""

Flow: TypeAlias = Generator[Step, Any, T]
"""Yields each `Step` and is sent what came of it, and returns a result.

A `Request` is answered with its `Response`, or the `NVCFError` that stands for its absence is thrown in.
A tuple of steps is answered with a tuple of what came of each, in the same order, `NVCFError`s among them.
A `Future` is answered with None when it is done, whatever its outcome.
"""
