"""Slots for synchronous requests: as many as there are, waited for, given back anywhere."""

from __future__ import annotations

import threading

import pytest

from nvcf_core.transport.direct.slots import Slots


def test_as_many_as_there_are() -> None:
    slots = Slots(2)
    assert slots.acquire(0)
    assert slots.acquire(None)
    assert not slots.acquire(0)
    assert not slots.acquire(0.01)
    slots.release()
    assert slots.acquire(0)


def test_who_waits_gets_the_next_one() -> None:
    slots, got = Slots(1), []
    slots.acquire(0)
    waiting = threading.Thread(target=lambda: got.append(slots.acquire(30)))
    waiting.start()
    slots.release()
    waiting.join()
    assert got == [True]


@pytest.mark.parametrize("count", [1 << 16, 10**12])
def test_a_number_without_end_costs_nothing(count: int) -> None:
    assert Slots(count).acquire(0)
