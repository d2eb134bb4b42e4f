"""The retry budget: what a retry costs, what brings it back, and that it is shared."""

from __future__ import annotations

from nvcf_core.errors import APIConnectionError, APITimeoutError
from nvcf_core.transport.limits.retry_budget import RetryBudget, shared_retry_budget


def taken(budget: RetryBudget, failure: Exception) -> int:
    """How many retries it can afford."""
    count = 0
    while budget.take(failure):
        count += 1
    return count


def test_a_retry_after_a_timeout_costs_twice_as_much() -> None:
    assert taken(RetryBudget(), APIConnectionError("reset")) == 100
    assert taken(RetryBudget(), APITimeoutError("late")) == 50


def test_successes_bring_it_back_one_by_one() -> None:
    budget = RetryBudget()
    taken(budget, APIConnectionError("reset"))
    for _ in range(14):
        budget.refund()
    assert taken(budget, APIConnectionError("reset")) == 2
    for _ in range(2000):
        budget.refund()
    assert taken(budget, APIConnectionError("reset")) == 100, "and no more than it had"


def test_one_for_each_key_and_origin() -> None:
    here = ("https", "a.org", 443)
    assert shared_retry_budget("key", here) is shared_retry_budget("key", here)
    assert shared_retry_budget("key", here) is not shared_retry_budget("other", here)
    assert shared_retry_budget("key", here) is not shared_retry_budget("key", ("https", "b", 443))
    other_port = shared_retry_budget("key", ("https", "a.org", 8443))
    assert shared_retry_budget("key", here) is not other_port
