"""Retries: which failures, how often, after how long; once, by nobody else, and never of an answer that has begun."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from nvcf_core import errors
from nvcf_emulator import Emulator


async def test_the_constructor_says_how_often(
    way: Any, nvcf_emulator: Emulator, impatient: list[float]
) -> None:
    asked = way(max_retries=3)
    nvcf_emulator.fail(503, times=4)
    with pytest.raises(errors.ServerError) as caught:
        await asked.ask()
    assert len(nvcf_emulator.chats) == 4
    assert caught.value.retryable
    assert impatient == [0.5, 1.0, 2.0]


async def test_a_call_may_say_otherwise(
    way: Any, nvcf_emulator: Emulator, impatient: list[float]
) -> None:
    asked = way(max_retries=5)
    nvcf_emulator.fail(503, times=2)
    with pytest.raises(errors.ServerError):
        await asked.ask(max_retries=0)
    assert len(nvcf_emulator.chats) == 1
    assert await asked.ask(max_retries=1)
    assert len(nvcf_emulator.chats) == 3
    assert impatient == [0.5]


async def test_the_default_is_two(
    way: Any, nvcf_emulator: Emulator, impatient: list[float]
) -> None:
    nvcf_emulator.fail(500, times=9)
    with pytest.raises(errors.ServerError):
        await way().ask()
    assert len(nvcf_emulator.chats) == 3, "a framework that retries, too, would make it nine"


@pytest.mark.usefixtures("impatient")
async def test_langchains_own_retries_start_the_count_anew(
    core: Any, nvcf_emulator: Emulator
) -> None:
    """`with_retry` is the user's own wish: it multiplies, and nothing else does."""
    from langchain_nvcf import ChatNVCF

    settings = core().model
    model = ChatNVCF(
        model=settings.model, base_url=settings.base_url, api_key=settings.api_key, max_retries=1
    )
    nvcf_emulator.fail(500, times=9)
    patient = model.with_retry(
        retry_if_exception_type=(errors.ServerError,),
        stop_after_attempt=2,
        wait_exponential_jitter=False,
    )
    with pytest.raises(errors.ServerError):
        await patient.ainvoke("hi", RunnableConfig())
    assert len(nvcf_emulator.chats) == 4


def test_the_backoff_doubles_up_to_eight_seconds_and_is_jittered(core: Any) -> None:
    policy = (
        core(max_retries=9)
        .model._build_request(core().messages("hi", None), {"max_retries": 9}, stream=False)
        .retry
    )
    failure = errors.APIConnectionError("gone")
    for number, longest in enumerate([0.5, 1, 2, 4, 8, 8, 8]):
        waits = {policy.next_delay(number, failure) for _ in range(50)}
        assert len(waits) > 1
        assert all(0.1 <= wait <= longest for wait in waits)
    assert policy.next_delay(9, failure) is None


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed_in_seconds(
    core: Any, nvcf_emulator: Emulator, colour: str, status: int
) -> None:
    nvcf_emulator.fail(status, retry_after=0.3)
    begun = time.monotonic()
    assert await _ask(core(), colour)
    assert time.monotonic() - begun >= 0.3
    assert len(nvcf_emulator.chats) == 2


async def test_retry_after_is_obeyed_as_a_date(
    core: Any, nvcf_emulator: Emulator, colour: str
) -> None:
    """A date is set against the reply's own `Date`, so that clocks need not agree."""
    sent = datetime(2031, 1, 1, tzinfo=UTC)
    dates = {
        "date": format_datetime(sent, usegmt=True),
        "retry-after": format_datetime(sent + timedelta(seconds=1), usegmt=True),
    }
    nvcf_emulator.fail(429, headers=dates)
    begun = time.monotonic()
    assert await _ask(core(), colour)
    assert time.monotonic() - begun >= 1.0
    assert len(nvcf_emulator.chats) == 2


@pytest.mark.parametrize("asked_for", ["61", "Thu, 01 Jan 2099 00:00:00 GMT"])
async def test_more_than_a_minute_is_the_callers_decision(
    way: Any, nvcf_emulator: Emulator, asked_for: str
) -> None:
    now = {"date": "Wed, 01 Jan 2031 00:00:00 GMT"}
    nvcf_emulator.fail(429, retry_after=asked_for, headers=now)
    with pytest.raises(errors.RateLimitError) as caught:
        await way().ask()
    assert caught.value.retry_after > 60
    assert len(nvcf_emulator.chats) == 1


@pytest.mark.parametrize("nonsense", ["-5", "soon", "1e9", "", "inf", "nan", "9" * 400])
async def test_a_retry_after_that_says_nothing_is_passed_over(
    core: Any, nvcf_emulator: Emulator, impatient: list[float], nonsense: str
) -> None:
    nvcf_emulator.fail(503, retry_after=nonsense)
    assert await _ask(core(), "async")
    assert impatient == [0.5], "the usual backoff"


@pytest.mark.usefixtures("impatient")
async def test_each_retry_is_one_line_of_log(
    way: Any, nvcf_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nvcf")
    nvcf_emulator.fail(503)
    nvcf_emulator.fault("reset")
    secret = "a question that is nobody's business"
    assert await way().ask(secret)
    lines = [record for record in caplog.records if record.name == "nvcf"]
    assert [record.levelno for record in lines] == [logging.INFO, logging.INFO]
    said = [record.getMessage() for record in lines]
    assert said[0].startswith("ask failed: ")
    assert "ServerError (503); retry 1 of 2 in 0.01 s" in said[0]
    assert "APIConnectionError (no response); retry 2 of 2 in 0.01 s" in said[1]
    for line in said:
        assert secret not in line
        assert nvcf_emulator.api_key not in line
        assert nvcf_emulator.root not in line


async def test_what_goes_well_logs_nothing(
    way: Any, nvcf_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nvcf")
    assert await way().ask()
    assert not [record for record in caplog.records if record.name == "nvcf"]


@pytest.mark.usefixtures("impatient")
async def test_the_same_bytes_are_sent_again(way: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fault("reset")
    nvcf_emulator.fail(503)
    assert await way().ask("the same")
    first, *others = [request.raw for request in nvcf_emulator.chats]
    assert others == [first, first]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("face", ["core"], indirect=True)
async def test_a_budget_of_retries_is_shared_by_all_calls_of_a_key(
    way: Any, nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.fail(503, times=1000)
    for asked in (way(max_retries=60), way(max_retries=60), way(max_retries=60)):
        with pytest.raises(errors.ServerError):
            await asked.ask()
    assert len(nvcf_emulator.chats) == 3 + 100


async def _ask(face: Any, colour: str) -> str:
    messages = face.messages("hi", None)
    return face.complete(messages) if colour == "sync" else await face.acomplete(messages)
