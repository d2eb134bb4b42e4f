"""A limit of requests per minute that the workers of a Ray cluster share."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from nvcf_core.errors import InvalidRequestError
from nvcf_core.transport.limits.sliding_window import SlidingWindow, is_late

from .output_folder import OutputFolder

__all__ = ["STATE_FILE", "ClusterLimiter"]

STATE_FILE = "_requests_per_minute.json"
"""Where the permits of the last window are kept beside the results, so that a restart counts them."""

_BLOCK = 100
"""Permits of one request to the actor, at most."""


class ClusterLimiter:
    """A `request_limiter` for all that runs on one Ray cluster.

    An actor hands out permits in blocks, to as many callers as wait; none is kept for later. It travels to other
    workers in arguments and closures, as Ray's own handles do, and ends with the process that made it.

    Args:
        per_minute: requests in any `window` seconds, 1 or more.
        window: seconds that the limit counts over; 60 is a minute.
        state: a folder, or its url, where permits are noted before they are used, so that a limiter that is made
            there after a crash counts them. None: they are not noted.

    Raises:
        InvalidRequestError: `per_minute` or `window` is not positive.
        RuntimeError: Ray is not running.
    """

    def __init__(self, per_minute: int, *, window: float = 60.0, state: str | None = None) -> None:
        if per_minute < 1 or window <= 0:
            raise InvalidRequestError(
                f"per_minute={per_minute} and window={window} must be positive",
                field="request_limiter",
            )
        import ray  # Runs without a cluster need not wait for it.
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not ray.is_initialized():
            raise RuntimeError("ClusterLimiter needs Ray: call ray.init() first")
        here = ray.get_runtime_context().get_node_id()  # A node that is lost is rather another.
        options: dict[str, Any] = {
            "num_cpus": 0,
            "max_restarts": -1,
            "max_task_retries": -1,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=True),
        }
        actor = ray.remote(_Permits).options(**options)
        self.__setstate__((actor.remote(per_minute, window, state), window))

    def __getstate__(self) -> tuple[Any, float]:
        return self._actor, self._seconds

    def __setstate__(self, state: tuple[Any, float]) -> None:
        self._actor, self._seconds = state
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()
        self._slowed = False

    def acquire(self) -> float:
        """Block until one request may be sent.

        Returns:
            The permit: when it was handed out, or a little before, by `time.monotonic`.
        """
        import ray

        granted = 0
        while not granted:
            asked = time.monotonic()
            granted, waited, self._slowed = ray.get(self._actor.take.remote(1, self._slowed))
        return asked + float(waited)

    async def acquire_async(self) -> float:
        """Async version of `acquire`."""
        loop = asyncio.get_running_loop()
        if loop not in self._queues:
            self._queues[loop] = _Queue(self._take)
        return await self._queues[loop].take()

    def sent(self, permit: float) -> None:
        """Count a request that goes out long after its permit from now on: the service counts it when it arrives.

        Args:
            permit: what `acquire` or `acquire_async` returned.
        """
        if is_late(time.monotonic() - permit, self._seconds):
            self._actor.count_late.remote()

    def close(self) -> None:
        """End the actor, for all that use it. Not needed where Ray is shut down."""
        import ray

        ray.kill(self._actor)

    def feedback(self, status: int, retry_after: float | None = None) -> None:
        """Slow the cluster down after a 429, and let it speed up again with successes."""
        if status == 429 or (self._slowed and status < 400):
            self._slowed = True
            self._actor.feedback.remote(status, retry_after)

    async def _take(self, wanted: int) -> tuple[int, float]:
        """Permits, if any, and when they were handed out."""
        asked = time.monotonic()
        granted, waited, self._slowed = await self._actor.take.remote(wanted, self._slowed)
        return int(granted), asked + float(waited)


class _Queue:
    """Those of one event loop who wait for a permit.

    Args:
        take: waits for permits, up to as many as asked for, and says when they were handed out.
    """

    def __init__(self, take: Callable[[int], Awaitable[tuple[int, float]]]) -> None:
        self._take = take
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def take(self) -> float:
        """Wait for a permit. Who leaves uses none."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._fetch())
        return await future

    async def _fetch(self) -> None:
        from ray.exceptions import RayError

        while self._drop_those_who_left():
            try:
                granted, permit = await self._take(min(len(self._waiting), _BLOCK))
            except RayError as error:
                while self._drop_those_who_left():
                    self._waiting.popleft().set_exception(error)
                return
            for _ in range(granted):
                if self._drop_those_who_left():
                    self._waiting.popleft().set_result(permit)

    def _drop_those_who_left(self) -> int:
        """Return how many still wait."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        return len(self._waiting)


class _Permits:
    """The actor: one sliding window for the whole cluster."""

    def __init__(self, per_minute: int, window: float, state: str | None) -> None:
        import ray

        self._per_minute = per_minute
        self._window = SlidingWindow(window)
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()
        self._noting = asyncio.Lock()
        self._folder = None if state is None else OutputFolder(state)
        stored = None if self._folder is None else self._folder.read_text(STATE_FILE)
        if stored is not None:
            self._window = SlidingWindow.load(stored, window)
        elif ray.get_runtime_context().was_current_actor_reconstructed:
            # What was handed out before is not known: none of it may be within one window with what comes.
            self._window.used = [(time.time(), per_minute)]

    async def take(self, wanted: int, slowed: bool) -> tuple[int, float, bool]:
        """Wait until there are permits, up to as many as wanted.

        Args:
            wanted: permits, 1 or more.
            slowed: whether the caller knows that the limit is lowered, and tells of successes. One that does not
                learns it at once, without permits.

        Returns:
            How many, after how many seconds, and whether the limit is lowered at present.
        """
        began = time.monotonic()
        async with self._turn:
            while True:
                granted, wait = self._window.grant(time.time(), wanted, self._per_minute)
                waited, lowered = time.monotonic() - began, self._window.share < 1
                if granted:
                    await self._note()
                if granted or (lowered and not slowed):
                    return granted, waited, lowered
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), wait)

    async def count_late(self) -> None:
        """Count a request that goes out long after its permit, from now on."""
        self._window.count_late(time.time())
        await self._note()

    async def feedback(self, status: int, retry_after: float | None) -> None:
        """Take a response into account."""
        self._window.feedback(time.time(), status, retry_after)
        self._changed.set()

    async def _note(self) -> None:
        if self._folder is None:
            return
        async with self._noting:  # The last one writes what all of them have done.
            await asyncio.to_thread(self._folder.write_text, STATE_FILE, self._window.dump())
