"""All of an answer that has arrived so far."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import Chunk, ToolCall
from nvcf_core.response.accumulator import Accumulator


def accumulated(*chunks: Chunk) -> Accumulator:
    answer = Accumulator()
    for chunk in chunks:
        answer.add(chunk)
    return answer


def test_nothing_has_arrived() -> None:
    answer = Accumulator()
    assert (answer.text, answer.reasoning, answer.refusal) == ("", "", "")
    assert (answer.tool_calls, answer.logprobs) == ((), None)
    assert answer.snapshot() == Chunk()
    with pytest.raises(KeyError):
        answer.tool_call(0)


FRAGMENT = st.builds(
    ToolCall,
    st.integers(0, 2),
    st.sampled_from(("", "a")),
    st.text(max_size=2),
    st.text(max_size=3),
)
PIECE = st.builds(
    Chunk,
    st.text(max_size=3),
    st.text(max_size=3),
    st.lists(FRAGMENT, max_size=3, unique_by=lambda call: call.index).map(tuple),
    st.text(max_size=3),
    st.none() | st.builds(lambda token: {"content": [token], "refusal": None}, st.integers()),
)


@given(st.lists(st.tuples(PIECE, st.booleans()), max_size=10))
def test_it_holds_the_sum_of_the_chunks_whenever_it_is_read(
    pieces: list[tuple[Chunk, bool]],
) -> None:
    answer, total = Accumulator(), Chunk()
    for piece, read in pieces:
        answer.add(piece)
        total = total + piece
        if read:
            assert answer.snapshot() == total
            assert [answer.tool_call(call.index) for call in total.tool_calls] == list(
                answer.tool_calls
            )
    assert answer.snapshot() == total


def test_the_chunks_and_what_was_read_stay_as_they_were() -> None:
    first = Chunk(tool_calls=(ToolCall(0, "a", "f", "{"),), logprobs={"content": [1]})
    answer = accumulated(first)
    read, logprobs = answer.tool_calls, answer.logprobs
    answer.add(Chunk(tool_calls=(ToolCall(0, arguments="}"),), logprobs={"content": [2]}))
    assert read == first.tool_calls == (ToolCall(0, "a", "f", "{"),)
    assert first.logprobs == logprobs == {"content": [1]}
    assert answer.tool_call(0).arguments == "{}"
    assert answer.logprobs == {"content": [1, 2]}


@pytest.mark.parametrize(
    ("pieces", "total"),
    [
        ([{}], {}),
        ([{"content": None}, {"content": [1]}], {"content": [1]}),
        ([{"content": [1]}, {"content": None}], {"content": [1]}),
        (
            [{"content": [1], "refusal": None}, {"content": [2]}],
            {"content": [1, 2], "refusal": None},
        ),
    ],
)
def test_logprobs_of_every_form_add_up(pieces: list[dict[str, Any]], total: dict[str, Any]) -> None:
    assert accumulated(*(Chunk(logprobs=piece) for piece in pieces)).logprobs == total


@pytest.mark.parametrize(
    "piece",
    [
        Chunk(text="a"),
        Chunk(reasoning="a"),
        Chunk(refusal="a"),
        Chunk(tool_calls=(ToolCall(0),)),
        Chunk(logprobs={"content": [1]}),
    ],
    ids=["text", "reasoning", "refusal", "a call", "log probabilities"],
)
def test_anything_that_was_said_has_arrived(piece: Chunk) -> None:
    assert accumulated(Chunk(finish_reason="stop", usage=None)).empty
    assert not accumulated(piece).empty
