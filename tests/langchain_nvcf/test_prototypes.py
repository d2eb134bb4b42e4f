"""Chunks that are copies of validated ones, against those that langchain-core's constructors make."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_nvcf.outputs import ChunkConverter, to_chat_result
from nvcf_core import Chunk, ToolCall, Usage

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


USED = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
COUNTS = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

ANSWERS = {
    "text": (
        Chunk("é🎉\n", finish_reason="stop", id="a", model="m", usage=Usage(3, 4, 7)),
        {
            "content": "é🎉\n",
            "additional_kwargs": {},
            "response_metadata": {
                "finish_reason": "stop",
                "id": "a",
                "model_name": "m",
                **PROVIDER,
            },
            "usage_metadata": USED,
        },
    ),
    "nothing said besides": (
        Chunk(""),
        {"content": "", "additional_kwargs": {}, "response_metadata": PROVIDER}
        | {"usage_metadata": None},
    ),
    "reasoning and details": (
        Chunk("x", "because", usage=Usage(3, 4, 7, cached_tokens=1, reasoning_tokens=2)),
        {
            "content": "x",
            "additional_kwargs": {"reasoning_content": "because"},
            "response_metadata": PROVIDER,
            "usage_metadata": {
                **USED,
                "input_token_details": {"cache_read": 1},
                "output_token_details": {"reasoning": 2},
            },
        },
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_whole_answer_is_the_constructors(case: str) -> None:
    answer, keywords = ANSWERS[case]
    ours = to_chat_result(answer)
    message = AIMessage(tool_calls=[], invalid_tool_calls=[], **keywords)
    info = {"finish_reason": answer.finish_reason} if answer.finish_reason else None
    theirs = ChatResult(
        generations=[ChatGeneration(message=message, generation_info=info)],
        llm_output={
            "token_usage": COUNTS if answer.usage else {},
            "model_name": answer.model,
        },
    )
    for mine, made in (
        (ours, theirs),
        (ours.generations[0], theirs.generations[0]),
        (ours.generations[0].message, message),
    ):
        assert type(mine) is type(made)
        assert slots(mine) == slots(made)
        assert list(mine.__dict__) == list(made.__dict__)
        for name, value in made.__dict__.items():
            assert type(getattr(mine, name)) is type(value), name
        assert mine.model_dump_json() == made.model_dump_json()
        assert repr(mine) == repr(made)
    assert dumpd(ours.generations[0].message) == dumpd(message)
    assert to_chat_result(answer).generations[0].message.tool_calls is not message.tool_calls


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
