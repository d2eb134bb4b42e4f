"""Chunks that are copies of validated ones, against those that langchain-core's constructors make."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_nvcf.outputs import ChunkConverter
from nvcf_core import Chunk, ToolCall

PROVIDER = {"model_provider": "nvcf"}
SLOTS = (
    "__dict__",
    "__pydantic_fields_set__",
    "__pydantic_extra__",
    "__pydantic_private__",
)


def reasoning(text: str) -> AIMessageChunk:
    return AIMessageChunk(
        content="", additional_kwargs={"reasoning_content": text}, response_metadata=PROVIDER
    )


def fragments(*given: dict[str, Any]) -> AIMessageChunk:
    pieces = [tool_call_chunk(**keywords) for keywords in given]
    return AIMessageChunk(
        content="", additional_kwargs={}, response_metadata=PROVIDER, tool_call_chunks=pieces
    )


CASES = {
    "text": (Chunk("word"), AIMessageChunk(content="word", response_metadata=PROVIDER)),
    "no text": (Chunk(), AIMessageChunk(content="", response_metadata=PROVIDER)),
    "text beyond ASCII": (
        Chunk("é🎉\n"),
        AIMessageChunk(content="é🎉\n", response_metadata=PROVIDER),
    ),
    "reasoning": (Chunk(reasoning="because"), reasoning("because")),
    "a fragment": (
        Chunk(tool_calls=(ToolCall(0, arguments='york"'),)),
        fragments({"args": 'york"', "index": 0}),
    ),
    "fragments of two calls": (
        Chunk(tool_calls=(ToolCall(0, arguments="]"), ToolCall(3, "c", "f", "1}"))),
        fragments({"args": "]", "index": 0}, {"args": "1}", "index": 3, "id": "c", "name": "f"}),
    ),
}


def converted(chunk: Chunk) -> ChatGenerationChunk:
    [piece] = ChunkConverter().convert(chunk)
    return piece


def slots(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in SLOTS}


@pytest.fixture(params=CASES)
def pair(request: pytest.FixtureRequest) -> tuple[ChatGenerationChunk, ChatGenerationChunk]:
    """A piece that is a copy, and what the constructors make."""
    chunk, message = CASES[request.param]
    return converted(chunk), ChatGenerationChunk(message=message)


Pair = tuple[ChatGenerationChunk, ChatGenerationChunk]


def test_every_field_is_the_constructors(pair: Pair) -> None:
    copied, constructed = pair
    for ours, theirs in ((copied, constructed), (copied.message, constructed.message)):
        assert type(ours) is type(theirs)
        assert slots(ours) == slots(theirs)
        assert list(ours.__dict__) == list(theirs.__dict__)
        for name, value in theirs.__dict__.items():
            assert type(getattr(ours, name)) is type(value), name


def test_it_compares_dumps_and_prints_as_the_constructors(pair: Pair) -> None:
    copied, constructed = pair
    assert copied == constructed
    assert repr(copied) == repr(constructed)
    assert str(copied.message) == str(constructed.message)
    for options in ({}, {"exclude_unset": True}, {"exclude_defaults": True}, {"mode": "json"}):
        assert copied.model_dump(**options) == constructed.model_dump(**options)
    assert copied.model_dump_json() == constructed.model_dump_json()
    assert dumpd(copied) == dumpd(constructed)
    assert copied.message.content_blocks == constructed.message.content_blocks


@pytest.mark.parametrize(
    "way",
    [
        lambda piece: pickle.loads(pickle.dumps(piece)),
        copy.copy,
        copy.deepcopy,
        lambda piece: piece.model_copy(deep=True),
        lambda piece: type(piece).model_validate(piece.model_dump()),
    ],
    ids=["pickle", "copy", "deepcopy", "model_copy", "validated"],
)
def test_it_travels_as_the_constructors(pair: Pair, way: Any) -> None:
    copied, constructed = (way(piece) for piece in pair)
    assert copied == constructed
    assert slots(copied.message) == slots(constructed.message)


def test_it_adds_up_as_the_constructors(pair: Pair) -> None:
    copied, constructed = pair
    last = converted(Chunk("end", finish_reason="stop", last=True))
    assert copied + copied + last == constructed + constructed + last


def test_copies_share_nothing_that_can_change() -> None:
    for chunk, _ in CASES.values():
        first, second = converted(chunk), converted(chunk)
        for ours, others in ((first, second), (first.message, second.message)):
            for name, value in ours.__dict__.items():
                if isinstance(value, (dict, list)):
                    assert value is not getattr(others, name), name
        assert first.message.__pydantic_fields_set__ is not second.message.__pydantic_fields_set__
        first.message.response_metadata["mine"] = 1
        first.message.id = "mine"
        assert converted(chunk) == second


@pytest.mark.parametrize("arguments", ["", "  ", "{", ' {"a": 1}'])
def test_a_fragment_that_may_be_an_object_is_read_by_langchain_core(arguments: str) -> None:
    call = ToolCall(0, "c", "f", arguments)
    wanted = fragments({"args": arguments, "index": 0, "id": "c", "name": "f"})
    message = converted(Chunk(tool_calls=(call,))).message
    assert isinstance(message, AIMessageChunk)
    assert message.tool_calls == wanted.tool_calls
    assert message.invalid_tool_calls == wanted.invalid_tool_calls
