"""Limits of time: each one by itself, each ending in a typed error that names it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nvcf_core import errors
from nvcf_emulator import Emulator

OTHERS = 30.0
"""Seconds of every limit, and of every pause of the service, that is not the one under test."""

only_core = pytest.mark.parametrize("face", ["core"], indirect=True)


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port that takes no connection: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


@only_core
async def test_connecting(way: Any, full_port: int) -> None:
    asked = way(
        base_url=f"http://127.0.0.1:{full_port}/v1",
        timeout=httpx.Timeout(OTHERS, connect=0.2),
        max_retries=0,
    )
    took = await _fails(asked, errors.APITimeoutError, r"no connection within 0\.2 s \(timeout\)")
    assert 0.2 <= took < OTHERS


async def test_the_first_byte(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fault("stall")
    asked = way(timeout=httpx.Timeout(OTHERS, read=0.2), max_retries=0)
    took = await _fails(asked, errors.APITimeoutError, r"no response within 0\.2 s \(timeout\)")
    assert 0.2 <= took < OTHERS


@only_core
async def test_the_first_byte_by_one_number_per_call(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fault("stall")
    asked = way(timeout=OTHERS, max_retries=0)
    took = await _fails(asked, errors.APITimeoutError, r"no response within 0\.2 s", timeout=0.2)
    assert 0.2 <= took < OTHERS


@pytest.mark.parametrize("mode", ["stream"])
async def test_a_pause_between_two_chunks(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fault("stall-body", after=2)
    nvcf_emulator.reply(text=["one ", "two ", "three"])
    asked = way(timeout=30, stream_chunk_timeout=0.2)
    with pytest.raises(errors.StreamInterruptedError, match="stream_chunk_timeout") as caught:
        await asked.ask()
    assert isinstance(caught.value.__cause__, errors.APITimeoutError)
    assert caught.value.partial.text == "one two "
    assert caught.value.request_id


@pytest.mark.parametrize("mode", ["whole"])
async def test_a_pause_in_a_whole_answer(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fault("stall-body")
    with pytest.raises(errors.StreamInterruptedError, match=r"\(timeout\)") as caught:
        await way(timeout=0.2, stream_chunk_timeout=30, max_retries=0).ask()
    assert isinstance(caught.value.__cause__, errors.APITimeoutError)


@only_core
@pytest.mark.parametrize("mode", ["stream"])
async def test_a_stream_may_take_longer_than_any_limit(way: Any, nvcf_emulator: Emulator) -> None:
    """The limits are on pauses: an answer that keeps coming is never cut off."""
    nvcf_emulator.reply(text=["word "] * 20, chunk_delay=0.03)
    begun = time.monotonic()
    assert await way(timeout=0.4, stream_chunk_timeout=0.4).ask() == "word " * 20
    assert time.monotonic() - begun > 0.6


@pytest.mark.parametrize("mode", ["stream"])
async def test_until_the_first_byte_of_the_body_the_read_limit_holds(
    way: Any, nvcf_emulator: Emulator
) -> None:
    """Many a server sends the head at once, and the first chunk when it has read the prompt."""
    nvcf_emulator.reply(text=["slow"], chunk_delay=5)
    asked = way(timeout=0.2, stream_chunk_timeout=30, max_retries=0)
    with pytest.raises(errors.StreamInterruptedError, match=r"nothing arrived.*\(timeout\)"):
        await asked.ask()


async def test_all_polls_together(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.accept(seconds=OTHERS)
    took = await _fails(
        way(poll_timeout=0.2), errors.PollingTimeoutError, r"after 0\.2 s \(poll_timeout\)"
    )
    assert 0.2 <= took < OTHERS


@only_core
async def test_polls_that_come_back_at_once(way: Any, nvcf_emulator: Emulator) -> None:
    """The pauses between them double from a tenth of a second; the third and last is made when the time is over."""
    nvcf_emulator.accept(polls=1000)
    await _fails(way(poll_timeout=0.3), errors.PollingTimeoutError, "poll_timeout")
    polls = [request for request in nvcf_emulator.requests if request.place == "poll"]
    assert 1 <= len(polls) <= 3


@only_core
async def test_polls_that_stall(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.accept()
    nvcf_emulator.fault("stall", on="poll", times=9)
    asked = way(poll_timeout=0.3, timeout=OTHERS)
    took = await _fails(asked, errors.PollingTimeoutError, "poll_timeout")
    assert 0.3 <= took < OTHERS


@pytest.mark.parametrize("value", ["5", (1, 2), -1, float("nan"), True, [3]])
def test_a_timeout_that_is_none_is_refused(core: Any, value: Any) -> None:
    with pytest.raises(errors.InvalidRequestError, match="timeout"):
        core(timeout=value)
    with pytest.raises(errors.InvalidRequestError, match="timeout"):
        core().complete(core().messages("hi", None), timeout=value)


async def _fails(way: Any, kind: type[Exception], says: str, **given: Any) -> float:
    """Seconds that it took to fail."""
    begun = time.monotonic()
    with pytest.raises(kind, match=says) as caught:
        await way.ask(**given)
    took = time.monotonic() - begun
    assert isinstance(caught.value, errors.NVCFError)
    await way.close()
    return took
