"""One connection pool for each event loop, closed in that loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from .httpx_client import HTTPClient


class LoopPool:
    """The pool of one event loop. It is closed when the loop ends, or when nobody holds it any more."""

    def __init__(self, http: HTTPClient) -> None:
        self.http = http
        self.keeper = self._keep(http)

    @staticmethod
    async def _keep(http: HTTPClient) -> AsyncGenerator[None, None]:
        """Loops finish the async generators that began in them: that closes the pool, in the right loop."""
        try:
            yield
        finally:
            if http.owned:
                await http.client.aclose()

    def close_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close it, called within its loop."""
        task = loop.create_task(self.keeper.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()
"""Tasks that nobody awaits, held so that they are not collected halfway."""
