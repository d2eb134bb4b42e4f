"""A bounded run of every fuzz target, its whole corpus, and time that grows no faster than the input."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .targets import TARGETS, Target

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name: str) -> None:
    corpus = TARGETS[name].corpus()
    assert len(corpus) >= 3
    for data in corpus:
        TARGETS[name].check(data, [])
        TARGETS[name].check(data, [1, len(data) // 2, len(data) - 1])


CASES = st.sampled_from(list(TARGETS.values())).flatmap(lambda t: st.tuples(st.just(t), t.inputs()))


@settings(suppress_health_check=list(HealthCheck))
@given(CASES, st.lists(st.integers(0, 400), max_size=5))
def test_input_at_random(case: tuple[Target, bytes], cuts: list[int]) -> None:
    target, data = case
    target.check(data, cuts)


CALL = b'data: {"id":"c","choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":%s}}]}}]}\n\n'
TOKEN = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}\n\n'
GROWING = [
    ("sse", b"", b"data: x\n"),
    ("sse", b"", b"\r"),
    ("sse", b"", b"data\n"),
    ("sse", b"data: ", b"x"),
    ("answer", b"", b'data: {"choices":[{"index":0,"delta":{"content":"<think>"}}]}\n\n'),
    ("answer", b"", CALL % b'"{}"'),
    ("answer", b"", CALL % b'"[1,"'),
    ("answer", b"", TOKEN),
    ("answer", b"", b"["),
    ("error", b"", b'{"detail":'),
    ("error", b"", b" "),
    ("tags", b"", b"<"),
    ("tags", b"", b"<img "),
    ("tags", b"", b'<img src="'),
    ("tags", b"", b'<img src="https://x.org" />'),
    ("tags", b"<", b" "),
    ("tags", b"</", b" "),
    ("tags", b"<img", b" "),
    ("tags", b"<img src=", b" "),
    ("tags", b'<img src="', b"x"),
    ("encoding", b"", b"\x00"),
    ("encoding", zlib.compress(b"x"), b"x"),
    ("zip", b"", b"PK\1\2"),
    ("zip", b"", b"PK\5\6"),
]


def seconds(target: Target, data: bytes) -> float:
    gc.collect()
    gc.disable()  # It looks at all that is alive, which has nothing to do with the input.
    start = time.process_time()
    try:
        target.check(data, [])
    finally:
        gc.enable()
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start", "piece"), GROWING, ids=lambda value: str(value)[-60:])
def test_time_grows_no_faster_than_the_input(name: str, start: bytes, piece: bytes) -> None:
    target, size = TARGETS[name], 40_000 // len(piece)
    # Doubled until it can be measured.
    while seconds(target, start + piece * size) < 0.02 and size < 4_000_000 // len(piece):
        size *= 2
    # Four times the input: some four times as long, and sixteen where time is quadratic.
    for _ in range(5):
        small = max(seconds(target, start + piece * size), 0.001)
        if seconds(target, start + piece * size * 4) < 10 * small:
            return
    pytest.fail("four times the input takes more than ten times as long, five times in a row")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_the_command_line() -> None:
    assert "--seconds" in run("--help").stdout
    done = run("--seconds", "0.5", "--seed", "1")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("all well") == len(TARGETS)
    sample = str(ROOT / "tests/fuzz/corpus/tags/asset.txt")
    assert run("--target", "tags", "--input", sample, "--cuts", "1", "9").returncode == 0
    assert "--input needs --target" in run("--input", sample).stderr
