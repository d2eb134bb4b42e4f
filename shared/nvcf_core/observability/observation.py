"""What is told of one call while it goes: to nobody, unless an application asked for it (see `otel`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from nvcf_core.exchange import Request, Response
from nvcf_core.messages import Chunk

__all__ = ["UNOBSERVED", "Observation"]

_nothing = nullcontext()


class Observation:
    """Told of one call. Entered when it begins, left when it ends, with whatever ended it; this one does nothing.

    What is overridden must not raise: it would end the call.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def sending(self) -> AbstractContextManager[object]:
        """Held while requests are made, and not while the caller has a piece of the answer."""
        return _nothing

    def redact_with(self, redact: Callable[[str], str]) -> None:
        """What takes the API key of the next request out of a text: nothing that is noted may hold it."""

    def waited(self, seconds: float) -> None:
        """It waited for a limit of requests per minute."""

    def retrying(self, request: Request) -> None:
        """A request is about to be sent again, because of its `failure`."""

    def responded(self, request: Request, response: Response) -> None:
        """The head of a response is there, and all of its body unless that was left open."""

    def reading(self, snapshot: Callable[[], Chunk]) -> None:
        """An answer begins to arrive.

        Args:
            snapshot: gives what has arrived of it so far.
        """

    def first_chunk(self) -> None:
        """The first piece of an answer is about to be handed out."""


UNOBSERVED = Observation()
"""No-op observation, used when no observer is set."""
