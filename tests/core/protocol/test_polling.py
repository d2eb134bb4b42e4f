"""Answers that were accepted first and asked for later."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core import BaseNVCF
from nvcf_core.errors import (
    APIConnectionError,
    APITimeoutError,
    NVCFError,
    PollingTimeoutError,
)
from nvcf_core.exchange import Response
from nvcf_core.protocol.polling import poll_until_done

KIMI = "moonshotai/kimi-k2.6"


async def test_polls(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    told: list[float] = []
    server.accept(polls=2, percent=(25, 75))
    server.reply(text="late")
    assert (await ask(adapter(on_progress=told.append), [say("hi")])).text == "late"
    assert told == [25, 75]


@pytest.mark.parametrize(
    ("held", "poll_timeout", "pauses"),
    [
        (0.0, 1.0, [0.0, 0.1, 0.2, 0.4, 0.3]),
        (0.0, 30.0, [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0, 3.7]),
        (0.5, 3.0, [0.0, 0.1, 0.2, 0.4, 0.3]),
        (1.0, 3.5, [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_a_service_that_does_not_hold_is_not_pressed(
    hand: Any, say: Any, held: float, poll_timeout: float, pauses: list[float]
) -> None:
    """A poll that comes back within a second is followed by a pause; the pauses double up to five seconds.

    The last poll is made when the time is over.
    """
    model = BaseNVCF(model=KIMI, poll_timeout=poll_timeout)
    call = model._build_request([say("hi")], {}, stream=False)
    at = 100.0
    driven = hand(poll_until_done(call, Response(202, {"nvcf-reqid": "req-1"}, received_at=at)))
    poll = driven.start()
    for _ in pauses[1:]:
        at += poll.delay + held
        poll = driven.give(Response(202, {}, received_at=at))
    at += poll.delay + held
    with pytest.raises(PollingTimeoutError, match="poll_timeout"):
        driven.give(Response(202, {}, received_at=at))
    assert [asked.delay for asked in driven.requests] == pytest.approx(pauses)


def test_a_poll_after_a_failed_one_takes_from_the_retry_budget(hand: Any, say: Any) -> None:
    call = BaseNVCF(model=KIMI)._build_request([say("hi")], {}, stream=False)
    driven = hand(poll_until_done(call, Response(202, {"nvcf-reqid": "req-1"}, received_at=1.0)))
    first = driven.start()
    assert (first.failure, first.tries, first.stream) == (None, (0, 0), True)
    lost = APIConnectionError("reset")
    again = driven.give(lost)
    assert again.failure is lost
    assert again.tries == (1, 2)
    assert driven.give(Response(202, {}, received_at=2.0)).failure is None
    assert driven.give(lost).failure is lost
    with pytest.raises(APIConnectionError) as caught:
        driven.give(lost)  # As the driver does, where the process can afford no retry.
    assert caught.value is lost


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (APITimeoutError("no response", failed_at=101.0), PollingTimeoutError),
        (APITimeoutError("no response", failed_at=100.9), APITimeoutError),
        (APIConnectionError("reset", failed_at=101.0), APIConnectionError),
    ],
    ids=["late", "early", "lost"],
)
def test_a_last_poll_that_nobody_answers_is_told_from_one_that_fails(
    hand: Any, say: Any, failure: Any, raised: type[Exception]
) -> None:
    model = BaseNVCF(model=KIMI, poll_timeout=1.0, max_retries=0)
    call = model._build_request([say("hi")], {}, stream=False)
    driven = hand(poll_until_done(call, Response(202, {"nvcf-reqid": "r"}, received_at=100.0)))
    driven.start()
    with pytest.raises(NVCFError) as caught:
        driven.give(failure)
    assert type(caught.value) is raised
