"""The short paths for what nearly every read and every event of a stream is: the same results as by the long ones."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.errors import NVCFError
from nvcf_core.exchange import Response
from nvcf_core.messages import Chunk
from nvcf_core.response.choice import ChoiceAccumulator
from nvcf_core.response.event_stream import EventStreamDecoder
from nvcf_core.response.options import DecodeOptions
from nvcf_core.response.sse import EventTooLong, SSEDecoder

SAID = st.sampled_from(
    [
        "one ",
        "two ",
        "",
        None,
        3,
        ["three"],
        [{"type": "text", "text": "four "}],
        "<",
        "<think>",
        "</think>",
        "EN",
        "D",
        "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}",
        "<|tool_call_end|>",
        '<TOOLCALL>[{"name": "f", "arguments": {}}]</TOOLCALL>',
    ]
)
CALLS = st.sampled_from(
    [
        None,
        [],
        "no list",
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"city": "'}}],
        [{"index": 0, "function": {"arguments": "Par"}}],
        [{"index": 0, "function": {"arguments": 'is"}'}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 1, "function": {"arguments": None}}],
    ]
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": SAID,
        "reasoning_content": SAID,
        "reasoning": SAID,
        "tool_calls": CALLS,
        "refusal": st.sampled_from([None, "", "no"]),
    },
)
CHOICE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([None, 0, 0, 1]),
        "delta": st.one_of(DELTA, DELTA, st.sampled_from([None, "text", []])),
        "message": DELTA,
        "logprobs": st.sampled_from([None, {}, {"content": [{"token": "one", "logprob": -1.0}]}]),
        "finish_reason": st.sampled_from([None, None, None, "", "stop", "length"]),
    },
)
EVENT = st.fixed_dictionaries(
    {"choices": st.one_of(st.lists(CHOICE, min_size=1, max_size=1), st.lists(CHOICE, max_size=2))},
    optional={
        "id": st.sampled_from(["c1", "c1", "c2", "", None]),
        "model": st.sampled_from(["m", "m", "n", None]),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 1, "completion_tokens": 2}, "few"]),
        "error": st.sampled_from([None, {"message": "it broke"}]),
    },
)
USUAL_EVENT = st.builds(
    lambda delta: {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]}, DELTA
)
NAMED_EVENTS = st.lists(
    st.tuples(st.sampled_from(["", "", "", "message"]), st.one_of(USUAL_EVENT, USUAL_EVENT, EVENT)),
    max_size=8,
)
OPTIONS = st.builds(
    DecodeOptions,
    model=st.just("m"),
    stops=st.sampled_from([(), (), ("END",)]),
    single_call=st.booleans(),
    no_calls=st.booleans(),
    text_tool_calls=st.sampled_from([None, "kimi", "nemotron"]),
)


class LongPathOnly(ChoiceAccumulator):
    """Takes every event by the long path."""

    __slots__ = ()

    def feed_usual(self, event: dict[str, Any], chunks: list[Chunk]) -> bool:
        return False


def outcome(options: DecodeOptions, choice: type[ChoiceAccumulator], reads: list[bytes]) -> Any:
    """All that comes of a stream: chunks with their events, the whole answer, and the error that ended it."""
    with (
        patch("nvcf_core.response.event_stream.ChoiceAccumulator", choice),
        patch("nvcf_core.response.tool_calls.uuid.uuid4", return_value=UUID(int=0)),
    ):
        decoder = EventStreamDecoder(Response(200, {}, b""), options)
        chunks: list[Chunk] = []
        error = None
        try:
            for read in reads:
                chunks += decoder.feed(read)
            chunks += decoder.flush()
        except NVCFError as failure:
            error = (type(failure), str(failure), failure.retryable)
        return [(chunk, chunk.raw) for chunk in chunks], decoder.snapshot(), error


def encoded(name: str, event: dict[str, Any]) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(event)}\n\n".encode()


def usual_event(**changes: dict[str, Any]) -> dict[str, Any]:
    """An event of one more piece of text, with fields of the event, of its choice or of its delta changed."""
    delta: dict[str, Any] = {"content": "one "}
    choice: dict[str, Any] = {"index": 0, "delta": delta}
    event = {"id": "c1", "model": "m", "choices": [choice]}
    delta |= changes.get("delta", {})
    choice |= changes.get("choice", {})
    return event | changes.get("event", {})


UNUSUAL = {
    "an error": {"event": {"error": {"message": "it broke"}}},
    "an error that says nothing": {"event": {"error": None}},
    "usage": {"event": {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}},
    "no choices": {"event": {"choices": []}},
    "choices that are not a list": {"event": {"choices": {"delta": {"content": "one "}}}},
    "two choices": {"event": {"choices": [{"delta": {"content": part}} for part in ("a", "b")]}},
    "a choice that is not an object": {"event": {"choices": ["one "]}},
    "another choice": {"choice": {"index": 1}},
    "a reason to end": {"choice": {"finish_reason": "length"}},
    "logprobs": {"choice": {"logprobs": {"content": [{"token": "one", "logprob": -1.0}]}}},
    "a message": {"choice": {"delta": {}, "message": {"content": "two "}}},
    "a delta that is not an object": {"choice": {"delta": "two "}},
    "a refusal": {"delta": {"refusal": "no"}},
    "text in parts": {"delta": {"content": [{"type": "text", "text": "two "}]}},
    "text that is a number": {"delta": {"content": 3}},
    "reasoning that is a number": {"delta": {"reasoning": 3}},
    "both kinds of reasoning": {"delta": {"reasoning": "two ", "reasoning_content": "three "}},
    "a stop sequence": {"delta": {"content": "two END three"}},
    "a stop sequence before a call": {
        "delta": {"content": "END", "tool_calls": [{"index": 0, "function": {"name": "f"}}]}
    },
    "a call": {"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}},
    "calls that are not a list": {"delta": {"tool_calls": "f"}},
    "a call in the text": {"delta": {"content": "<|tool_call_begin|>functions.f:0"}},
    "a call in the reasoning": {"delta": {"reasoning": "<|tool_call_begin|>functions.f:0"}},
    "thinking": {"delta": {"content": "<think>two "}},
}
SETTINGS = {
    "no settings": DecodeOptions(model="m"),
    "stops": DecodeOptions(model="m", stops=("END",)),
    "calls in the text": DecodeOptions(model="m", text_tool_calls="kimi"),
    "one call": DecodeOptions(model="m", single_call=True),
    "no calls": DecodeOptions(model="m", no_calls=True),
}


@pytest.mark.parametrize("begun", [True, False], ids=["in an answer", "first"])
@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("changes", UNUSUAL.values(), ids=UNUSUAL)
def test_an_event_that_says_more_comes_to_the_same(
    changes: dict[str, dict[str, Any]], options: DecodeOptions, begun: bool
) -> None:
    events = [usual_event(**changes), usual_event(), usual_event(choice={"finish_reason": "stop"})]
    if begun:
        events.insert(0, usual_event())
    else:
        events.insert(0, {"id": "c1", "model": "m", "choices": []})
    reads = [encoded("", event) for event in events]
    assert outcome(options, ChoiceAccumulator, reads) == outcome(options, LongPathOnly, reads)


@given(NAMED_EVENTS, OPTIONS)
def test_an_event_comes_to_the_same_by_the_short_path(
    events: list[tuple[str, dict[str, Any]]], options: DecodeOptions
) -> None:
    reads = [encoded(name, event) for name, event in events]
    assert outcome(options, ChoiceAccumulator, reads) == outcome(options, LongPathOnly, reads)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "one"},
        {"role": "assistant", "content": "one", "tool_calls": None, "refusal": None},
        {"reasoning_content": "one", "content": None},
        {"reasoning": "one"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]},
    ],
    ids=lambda delta: " ".join(delta),
)
@pytest.mark.parametrize("form", [None, "kimi"])
def test_a_usual_event_takes_the_short_path(delta: dict[str, Any], form: Any) -> None:
    choice = ChoiceAccumulator(DecodeOptions(text_tool_calls=form), "c1")
    choice.feed({"delta": {"content": "The answer begins. "}}, {})
    chunks: list[Chunk] = []
    assert choice.feed_usual({"choices": [{"index": 0, "delta": delta}]}, chunks)
    [chunk] = chunks
    assert chunk.text or chunk.reasoning or chunk.tool_calls


LINES = st.sampled_from(
    [
        b"data: a",
        b"data:  b",
        b"data: ",
        b"data:c",
        b"data",
        b"event: error",
        b": why",
        b"id: 1",
        b"",
    ]
)


@given(st.lists(st.one_of(LINES, st.just(b"data: d\n"))), st.integers(0, 3))
def test_a_read_of_plain_events_comes_to_the_same_as_byte_by_byte(
    lines: list[bytes], ending: int
) -> None:
    data = b"".join(line + b"\n" for line in lines) + b"\n" * ending
    assert read(data, whole=True) == read(data, whole=False)


@pytest.mark.parametrize("length", range(30, 42))
@pytest.mark.parametrize("before", [b"", b"data: a\n\n"], ids=["alone", "behind another"])
def test_the_bound_of_an_event_is_the_same_in_one_read(length: int, before: bytes) -> None:
    data = before + b"data: " + b"x" * length + b"\n\n"
    outcomes: list[bytes | None] = []
    for whole in (True, False):
        try:
            outcomes.append(read(data, whole=whole, longest=100)[-1][1])
        except EventTooLong:
            outcomes.append(None)
    assert outcomes == [b"x" * length if length + 1 + 64 <= 100 else None] * 2


def read(data: bytes, *, whole: bool, longest: int = 1_000) -> list[tuple[bytes, bytes]]:
    """The events of a stream, read at once or byte by byte."""
    decoder = SSEDecoder(longest)
    reads = [data] if whole else [data[place : place + 1] for place in range(len(data))]
    return [event for part in reads for event in decoder.feed(part)] + decoder.flush()
