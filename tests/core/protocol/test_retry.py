"""Retries: which failures, how often, after how long, and what is logged."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.errors import (
    APIConnectionError,
    APITimeoutError,
    InvalidRequestError,
    NVCFError,
    StreamInterruptedError,
)
from nvcf_core.exchange import Request, Response
from nvcf_core.messages import Chunk
from nvcf_core.protocol.retry import Retries, RetryPolicy, raise_for_status, send_with_retries
from nvcf_core.response.error_body import status_error

ASK = Request("ask", "POST", "https://x.org/v1/chat/completions", body=b"secret question")
GOOD = Response(200, {})


def tries(hand: Any, answers: list[Any], **policy: Any) -> tuple[Any, list[Request]]:
    driven = hand(send_with_retries(ASK, RetryPolicy(**policy)))
    return driven.run(answers), driven.requests


@pytest.mark.parametrize(
    "failure",
    [
        Response(408, {}),
        Response(409, {}),
        Response(429, {}),
        Response(500, {}),
        Response(503, {}),
        Response(504, {}),
        Response(400, {}, b"DEGRADED function cannot be invoked"),
        APIConnectionError("x"),
        APITimeoutError("x"),
    ],
    ids=lambda failure: getattr(failure, "status", type(failure).__name__),
)
def test_what_may_go_away_is_tried_again(failure: Any, hand: Any) -> None:
    failures = [copy.copy(failure) for _ in range(3)]
    reply, asked = tries(hand, [*failures[:2], GOOD])
    assert reply is GOOD
    assert asked[0].delay == 0
    assert all(0.1 <= request.delay <= 8 for request in asked[1:])
    assert asked[0].failure is None
    assert all(isinstance(request.failure, NVCFError) for request in asked[1:])
    assert {request.body for request in asked} == {b"secret question"}
    with pytest.raises(NVCFError) as caught:
        tries(hand, failures)
    assert caught.value.retryable


@pytest.mark.parametrize("status", [300, 304, 400, 401, 402, 403, 404, 410, 413, 422])
def test_what_will_not_change_is_not(status: int, hand: Any) -> None:
    driven = hand(send_with_retries(ASK, RetryPolicy()))
    driven.start()
    with pytest.raises(NVCFError):
        driven.give(Response(status, {}))
    assert len(driven.asked) == 1


def test_what_was_refused_here_is_not(hand: Any) -> None:
    driven = hand(send_with_retries(ASK, RetryPolicy()))
    driven.start()
    with pytest.raises(InvalidRequestError):
        driven.give(InvalidRequestError("no"))
    assert len(driven.asked) == 1


@pytest.mark.parametrize("max_retries", [0, 1, 5])
def test_so_often_and_not_more(max_retries: int, hand: Any) -> None:
    driven = hand(send_with_retries(ASK, RetryPolicy(max_retries=max_retries)))
    with pytest.raises(NVCFError):
        driven.run([Response(500, {})] * (max_retries + 1))
    assert len(driven.asked) == max_retries + 1


def test_the_pauses_grow_and_have_a_jitter() -> None:
    error = status_error(Response(500, {}))
    retry = RetryPolicy(max_retries=2000)
    for retries, longest in ((0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (10, 8.0), (1500, 8.0)):
        delays = {retry.next_delay(retries, error) for _ in range(50)}
        assert all(delay is not None and 0.1 <= delay <= longest for delay in delays)
        assert len(delays) > 30


@pytest.mark.parametrize(("asked", "waits"), [("0", 0.1), ("3", 3.0), ("60", 60.0)])
def test_retry_after_is_obeyed_and_a_little_more(asked: str, waits: float, hand: Any) -> None:
    _, requests = tries(hand, [Response(429, {"retry-after": asked}), GOOD])
    assert waits <= requests[1].delay <= waits * 1.1


def test_those_who_are_told_the_same_time_do_not_come_back_together() -> None:
    error = status_error(Response(429, {"retry-after": "20"}))
    assert len({RetryPolicy().next_delay(0, error) for _ in range(100)}) > 50


@pytest.mark.parametrize("headers", [{}, {"retry-after": "0"}, {"retry-after": "0.01"}])
def test_nor_do_those_who_may_come_back_at_once(headers: dict[str, str]) -> None:
    """The shortest wait has a jitter, too: nobody's is cut off to it."""
    error = status_error(Response(503, headers))
    delays = [RetryPolicy().next_delay(0, error) for _ in range(1000)]
    assert len(set(delays)) > 990


def test_an_answer_that_broke_off_may_be_asked_for_again() -> None:
    broken = StreamInterruptedError("it broke off", partial=Chunk())
    assert RetryPolicy().next_delay(0, broken) is not None
    assert RetryPolicy(max_retries=0).next_delay(0, broken) is None


def test_a_failure_that_is_raised_again_ends_the_tries(hand: Any) -> None:
    driven = hand(send_with_retries(ASK, RetryPolicy(max_retries=9)))
    failure = APIConnectionError("gone")
    driven.start()
    driven.give(failure)
    with pytest.raises(APIConnectionError):
        driven.give(failure)


def test_tries_are_counted_over_all_of_a_call(hand: Any) -> None:
    retries = Retries(RetryPolicy(max_retries=3))
    assert hand(send_with_retries(ASK, retries)).run([Response(500, {}), GOOD]) is GOOD
    assert retries.after(StreamInterruptedError("broken", partial=Chunk()))
    driven = hand(send_with_retries(ASK, retries))
    with pytest.raises(NVCFError):
        driven.run([Response(500, {}), Response(500, {})])
    assert len(driven.asked) == 2


def test_asked_to_wait_too_long_the_error_is_raised_at_once(hand: Any) -> None:
    driven = hand(send_with_retries(ASK, RetryPolicy()))
    driven.start()
    with pytest.raises(NVCFError) as caught:
        driven.give(Response(429, {"retry-after": "61"}))
    assert len(driven.asked) == 1
    assert caught.value.retry_after == 61.0  # type: ignore[attr-defined]


@given(st.integers(0, 3), st.integers(0, 5), st.sampled_from([None, "0", "5", "1000", "x"]))
def test_no_pause_is_longer_than_its_bound(retries: int, most: int, after: str | None) -> None:
    error = status_error(Response(503, {"retry-after": after} if after else {}))
    delay = RetryPolicy(max_retries=most).next_delay(retries, error)
    assert (delay is None) == (retries >= most or after == "1000")
    assert delay is None or 0 <= delay <= 60


@pytest.mark.parametrize(
    ("reply", "good"),
    [
        (Response(200, {}), True),
        (Response(202, {}), True),
        (Response(204, {}), True),
        (Response(302, {"location": "https://x"}), True),
        (Response(302, {}), False),
        (Response(301, {"location": "https://x"}), False),
        (Response(307, {"location": "https://x"}), False),
    ],
    ids=str,
)
def test_good_replies(reply: Response, good: bool) -> None:
    if good:
        assert raise_for_status(reply) is reply
    else:
        with pytest.raises(NVCFError, match=str(reply.status)):
            raise_for_status(reply)


def test_a_request_tells_which_retry_it_is(hand: Any) -> None:
    _, asked = tries(hand, [Response(503, {}), APIConnectionError("gone"), GOOD])
    assert [request.tries for request in asked] == [(0, 0), (1, 2), (2, 2)]
