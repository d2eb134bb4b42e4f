"""The limit of requests per minute, with a clock of our own: never more in any minute, first come first served."""

from __future__ import annotations

import heapq
import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.transport.limits.rate_limiter import WINDOW, RateLimiter, shared_rate_limiter

MINUTE = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """Someone who waits for a place, and may oversleep."""

    def __init__(self, pace: RateLimiter, clock: Clock, per_minute: int) -> None:
        self.pace, self.clock = pace, clock
        self.ticket = pace.reserve(per_minute)
        self.wakes_at = clock.now
        self.used_at: float | None = None

    def wake(self, oversleeps: float = 0.0) -> None:
        wait = self.pace.wait(self.ticket)
        if wait <= 0:
            self.pace.sent(self.ticket)
            self.used_at = self.clock.now
        else:
            self.wakes_at = self.clock.now + wait + oversleeps


def run_all(callers: list[Caller], clock: Clock, oversleeps: Any = lambda: 0.0) -> list[float]:
    """Let everyone wait until all have had their turn; when that was, in the order in which they came."""
    for _ in range(100_000):
        waiting = [caller for caller in callers if caller.used_at is None]
        if not waiting:
            return [caller.used_at for caller in callers if caller.used_at is not None]
        caller = min(waiting, key=lambda one: one.wakes_at)
        clock.now = max(clock.now, caller.wakes_at)
        caller.wake(oversleeps())
    raise AssertionError("someone waits for ever")


def most_in_a_minute(times: list[float]) -> int:
    return max(sum(start <= time < start + MINUTE for time in times) for start in times)


@pytest.mark.parametrize("per_minute", [1, 2, 5, 40])
def test_never_more_than_the_limit_and_no_slower_than_needed(per_minute: int) -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    times = run_all([Caller(pace, clock, per_minute) for _ in range(4 * per_minute)], clock)
    assert most_in_a_minute(times) <= per_minute
    assert times == sorted(times)
    assert times[per_minute - 1] == times[0]
    assert times[-1] - times[0] < 3 * 61


def test_the_limit_is_of_any_sixty_seconds() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    callers = []
    for _ in range(30):
        callers.append(Caller(pace, clock, 10))
        clock.now += 7
    times = run_all(callers, clock)
    assert most_in_a_minute(times) <= 10


@given(st.integers(1, 6), st.data())
def test_never_more_even_when_callers_come_late(per_minute: int, data: st.DataObject) -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    callers: list[Caller] = []
    for _ in range(data.draw(st.integers(1, 5))):
        for _ in range(data.draw(st.integers(1, 6))):
            callers.append(Caller(pace, clock, per_minute))
        clock.now += data.draw(st.sampled_from([0.0, 0.5, 20.0, 59.9, 130.0]))
    oversleeps = lambda: data.draw(st.sampled_from([0.0, 0.0, 0.2, 5.0, 45.0, 100.0]))  # noqa: E731
    times = run_all(callers, clock, oversleeps)
    assert most_in_a_minute(times) <= per_minute


@given(st.integers(1, 5), st.lists(st.floats(0, 100), min_size=1, max_size=25))
def test_first_come_first_served(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    callers = []
    for pause in pauses:
        callers.append(Caller(pace, clock, per_minute))
        clock.now += pause
        for caller in callers:
            if caller.used_at is None and caller.wakes_at <= clock.now:
                caller.wake()
    times = run_all(callers, clock)
    assert times == sorted(times)
    assert most_in_a_minute(times) <= per_minute


def test_who_leaves_the_queue_holds_up_nobody() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    first, second, third = (Caller(pace, clock, 1) for _ in range(3))
    first.wake()
    second.wake()
    third.wake()
    assert third.wakes_at - clock.now == pytest.approx(2 * 60.05)
    pace.cancel(second.ticket)
    third.wake()
    assert third.wakes_at - clock.now == pytest.approx(60.05)


def test_a_request_that_never_went_out_gives_its_place_back() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    place = pace.reserve(1)
    assert pace.wait(place) == 0
    pace.cancel(place)
    assert pace.wait(pace.reserve(1)) == 0


def test_one_that_went_out_does_not() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    place = pace.reserve(1)
    assert pace.wait(place) == 0
    pace.sent(place)
    pace.cancel(place)
    assert pace.wait(pace.reserve(1)) > 60


def test_a_place_counts_from_when_its_request_goes_out() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    place, following = pace.reserve(1), pace.reserve(1)
    assert pace.wait(place) == 0
    clock.now += 70  # So long it took to connect.
    assert pace.wait(following) > 0
    pace.sent(place)
    assert pace.wait(following) == pytest.approx(60.05)


@pytest.mark.slow
def test_a_herd_that_leaves_at_random() -> None:
    """Never more than the limit in a minute, and no minute is idle while somebody waits."""
    count, limit = 100_000, 5_000
    rng, clock = random.Random(1), Clock()
    pace = RateLimiter(clock)
    waiting = [(clock.now, number, pace.reserve(limit)) for number in range(count)]
    leaving = set(rng.sample(range(count), count // 2))
    times: list[float] = []
    while waiting:
        at, number, place = heapq.heappop(waiting)
        clock.now = max(clock.now, at)
        if number in leaving and rng.random() < 0.5:
            pace.cancel(place)
            continue
        wait = pace.wait(place)
        if wait > 0:
            later = clock.now + min(wait, max(1.0, wait / 10))
            heapq.heappush(waiting, (later, number, place))
        else:
            pace.sent(place)
            times.append(clock.now)
    assert pace.waiting == 0
    assert len(times) >= count // 2
    assert times == sorted(times)
    for first, past in zip(times, times[limit:], strict=False):
        assert past - first >= MINUTE
        # All wait from the beginning: a place that is free again is taken at the next look, a second later.
        assert past - first <= WINDOW + 1.1


def test_after_a_429_it_is_slower_and_recovers() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    pace.on_rate_limited()
    times = run_all([Caller(pace, clock, 40) for _ in range(60)], clock)
    assert most_in_a_minute(times) == 20
    clock.now += 1000
    for _ in range(10):
        pace.on_rate_limited()
    times = run_all([Caller(pace, clock, 40) for _ in range(4)], clock)
    assert most_in_a_minute(times) == 2
    clock.now += 1000
    for _ in range(20):
        pace.on_success()
    times = run_all([Caller(pace, clock, 40) for _ in range(80)], clock)
    assert most_in_a_minute(times) == 40


def test_it_never_stops_altogether() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    for _ in range(50):
        pace.on_rate_limited()
    times = run_all([Caller(pace, clock, 1) for _ in range(2)], clock)
    assert 60 <= times[1] - times[0] <= 61


def test_recovering_at_full_speed_changes_nothing() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    pace.on_success()
    assert most_in_a_minute(run_all([Caller(pace, clock, 3) for _ in range(9)], clock)) == 3


def test_old_tickets_are_forgotten() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    for _ in range(1000):
        Caller(pace, clock, 100).wake()
        clock.now += 10
    assert len(pace._sent) <= 100
    assert pace._gone == []


def test_the_window_may_be_another() -> None:
    clock = Clock()
    limiter = RateLimiter(clock, window=0.5)
    first = limiter.reserve(1)
    assert limiter.wait(first) == 0
    limiter.sent(first)
    second = limiter.reserve(1)
    assert limiter.wait(second) == 0.5
    clock.now += 0.5
    assert limiter.wait(second) == 0


def test_one_pace_for_a_key_at_a_host() -> None:
    assert shared_rate_limiter("k", "a.org") is shared_rate_limiter("k", "a.org")
    assert shared_rate_limiter("k", "a.org") is not shared_rate_limiter("k", "b.org")
    assert shared_rate_limiter("k", "a.org") is not shared_rate_limiter("l", "a.org")


def test_threads_share_the_limit() -> None:
    clock = Clock()
    pace = RateLimiter(clock)
    free: list[float] = []

    def ask() -> None:
        free.append(pace.wait(pace.reserve(8)))

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0 for wait in free) == 8


def test_a_place_that_is_given_back_is_free_for_the_next() -> None:
    now = 0.0
    pace = RateLimiter(clock=lambda: now)
    first = pace.reserve(1)
    assert pace.wait(first) == 0
    left = pace.reserve(1)
    assert pace.wait(left) > 0
    pace.cancel(left)
    pace.cancel(left)
    assert pace.wait(pace.reserve(1)) == pytest.approx(60.05)


@pytest.mark.parametrize(
    ("status", "faster"), [(200, True), (302, True), (399, True), (400, False), (503, False)]
)
def test_which_answers_make_it_faster_again(status: int, faster: bool) -> None:
    limiter = RateLimiter(clock=lambda: 0.0)
    limiter.on_response(429)
    for _ in range(10):
        limiter.on_response(status)
    granted = sum(limiter.wait(limiter.reserve(20)) == 0 for _ in range(20))
    assert granted == (20 if faster else 10)
