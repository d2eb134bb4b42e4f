"""A part of the adversary's variations; `make adversary` tries 3,000."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from .judge import KEY, complaints, holds_key
from .lag import LagWatch
from .variations import variation

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hundred_and_fifty_variations() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.adversary", "--count", "150", "--seed", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=115,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complaints: none" in done.stdout
    for outcome in ("an answer", "InvalidResponseError", "APITimeoutError", "PollingTimeoutError"):
        assert outcome in done.stdout, "the server did too little"


def test_a_number_names_a_variation() -> None:
    one, same, other = variation(7, 1, KEY), variation(7, 1, KEY), variation(8, 1, KEY)
    assert one.names == same.names
    assert list(one.replies["ask"])[:3] == list(same.replies["ask"])[:3]
    assert (one.names, variation(7, 2, KEY).names) != (other.names, other.names)


def test_the_judge_sees_what_is_wrong() -> None:
    drawn = variation(0, 1, KEY)
    said = list(complaints(drawn, ValueError(f"no {KEY}"), 100.0))
    assert [line.split()[0] for line in said] == ["was", "raised", "the", "the"]
    assert list(complaints(drawn, "an answer", -0.1)) == []


def test_the_watch_sees_who_keeps_a_thread_from_running() -> None:
    created = time.monotonic()
    with LagWatch() as watch:
        begun = time.monotonic()
        held = sum(range(20_000_000))  # The interpreter does nothing else meanwhile.
        ended = time.monotonic()
        assert held
        lag = watch.between(begun, ended)
    assert (ended - begun) / 2 < lag <= time.monotonic() - created


@pytest.mark.parametrize(
    "spelling",
    [KEY, "".join(f"\\u{ord(c):04x}" for c in KEY), "".join(f"%25{ord(c):02x}" for c in KEY)],
)
def test_the_judge_sees_the_key(spelling: str) -> None:
    assert holds_key(f"said: {spelling}!")
    assert not holds_key("said: nothing")
