"""The core's chunks as LlamaIndex's responses: whole, and as they grow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_nvcf.responses import (
    achat_responses,
    acompletions,
    chat_response,
    chat_responses,
    completion,
    completions,
)
from nvcf_core import Chunk, ToolCall, Usage
from nvcf_emulator import Emulator

USAGE = Usage(5, 7, 12, cached_tokens=2, reasoning_tokens=3)
LAST = Chunk(
    last=True,
    finish_reason="stop",
    usage=USAGE,
    id="chatcmpl-1",
    model="m",
    request_id="r",
    raw={"usage": {"prompt_tokens": 5}},
)
FACTS = {
    "finish_reason": "stop",
    "id": "chatcmpl-1",
    "model_name": "m",
    "request_id": "r",
    "prompt_tokens": 5,
    "completion_tokens": 7,
    "total_tokens": 12,
    "reasoning_tokens": 3,
    "cached_tokens": 2,
}


def generated(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    yield from chunks


def streamed(*chunks: Chunk) -> list[ChatResponse]:
    return list(chat_responses(generated(chunks)))


def plain(index: int, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call-{index}", "type": "function", "function": function}


def test_a_whole_answer_has_thoughts_text_and_calls_in_this_order():
    call = ToolCall(0, "call-0", "f", '{"x": 1}')
    response = chat_response(Chunk(text="said", reasoning="thought", tool_calls=(call,)) + LAST)
    assert response.message.blocks == [
        ThinkingBlock(content="thought", num_tokens=3),
        TextBlock(text="said"),
        ToolCallBlock(tool_call_id="call-0", tool_name="f", tool_kwargs='{"x": 1}'),
    ]
    assert response.message.role == "assistant"
    assert response.message.additional_kwargs == {"tool_calls": [plain(0, "f", '{"x": 1}')]}
    assert response.additional_kwargs == FACTS
    assert response.raw == {"usage": {"prompt_tokens": 5}}
    assert response.delta is None


def test_an_empty_answer_is_an_empty_text_and_calls_need_none():
    assert chat_response(LAST).message.content == ""
    call = ToolCall(0, "a", "f", "{}")
    message = chat_response(Chunk(tool_calls=(call,)) + LAST).message
    assert [type(block) for block in message.blocks] == [ToolCallBlock]


def test_what_the_service_did_not_say_is_left_out():
    assert chat_response(Chunk(text="x", last=True)).additional_kwargs == {}


def test_an_answer_that_thinking_left_no_room_for_is_recognisable():
    response = chat_response(Chunk(reasoning="thin", last=True, finish_reason="length"))
    assert response.message.content == ""
    assert response.message.blocks[0] == ThinkingBlock(content="thin")
    assert response.additional_kwargs["finish_reason"] == "length"


def test_a_refusal_is_told():
    assert chat_response(Chunk(refusal="no", last=True)).additional_kwargs == {"refusal": "no"}
    *_, last = streamed(Chunk(refusal="n"), Chunk(refusal="o"), LAST)
    assert last.additional_kwargs["refusal"] == "no"


def test_a_stream_grows_and_its_last_response_has_everything():
    first, second, third, last = streamed(
        Chunk(reasoning="th", raw={"n": 1}),
        Chunk(reasoning="ink", text="he"),
        Chunk(text="llo"),
        LAST,
    )
    assert first.message.blocks[0] == ThinkingBlock(content="th")
    assert (first.delta, first.additional_kwargs) == ("", {"thinking_delta": "th"})
    assert first.raw == {"n": 1}
    assert (second.delta, second.additional_kwargs) == ("he", {"thinking_delta": "ink"})
    assert (third.delta, third.additional_kwargs) == ("llo", {})
    assert last.delta == ""
    assert last.message.blocks == [
        ThinkingBlock(content="think", num_tokens=3),
        TextBlock(text="hello"),
    ]
    assert last.additional_kwargs == FACTS


def test_text_held_back_until_the_end_comes_with_the_last():
    *_, last = streamed(Chunk(text="he"), Chunk(text="llo") + LAST)
    assert (last.delta, last.message.content) == ("llo", "hello")


def test_calls_grow_side_by_side():
    responses = streamed(
        Chunk(tool_calls=(ToolCall(0, "call-0", "f", '{"x"'), ToolCall(1, "call-1", "g"))),
        Chunk(tool_calls=(ToolCall(1, arguments="{}"), ToolCall(0, arguments=": 1}"))),
        LAST,
    )
    assert responses[0].message.additional_kwargs["tool_calls"] == [
        plain(0, "f", '{"x"'), plain(1, "g", "")
    ]  # fmt: skip
    whole = [plain(0, "f", '{"x": 1}'), plain(1, "g", "{}")]
    for response in responses[1:]:
        assert response.message.additional_kwargs["tool_calls"] == whole
        assert [block.tool_kwargs for block in response.message.blocks] == ['{"x": 1}', "{}"]


def test_no_two_responses_of_a_stream_share_what_an_agent_may_change():
    call = ToolCall(0, "call-0", "f", "{}")
    responses = streamed(Chunk(reasoning="a", text="b", tool_calls=(call,)), Chunk(text="c"), LAST)
    for earlier, later in pairwise(responses):
        assert earlier.message is not later.message
        assert earlier.message.blocks is not later.message.blocks
        for one, other in zip(earlier.message.blocks[:2], later.message.blocks[:2], strict=True):
            assert one is not other
    *earlier_ones, last = responses
    for earlier in earlier_ones:
        assert earlier.message.blocks[-1] is not last.message.blocks[-1]
        calls = earlier.message.additional_kwargs["tool_calls"]
        assert calls is not last.message.additional_kwargs["tool_calls"]
        assert calls[0] is not last.message.additional_kwargs["tool_calls"][0]


TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97]}
OTHER = {"token": "b", "logprob": -1.5, "bytes": None}


def test_logprobs_are_of_the_new_text_and_at_last_of_all():
    both = {"content": [{**TOKEN, "top_logprobs": [TOKEN, OTHER]}]}
    alone = {"content": [{**OTHER, "top_logprobs": []}]}
    first, second, last = streamed(
        Chunk(text="a", logprobs=both), Chunk(text="b", logprobs=alone), LAST
    )

    def shown(response: ChatResponse) -> list[list[tuple[str, float]]]:
        return [[(each.token, each.logprob) for each in token] for token in response.logprobs or ()]

    assert shown(first) == [[("a", -0.5), ("b", -1.5)]]
    assert shown(second) == [[("b", -1.5)]]
    assert shown(last) == shown(first) + shown(second)
    assert first.logprobs[0][0].bytes == [97]
    assert shown(chat_response(Chunk(text="a", logprobs=both, last=True))) == shown(first)
    assert chat_response(LAST).logprobs is None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"content": None},
        {"content": "text"},
        {"content": {"token": "a"}},
        {"content": [None, 5, "a", {}, {"token": None}, {"logprob": -1}]},
        {"tokens": ["a"], "token_logprobs": [-1.0]},
        *(
            {"content": [{"token": "a", "logprob": odd}]}
            for odd in (None, "-1", True, math.inf, [])
        ),
    ],
)
def test_logprobs_of_another_form_are_left_out(odd: dict[str, Any]):
    assert chat_response(Chunk(text="a", logprobs=odd, last=True)).logprobs is None
    first, last = streamed(Chunk(text="a", logprobs=odd), LAST)
    assert first.logprobs is None
    assert last.logprobs is None


def test_what_is_odd_in_a_token_is_left_out():
    token = {
        "token": "a",
        "logprob": -1,
        "bytes": "a",
        "top_logprobs": [None, OTHER, 5, {"token": "c"}],
    }
    response = chat_response(Chunk(text="a", logprobs={"content": [None, token]}, last=True))
    assert [[(each.token, each.logprob) for each in one] for one in response.logprobs] == [
        [("a", -1.0), ("b", -1.5)]
    ]


def test_a_completion_has_what_the_chat_had():
    call = ToolCall(0, "call-0", "f", "{}")
    chunk = Chunk(text="said", reasoning="thought", tool_calls=(call,)) + LAST
    response = completion(chat_response(chunk))
    assert response.text == "said"
    assert response.raw == LAST.raw
    assert response.additional_kwargs == {
        **FACTS, "thinking": "thought", "tool_calls": [plain(0, "f", "{}")]
    }  # fmt: skip
    pieces = list(completions(chat_responses(generated([Chunk(text="a"), Chunk(text="b"), LAST]))))
    assert [(piece.text, piece.delta) for piece in pieces] == [("a", "a"), ("ab", "b"), ("ab", "")]


@pytest.mark.parametrize(
    "convert", [chat_responses, lambda chunks: completions(chat_responses(chunks))]
)
def test_closing_a_stream_closes_its_source(convert: Any):
    source = generated([Chunk(text="a"), LAST])
    responses = convert(source)
    next(responses)
    responses.close()
    assert source.gi_frame is None


@pytest.mark.parametrize(
    "convert", [achat_responses, lambda chunks: acompletions(achat_responses(chunks))]
)
async def test_closing_an_async_stream_closes_its_source(convert: Any):
    async def chunks():
        yield Chunk(text="a")
        yield LAST

    source = chunks()
    responses = convert(source)
    await anext(responses)
    await responses.aclose()
    assert source.ag_frame is None


@given(st.lists(st.tuples(st.sampled_from("tr"), st.text(max_size=5)), max_size=20))
def test_deltas_add_up_however_the_answer_is_cut(pieces: list[tuple[str, str]]):
    chunks = [Chunk(text=text) if kind == "t" else Chunk(reasoning=text) for kind, text in pieces]
    responses = streamed(*chunks, LAST)
    whole = chat_response(sum(chunks, Chunk()) + LAST)
    assert "".join(response.delta or "" for response in responses) == whole.message.content
    thoughts = [response.additional_kwargs.get("thinking_delta", "") for response in responses]
    assert "".join(thoughts) == "".join(text for kind, text in pieces if kind == "r")
    assert responses[-1].message == whole.message


def test_the_last_response_keeps_what_the_finishing_event_said(make, server: Emulator, colour):
    finishing = {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": 42}
    events = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "Rome"}}]},
        {"id": "c", "system_fingerprint": "fp", "choices": [finishing]},
        {
            "id": "c",
            "choices": [],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "extra": 3},
            "timings": {"predicted_ms": 7},
        },
    ]
    chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    server.raw(headers={"content-type": "text/event-stream"}, chunks=[*chunks, b"data: [DONE]\n\n"])
    last = colour.stream(make(), "stream_chat", [ChatMessage(content="Hello")])[-1]
    assert last.raw["finish_reason"] == "stop"
    assert last.raw["choices"] == [finishing]
    assert last.raw["system_fingerprint"] == "fp"
    assert last.raw["usage"]["extra"] == 3
    assert last.raw["timings"] == {"predicted_ms": 7}
    assert last.message.content == "Rome"
