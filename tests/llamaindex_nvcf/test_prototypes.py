"""Responses that are copies of validated ones, against those that LlamaIndex's constructors make."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_nvcf.responses import ResponseBuilder
from nvcf_core import Chunk, ToolCall, Usage

SLOTS = (
    "__dict__",
    "__pydantic_fields_set__",
    "__pydantic_extra__",
    "__pydantic_private__",
)
RAW = {"id": "1", "choices": [{"delta": {"content": "word"}}]}
PLAIN = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
LOGPROBS = {"content": [{"token": "word", "logprob": -1.0, "bytes": [119]}]}


def message(*blocks: Any, **extra: Any) -> ChatMessage:
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=list(blocks), additional_kwargs=extra)


def response(told: ChatMessage, **given: Any) -> ChatResponse:
    usual = {"delta": "", "raw": RAW, "logprobs": None, "additional_kwargs": {}}
    return ChatResponse(message=told, **{**usual, **given})


CASES = {
    "text": (Chunk("word", raw=RAW), response(message(TextBlock(text="word")), delta="word")),
    "nothing": (Chunk(raw=RAW), response(message(TextBlock(text="")))),
    "reasoning": (
        Chunk(reasoning="because", raw=RAW),
        response(
            message(ThinkingBlock(content="because", num_tokens=None), TextBlock(text="")),
            additional_kwargs={"thinking_delta": "because"},
        ),
    ),
    "logprobs": (
        Chunk("word", logprobs=LOGPROBS, raw=RAW),
        response(
            message(TextBlock(text="word")),
            delta="word",
            logprobs=[[LogProb(token="word", logprob=-1.0, bytes=[119])]],
        ),
    ),
    "a call": (
        Chunk(tool_calls=(ToolCall(0, "c", "f", '{"a'),), raw=RAW),
        response(
            message(
                ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs='{"a'),
                tool_calls=[PLAIN],
            ),
            additional_kwargs={"partial": True},
        ),
    ),
    "the last": (
        Chunk("end", usage=Usage(1, 2, 3), finish_reason="stop", id="i", last=True, raw=RAW),
        response(
            message(TextBlock(text="end")),
            delta="end",
            additional_kwargs={
                "finish_reason": "stop",
                "id": "i",
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "total_tokens": 3,
            },
        ),
    ),
}


def slots(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in SLOTS}


def parts(found: ChatResponse) -> list[Any]:
    return [found, found.message, *found.message.blocks]


Pair = tuple[ChatResponse, ChatResponse]


@pytest.fixture(params=CASES)
def pair(request: pytest.FixtureRequest) -> Pair:
    """A response that is a copy, and what the constructors make."""
    chunk, constructed = CASES[request.param]
    return ResponseBuilder().add(chunk), constructed


def test_every_field_is_the_constructors(pair: Pair) -> None:
    for ours, theirs in zip(*map(parts, pair), strict=True):
        assert type(ours) is type(theirs)
        assert slots(ours) == slots(theirs)
        assert list(ours.__dict__) == list(theirs.__dict__)
        for name, value in theirs.__dict__.items():
            assert type(getattr(ours, name)) is type(value), name


def test_a_whole_answer_is_the_constructors() -> None:
    answer = Chunk("word", reasoning="because", finish_reason="stop", last=True, raw=RAW)
    told = message(ThinkingBlock(content="because", num_tokens=None), TextBlock(text="word"))
    constructed = ChatResponse(
        message=told, raw=RAW, logprobs=None, additional_kwargs={"finish_reason": "stop"}
    )
    copied = ResponseBuilder().complete(answer)
    for ours, theirs in zip(parts(copied), parts(constructed), strict=True):
        assert slots(ours) == slots(theirs)
    assert copied.model_dump(exclude_unset=True) == constructed.model_dump(exclude_unset=True)


def test_it_compares_dumps_and_prints_as_the_constructors(pair: Pair) -> None:
    copied, constructed = pair
    assert copied == constructed
    assert repr(copied) == repr(constructed)
    assert str(copied) == str(constructed)
    for options in ({}, {"exclude_unset": True}, {"exclude_defaults": True}, {"mode": "json"}):
        assert copied.model_dump(**options) == constructed.model_dump(**options)
    assert copied.model_dump_json() == constructed.model_dump_json()


@pytest.mark.parametrize(
    "way",
    [
        lambda found: pickle.loads(pickle.dumps(found)),
        copy.copy,
        copy.deepcopy,
        lambda found: found.model_copy(deep=True),
        lambda found: type(found).model_validate(found.model_dump()),
    ],
    ids=["pickle", "copy", "deepcopy", "model_copy", "validated"],
)
def test_it_travels_as_the_constructors(pair: Pair, way: Any) -> None:
    copied, constructed = (way(found) for found in pair)
    assert copied == constructed
    assert slots(copied.message) == slots(constructed.message)


def test_responses_of_one_stream_share_nothing_that_can_change() -> None:
    builder = ResponseBuilder()
    pieces = [Chunk("a", reasoning="r"), Chunk("b"), Chunk(finish_reason="stop", last=True)]
    responses = [builder.add(piece) for piece in pieces]
    containers = [
        value
        for found in responses
        for model in parts(found)
        for name, value in (*model.__dict__.items(), ("set", model.__pydantic_fields_set__))
        if isinstance(value, (dict, list, set))
    ]
    assert len({id(container) for container in containers}) == len(containers)
    blocks = [id(block) for found in responses for block in found.message.blocks]
    assert len(set(blocks)) == len(blocks)
