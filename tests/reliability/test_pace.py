"""`requests_per_minute`: never more in any 60 seconds, over all objects of one key, in turn, by any clock."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nvcf_core.transport import backends, driver
from nvcf_core.transport.limits import rate_limiter
from nvcf_emulator import Emulator


class Clock:
    """Time that passes when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """A clock of our own for every pace that is made from now on, and for those who wait for it."""
    clock = Clock()
    paces: dict[Any, rate_limiter.RateLimiter] = {}
    monkeypatch.setattr(
        driver,
        "shared_rate_limiter",
        lambda *key: paces.setdefault(key, rate_limiter.RateLimiter(clock=clock.monotonic)),
    )

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        await asyncio.sleep(0)

    class Loop:
        """asyncio, but for its sleep."""

        def __getattr__(self, name: str) -> Any:
            return sleep if name == "sleep" else getattr(asyncio, name)

    monkeypatch.setattr(backends, "time", clock)
    monkeypatch.setattr(backends, "asyncio", Loop())
    return clock


@pytest.fixture
def times(nvcf_emulator: Emulator, clock: Clock) -> list[float]:
    """When each request for an answer arrived, by that clock."""
    seen: list[float] = []

    def noted(request: Any) -> None:
        if request.place == "ask":
            seen.append(clock.now)

    nvcf_emulator.on_request = noted
    return seen


def most_in_a_minute(times: list[float]) -> int:
    return max(sum(start <= later < start + 60 for later in times) for start in times)


@pytest.mark.parametrize("mode", ["whole"])
async def test_never_more_in_any_60_seconds(way: Any, times: list[float]) -> None:
    asked = way(requests_per_minute=3)
    for _ in range(10):
        await asked.ask()
    assert len(times) == 10
    assert most_in_a_minute(times) == 3
    assert times[-1] - times[0] < 3 * 61, "and no fewer than that"
    await asked.close()


async def test_shared_by_every_object_of_the_key(
    settings: dict[str, Any], core: Any, clock: Clock, times: list[float]
) -> None:
    from langchain_nvcf import ChatNVCF
    from llamaindex_nvcf import NVCF

    limited = {**settings, "requests_per_minute": 4}
    one, two, three = core(requests_per_minute=4), ChatNVCF(**limited), NVCF(**limited)
    for _ in range(3):
        one.complete(one.messages("hi", None))
        await two.ainvoke("hi")
        three.complete("hi")
        await one.acomplete(one.messages("hi", None))
    assert len(times) == 12
    assert most_in_a_minute(times) == 4
    assert clock.now - 1_000 < 3 * 61


@pytest.mark.parametrize("mode", ["whole"])
async def test_another_key_has_a_pace_of_its_own(
    way: Any, nvcf_emulator: Emulator, clock: Clock
) -> None:
    nvcf_emulator.add_key("nvapi-another")
    await way(requests_per_minute=1).ask()
    await way(requests_per_minute=1, api_key="nvapi-another").ask()
    assert clock.now == 1_000
    await way(requests_per_minute=1).ask()
    assert clock.now >= 1_060


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["whole"])
async def test_retries_count_and_polls_do_not(
    way: Any, nvcf_emulator: Emulator, times: list[float], clock: Clock
) -> None:
    nvcf_emulator.fail(500)
    nvcf_emulator.accept(polls=2)
    await way(requests_per_minute=2).ask()
    assert len(times) == 2
    assert clock.now < 1_010
    await way(requests_per_minute=2).ask()
    assert clock.now >= 1_060


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["whole"])
async def test_a_429_slows_down_and_answers_speed_up_again(
    way: Any, nvcf_emulator: Emulator, times: list[float]
) -> None:
    asked = way(requests_per_minute=8, max_retries=1)
    nvcf_emulator.fail(429)
    for _ in range(40):
        await asked.ask()
    first = sum(moment < times[0] + 60 for moment in times)
    assert first <= 5, "half of eight, and what had grown back"
    assert most_in_a_minute(times[-12:]) == 8


def test_places_are_given_in_the_order_they_are_asked_for() -> None:
    clock = Clock()
    steady = rate_limiter.RateLimiter(clock=clock.monotonic)
    tickets = [steady.reserve(2) for _ in range(7)]
    waits = [steady.wait(ticket) for ticket in tickets]
    assert waits == sorted(waits)
    assert waits[:2] == [0, 0]
    assert all(60 <= wait < 61 for wait in waits[2:4])
    assert all(120 <= wait < 122 for wait in waits[4:6])


def test_who_comes_late_makes_the_others_wait() -> None:
    """A ticket counts from when it is used: one that was used late still has its minute."""
    clock = Clock()
    steady = rate_limiter.RateLimiter(clock=clock.monotonic)
    first, second = steady.reserve(1), steady.reserve(1)
    clock.sleep(30)
    assert steady.wait(first) == 0
    steady.sent(first)
    clock.sleep(40)
    assert 20 <= steady.wait(second) <= 21


async def test_nothing_waits_without_a_limit(way: Any, clock: Clock, times: list[float]) -> None:
    asked = way()
    for _ in range(5):
        await asked.ask()
    assert clock.now == 1_000
    assert len(times) == 5


def test_the_frameworks_own_limiters_work(
    settings: dict[str, Any], nvcf_emulator: Emulator
) -> None:
    from langchain_core.rate_limiters import BaseRateLimiter
    from llama_index.core.rate_limiter import BaseRateLimiter as LlamaLimiter

    from langchain_nvcf import ChatNVCF
    from llamaindex_nvcf import NVCF

    asked: list[str] = []

    class Limiter(BaseRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            asked.append("langchain")
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            return self.acquire()

    class Llama(LlamaLimiter):
        def acquire(self, num_tokens: int = 0) -> None:
            asked.append("llamaindex")

        async def async_acquire(self, num_tokens: int = 0) -> None:
            self.acquire()

    ChatNVCF(**settings, rate_limiter=Limiter()).invoke("hi")
    NVCF(**settings, rate_limiter=Llama()).complete("hi")
    assert asked == ["langchain", "llamaindex"]
    assert len(nvcf_emulator.chats) == 2


class Counting:
    """A limiter of the user's own."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def acquire(self) -> None:
        self.calls.append("sync")

    async def acquire_async(self) -> None:
        await asyncio.sleep(0)
        self.calls.append("async")

    def feedback(self, status: int, retry_after: float | None) -> None:
        self.calls.append((status, retry_after))


@pytest.mark.usefixtures("impatient")
async def test_a_limiter_of_the_users_own_is_asked_before_each_request_to_the_model(
    way: Any, nvcf_emulator: Emulator
) -> None:
    limiter = Counting()
    nvcf_emulator.fail(429, retry_after=0)
    nvcf_emulator.accept(polls=1)
    await way(request_limiter=limiter).ask()
    colour = limiter.calls[0]
    assert colour in ("sync", "async")
    assert limiter.calls == [colour, (429, 0.0), colour, (202, None)]
