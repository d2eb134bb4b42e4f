"""An event loop in a thread of its own, for callers that have none, or whose own is running already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["BackgroundLoop"]

T = TypeVar("T")


class BackgroundLoop:
    """An event loop that runs until it is closed. Usable as a context manager, and from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> BackgroundLoop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine. Where the waiting is interrupted, it is cancelled and has ended when this returns."""
        future = asyncio.run_coroutine_threadsafe(_whole(coroutine), self._loop)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                self._cancel_all()
            raise

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _cancel_all(self) -> None:
        async def cancel() -> None:
            others = [task for task in asyncio.all_tasks() if task.get_name() == _NAME]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel(), self._loop).result()


_NAME = "nvcf_batch"
"""The tasks that were started from outside; what they started ends with them."""


async def _whole(coroutine: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    if task is not None:
        task.set_name(_NAME)
    return await coroutine
