"""What the finish reason of an answer says."""

from __future__ import annotations

import pytest

from nvcf_core.response.finish_reason import GAVE_UP, cut_reason


@pytest.mark.parametrize("finish_reason", [None, "", "stop", "tool_calls", "function_call", "eos"])
def test_an_answer_is_complete_unless_it_says_otherwise(finish_reason: str | None) -> None:
    assert cut_reason(finish_reason) == ""


@pytest.mark.parametrize(
    ("finish_reason", "said"),
    [
        ("length", "the answer was cut off at max_tokens (finish_reason 'length')"),
        (
            "content_filter",
            "the answer was cut off by the service's content filter (finish_reason 'content_filter')",
        ),
        *(
            (reason, f"the service gave up (finish_reason {reason!r})")
            for reason in sorted(GAVE_UP)
        ),
    ],
)
def test_it_says_why_an_answer_breaks_off(finish_reason: str, said: str) -> None:
    assert cut_reason(finish_reason) == said


def test_reasoning_alone_has_used_up_the_tokens() -> None:
    assert "all of them spent on reasoning" in cut_reason("length", only_reasoning=True)
    assert "reasoning" not in cut_reason("content_filter", only_reasoning=True)
    assert cut_reason("stop", only_reasoning=True) == ""
