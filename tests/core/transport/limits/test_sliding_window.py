"""The limit as plain values: never more than it in any window, by any clock, whatever was stored between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.transport.limits.sliding_window import SlidingWindow, is_late

STEPS = st.lists(
    st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 6)), min_size=1, max_size=60
)


@given(steps=STEPS, limit=st.integers(1, 10))
def test_never_more_than_the_limit_in_any_window(
    steps: list[tuple[float, int]], limit: int
) -> None:
    now, granted_at = 1_000.0, []
    window = SlidingWindow()
    for passed, wanted in steps:
        now += passed
        window = SlidingWindow.load(window.dump(), 60.0)
        granted, wait = window.grant(now, wanted, limit)
        assert (granted == 0) == (wait > 0)
        assert granted <= wanted
        granted_at += [now] * granted
    for start in granted_at:
        assert sum(start <= at < start + 60 for at in granted_at) <= limit


@given(
    steps=st.lists(
        st.tuples(st.floats(0.01, 30), st.lists(st.floats(0, 55), max_size=6)), max_size=40
    ),
    limit=st.integers(1, 10),
)
def test_requests_that_go_out_long_after_their_permits_keep_the_limit_too(
    steps: list[tuple[float, list[float]]], limit: int
) -> None:
    """Each step lets time pass, and asks for a permit for each of some requests, which go out so many seconds later."""
    now, window = 1_000.0, SlidingWindow()
    under_way: list[tuple[float, float]] = []
    arrived: list[float] = []

    def let_pass(until: float) -> None:
        for sent, permit in sorted(under_way):
            if sent <= until:
                under_way.remove((sent, permit))
                arrived.append(sent)
                if is_late(sent - permit, 60.0):
                    window.count_late(sent)

    for passed, delays in steps:
        now += passed
        let_pass(now)
        for delay in delays:
            if window.grant(now, 1, limit)[0]:
                under_way.append((now + delay, now))
    let_pass(now + 60)
    for start in arrived:
        assert sum(start <= at < start + 60 for at in arrived) <= limit


@given(limit=st.integers(1, 10))
def test_who_waits_as_long_as_told_gets_a_permit(limit: int) -> None:
    window = SlidingWindow()
    assert window.grant(0.0, limit + 3, limit) == (limit, 0.0)
    granted, wait = window.grant(1.0, 1, limit)
    assert granted == 0
    assert 59 < wait < 60.5
    assert window.grant(1.0 + wait, 1, limit)[0] == 1


def test_a_429_halves_the_limit_and_successes_bring_it_back() -> None:
    window = SlidingWindow()
    window.feedback(0.0, 429, None)
    assert window.grant(0.0, 10, 10)[0] == 5
    for _ in range(10):
        window.feedback(1.0, 200, None)
    assert window.share == 1.0
    assert window.grant(1.0, 10, 10)[0] == 5


def test_errors_of_other_kinds_change_nothing() -> None:
    window = SlidingWindow(share=0.5)
    window.feedback(0.0, 500, 30.0)
    window.feedback(0.0, 400, None)
    assert (window.share, window.paused_until) == (0.5, 0.0)


@pytest.mark.parametrize(("asked", "waits"), [(7.0, 7.0), (3_600.0, 60.0)])
def test_retry_after_holds_everybody_up_to_a_minute(asked: float, waits: float) -> None:
    window = SlidingWindow()
    window.feedback(100.0, 429, asked)
    assert window.grant(100.0, 1, 10) == (0, waits)
    assert window.grant(100.0 + waits, 1, 10)[0] == 1


def test_a_clock_that_began_anew_does_not_hold_anybody_up() -> None:
    window = SlidingWindow(used=[(90_000.0, 10)], paused_until=90_010.0)
    assert window.grant(5.0, 1, 10)[0] == 1


def test_what_is_stored_stays_small() -> None:
    window = SlidingWindow()
    for step in range(60_000):
        window.grant(step / 100, 1, 1_000_000)
    assert len(window.used) <= 612
