"""Callbacks of one call's events. They do nothing unless an application sets an observer (see `otel`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from nvcf_core.exchange import Request, Response
from nvcf_core.messages import Chunk

__all__ = ["UNOBSERVED", "Observation"]

_nothing = nullcontext()


class Observation:
    """Callbacks for the events of one call, and a context manager around it. This one does nothing.

    Overrides must not raise: that would end the call.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def sending(self) -> AbstractContextManager[object]:
        """Return a context manager for the time in which requests are sent, without that in which the caller has a
        chunk."""
        return _nothing

    def redact_with(self, redact: Callable[[str], str]) -> None:
        """Set the function that removes the API key from a text. Nothing that is recorded may contain the key."""

    def waited(self, seconds: float) -> None:
        """The call waited for a limit of requests per minute."""

    def retrying(self, request: Request) -> None:
        """A request is about to be sent again, because of its `failure`."""

    def responded(self, request: Request, response: Response) -> None:
        """A response arrived: its head, and its body unless that was left open."""

    def reading(self, snapshot: Callable[[], Chunk]) -> None:
        """An answer begins to arrive.

        Args:
            snapshot: returns what has arrived so far.
        """

    def first_chunk(self) -> None:
        """The first chunk of the answer is about to be handed out."""


UNOBSERVED = Observation()
"""No-op observation, used when no observer is set."""
