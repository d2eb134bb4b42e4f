"""What exists twice: waiting, sending and reading, sync and async."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from nvcf_core.errors import InvalidRequestError
from nvcf_core.transport.backends import AsyncBackend, SyncBackend, run_sync
from nvcf_core.transport.clients import ClientConfig


async def double(number: int) -> int:
    return 2 * number


def test_a_coroutine_of_a_synchronous_backend_runs_without_a_loop() -> None:
    backend = SyncBackend(ClientConfig())
    assert run_sync(backend.gather(double, [1, 2, 3])) == (2, 4, 6)


def test_a_coroutine_that_waits_for_a_loop_is_a_mistake() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="about to wait for an event loop"):
        run_sync(waits())


async def test_a_synchronous_wait_does_not_hold_up_a_loop_for_ever() -> None:
    backend = SyncBackend(ClientConfig())
    future: Future[None] = Future()
    with pytest.raises(InvalidRequestError, match="inside a running event loop"):
        run_sync(backend.wait(future))
    threading.Timer(0.05, future.set_result, [None]).start()
    await asyncio.to_thread(lambda: run_sync(backend.wait(future)))
    run_sync(backend.wait(future))  # It is done: nothing has to be waited for.


async def test_side_by_side() -> None:
    backend = AsyncBackend(ClientConfig())
    assert await backend.gather(double, [1, 2, 3]) == (2, 4, 6)


async def test_none_goes_on_once_one_has_failed() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        if number == 0:
            raise RuntimeError("a callback of the user's failed")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(RuntimeError, match="callback"):
        await AsyncBackend(ClientConfig()).gather(work, [1, 0, 2])
    assert ended == [1, 2]
    assert asyncio.all_tasks() == {asyncio.current_task()}
