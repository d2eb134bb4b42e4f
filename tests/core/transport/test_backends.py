"""What exists twice: waiting, sending and reading, sync and async."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future
from typing import Any, cast

import pytest

from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Request
from nvcf_core.transport.backends import AsyncBackend, SyncBackend, run_sync
from nvcf_core.transport.bodies import BoundedBody, LengthGuard
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


async def test_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[float] = []

    async def sleep(seconds: float) -> None:
        passed.append(seconds)

    monkeypatch.setattr(time, "sleep", passed.append)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    run_sync(SyncBackend(ClientConfig()).sleep(0.25))
    await AsyncBackend(ClientConfig()).sleep(0.5)
    assert passed == [0.25, 0.5]


class Response:
    """A response whose body has no end."""

    def __init__(self) -> None:
        self.read = 0
        self.ended = False

    def iter_bytes(self) -> Iterator[bytes]:
        try:
            while self.read < 100:
                self.read += 1
                yield bytes(1 << 19)
        finally:
            self.ended = True

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        for piece in self.iter_bytes():
            yield piece


async def test_of_an_error_a_mebibyte_is_read_and_no_more() -> None:
    for colour in ("sync", "async"):
        body, response = BoundedBody(503, "ask"), Response()
        if colour == "sync":
            run_sync(SyncBackend(ClientConfig()).read_into(body, cast(Any, response)))
        else:
            await AsyncBackend(ClientConfig()).read_into(body, cast(Any, response))
        assert response.read == 3
        assert response.ended
        assert len(body.body()) == 1 << 20


async def test_pieces_of_a_body_are_closed_where_its_request_is_left() -> None:
    """They may hold a file open."""
    for colour in ("sync", "async"):
        pieces = (bytes(10) for _ in range(3))
        told: list[tuple[int, int]] = []
        request = Request("put", "PUT", "u", on_progress=lambda *done, to=told: to.append(done))
        guard = LengthGuard(request, 30)
        if colour == "sync":
            sending = SyncBackend(ClientConfig()).content(pieces, guard)
            next(sending)
            next(sending)
            sending.close()  # type: ignore[attr-defined]
        else:
            asending = AsyncBackend(ClientConfig()).content(pieces, guard)
            await anext(asending)
            await anext(asending)
            await asending.aclose()  # type: ignore[attr-defined]
        assert inspect.getgeneratorstate(pieces) == "GEN_CLOSED"
        assert told == [(10, 30)]
