"""What `request_limiter=` takes: a limit of requests that may reach beyond one process."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["RequestLimiter"]


@runtime_checkable
class RequestLimiter(Protocol):
    """Says when a request that asks the model may be sent, retries included.

    Uploads and polls are not asked for. One object serves every thread and event loop that has it.
    """

    def acquire(self) -> None:
        """Block until one request may be sent, which is to be sent at once."""
        ...

    async def acquire_async(self) -> None:
        """As `acquire`, without blocking the event loop. Who is cancelled here has used nothing."""
        ...

    def feedback(self, status: int, retry_after: float | None) -> None:
        """Take a response into account. Must not block for long: it is called in event loops.

        Args:
            status: the HTTP status of the response.
            retry_after: seconds that its `Retry-After` asks to wait, None where it does not.
        """
        ...
