"""Ten thousand simulated conversations; and proof that the simulation would notice what must not happen."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nvcf_core.exchange import Request
from nvcf_core.protocol import assets, chat, polling, retry
from nvcf_core.protocol.upload_cache import UploadCache

from .world import Violation, simulate, small_media

ROOT = Path(__file__).parents[2]
COUNT = 10_000


@pytest.fixture(autouse=True)
def _small_media() -> Iterator[None]:
    with small_media():
        yield


@pytest.mark.slow
def test_everything_holds_in_ten_thousand_conversations() -> None:
    ends = Counter[str]()
    for seed in range(COUNT):
        try:
            talks = simulate(seed)
        except Exception as error:
            error.add_note(f"To see it: python -m tests.simulation --seed {seed}")
            raise
        ends.update("left" if t.left else type(t.error or t.result).__name__ for t in talks)
    # All that may happen did happen.
    for name in (
        "Chunk",
        "left",
        "AssetUploadError",
        "PollingTimeoutError",
        "InvalidResponseError",
        "ServerError",
    ):
        assert ends[name] > 50
    assert {"StreamInterruptedError", "RateLimitError", "APITimeoutError", "NotFoundError"} <= set(
        ends
    )


def first_violation(count: int = 1_500) -> str:
    for seed in range(count):
        try:
            simulate(seed)
        except Violation as violation:
            return str(violation)
    return "none"


def test_the_same_seed_is_the_same_conversation() -> None:
    told: list[list[str]] = [[], []]
    for lines in told:
        simulate(41, lines.append)
    assert told[0] == told[1]
    assert len(told[0]) > 5


def test_it_notices_assets_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UploadCache, "record", lambda *_: None)
    assert "assets stay behind" in first_violation()


def test_it_notices_a_failed_upload_that_is_not_cleared_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave(api: Any, asset: Any) -> Any:
        api._cache.remove(asset.id)
        yield from ()

    monkeypatch.setattr(assets.AssetApi, "delete", leave)
    assert "assets stay behind" in first_violation()


def test_it_notices_a_key_that_goes_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    real = retry.send_with_retries

    def with_the_key(request: Any, policy: Any) -> Any:
        return (yield from real(replace(request, authorized=True), policy))

    monkeypatch.setattr(assets, "send_with_retries", with_the_key)
    assert "the key would go along with a put" in first_violation()


def test_it_notices_a_question_asked_again_after_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = retry.send_with_retries

    def twice(request: Any, policy: Any) -> Any:
        reply = yield from real(request, policy)
        return (yield from real(request, policy)) if reply.status == 200 else reply

    monkeypatch.setattr(chat, "send_with_retries", twice)
    assert "after the first byte" in first_violation()


def test_it_notices_retries_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry.RetryPolicy, "next_delay", lambda *_: 1.0)
    assert "asks" in first_violation() or "for ever" in first_violation()


def test_it_notices_pauses_that_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    real = retry.RetryPolicy.next_delay
    monkeypatch.setattr(
        retry.RetryPolicy, "next_delay", lambda *given: (real(*given) or 0) * 1000 or None
    )
    assert "a pause of" in first_violation()


def test_it_notices_polls_past_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def patient(*given: Any, **named: Any) -> Request:
        return replace(Request(*given, **named), read_timeout=1e6)

    monkeypatch.setattr(polling, "Request", patient)
    assert "a poll may outlast its time" in first_violation()


def test_it_notices_who_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UploadCache, "finish", lambda *_: None)
    assert "someone waits for ever" in first_violation()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_the_command_line() -> None:
    assert "--seed" in run("--help").stdout
    many = run("--count", "20", "--start", "7")
    assert many.returncode == 0
    assert many.stdout.startswith("20 conversations in ")
    one = run("--seed", "5")
    assert one.returncode == 0
    assert "call 0 begins" in one.stdout
    assert one.stdout.endswith("seed 5: everything holds\n")
