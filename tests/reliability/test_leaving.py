"""Leaving early: the connection closes at once, and nothing is left behind that speaks up later."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nvcf_emulator import Emulator

WITHIN = 1.0
"""Seconds in which the service must have noticed."""


@pytest.fixture(autouse=True)
def _a_long_answer(nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text=["word "] * 80, chunk_delay=0.05)


@pytest.fixture(autouse=True)
def _silence(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    """No warning of any kind, not even one in a destructor."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


def left(server: Emulator) -> bool:
    """Whether the connection was closed in time."""
    return server.wait_until(lambda: server.streaming == 0 and server.open_connections == 0, WITHIN)


def close(stream: Any) -> None:
    stream.close()


def forget(_: Any) -> None:
    """The caller's own name for it goes, and with it the last one."""


@pytest.mark.parametrize("leave", [close, forget])
def test_a_sync_stream(face: Any, nvcf_emulator: Emulator, leave: Callable[[Any], None]) -> None:
    asked = face()
    stream = asked.stream(asked.messages("hi", None))
    assert asked.text(next(_with_text(asked, stream)))
    assert nvcf_emulator.streaming == 1
    leave(stream)
    del stream
    assert left(nvcf_emulator)


def test_a_sync_loop_that_breaks_or_fails(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()

    def fails() -> None:
        for _ in asked.stream(asked.messages("hi", None)):
            raise LookupError("the caller's own")

    with pytest.raises(LookupError) as caught:
        fails()
    del caught  # It holds the frame, and that the iterator.
    assert left(nvcf_emulator)


def test_a_sync_stream_that_never_began(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()
    stream = asked.stream(asked.messages("hi", None))
    del stream
    assert left(nvcf_emulator)
    assert nvcf_emulator.requests == [], "nothing is asked before somebody reads"


async def aclose(stream: Any) -> None:
    await stream.aclose()


async def break_off(stream: Any) -> None:
    async for _ in stream:
        break


async def fail(stream: Any) -> None:
    with contextlib.suppress(LookupError):
        async for _ in stream:
            raise LookupError


async def cancelled(stream: Any) -> None:
    async def read() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out(stream: Any) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            async for _ in stream:
                pass


async def forgotten(_: Any) -> None:
    """Garbage collection, while the loop runs."""


@pytest.mark.parametrize("leave", [aclose, break_off, fail, cancelled, timed_out, forgotten])
async def test_an_async_stream(face: Any, nvcf_emulator: Emulator, leave: Any) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    asked = face()
    stream = await asked.astream(asked.messages("hi", None))
    async for piece in stream:
        if asked.text(piece):
            break
    assert nvcf_emulator.streaming == 1
    await leave(stream)
    del stream
    assert await asyncio.to_thread(left, nvcf_emulator)
    await _settled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert complaints == []


@pytest.mark.parametrize("place", ["ask", "poll", "answer"])
@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_whole_call(face: Any, nvcf_emulator: Emulator, how: str, place: str) -> None:
    nvcf_emulator.clear()
    if place == "poll":
        nvcf_emulator.accept(seconds=30)
    else:
        nvcf_emulator.fault("stall" if place == "ask" else "stall-body")
    asked = face()
    call = asyncio.create_task(asked.acomplete(asked.messages("hi", None)))
    wanted = "poll" if place == "poll" else "ask"
    assert await asyncio.to_thread(
        nvcf_emulator.wait_until,
        lambda: (
            nvcf_emulator.streaming == (place != "poll")
            and any(request.place == wanted for request in nvcf_emulator.requests)
        ),
    )
    if how == "cancel":
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    else:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await call
    assert await asyncio.to_thread(left, nvcf_emulator)
    await _settled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_waits_for_a_retry_can_be_cancelled(face: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.clear()
    nvcf_emulator.fail(429, retry_after=50)
    asked = face()
    call = asyncio.create_task(asked.acomplete(asked.messages("hi", None)))
    assert await asyncio.to_thread(nvcf_emulator.wait_until, lambda: nvcf_emulator.chats)
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - begun < WITHIN


async def test_a_cancelled_upload_leaves_no_claim_behind(
    face: Any, nvcf_emulator: Emulator, large_picture: bytes
) -> None:
    """Who waits for the same bytes does not wait for ever; the asset is deleted at close."""
    nvcf_emulator.clear()
    nvcf_emulator.fault("stall", on="put", after=1)
    asked = face()
    call = asyncio.create_task(asked.acomplete(asked.messages("look", large_picture)))
    assert await asyncio.to_thread(
        nvcf_emulator.wait_until, lambda: any(r.place == "put" for r in nvcf_emulator.requests)
    )
    second = asyncio.create_task(asked.acomplete(asked.messages("look, too", large_picture)))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert "look, too" in await second
    await asked.model.aclose()
    assert {asset.state for asset in nvcf_emulator.assets.values()} == {"deleted"}


def test_a_loop_that_ends_right_after(face: Any, nvcf_emulator: Emulator) -> None:
    """`asyncio.run` returns while the stream is half read: it is closed with its loop."""
    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        asked = face()
        async for piece in await asked.astream(asked.messages("hi", None)):
            if asked.text(piece):
                return

    asyncio.run(main(), debug=True)
    assert left(nvcf_emulator)
    assert complaints == []


async def test_a_model_that_is_dropped_closes_its_pools(face: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.clear()
    asked = face()
    assert await asked.acomplete(asked.messages("hi", None))
    assert await asyncio.to_thread(asked.complete, asked.messages("hi", None))
    assert nvcf_emulator.open_connections == 2
    del asked
    gc.collect()
    assert await asyncio.to_thread(left, nvcf_emulator)


def _with_text(asked: Any, stream: Any) -> Iterator[Any]:
    """Pieces that have text: the first ones may be reasoning alone."""
    while True:
        piece = next(stream)
        if asked.text(piece):
            yield piece


async def _settled() -> None:
    """Give what httpx left to the garbage collector the few turns of the loop that it needs."""
    for _ in range(20):
        if len(asyncio.all_tasks()) == 1:
            return
        await asyncio.sleep(0.01)
