"""Inbound conversion, without a service: whole answers, pieces and events of the same chunks say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as standard_blocks
from langchain_core.messages.tool import tool_call_chunk
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_nvcf.outputs import ChunkConverter, to_chat_result
from langchain_nvcf.stream_events import EventConverter
from nvcf_core.messages import Chunk, ToolCall, Usage

FACTS: dict[str, Any] = {"id": "chatcmpl-1", "model": "m", "request_id": "r1", "last": True}


def whole(chunks: list[Chunk]) -> AIMessage:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    message = to_chat_result(total).generations[0].message
    assert isinstance(message, AIMessage)
    return message


def summed(chunks: list[Chunk]) -> AIMessageChunk:
    pieces = ChunkConverter()
    first, *others = [piece.message for chunk in chunks for piece in pieces.convert(chunk)]
    total = first + others
    assert isinstance(total, AIMessageChunk)
    return total


def generated(chunks: list[Chunk]) -> AIMessage:
    """What langchain-core makes of a stream when it was asked for a whole answer."""
    pieces = ChunkConverter()
    generations = (piece for chunk in chunks for piece in pieces.convert(chunk))
    message = generate_from_stream(generations).generations[0].message
    assert isinstance(message, AIMessage)
    return message


def of_events(chunks: list[Chunk]) -> AIMessage:
    writer = EventConverter("asked", "lc_run--1")
    events = [event for chunk in chunks for event in writer.convert(chunk)]
    assert_valid_event_stream(events)
    assert events[-1]["event"] == "message-finish"
    stream = ChatModelStream()
    for event in events:
        stream.dispatch(event)
    assert stream.output_message is not None
    return stream.output_message


def test_everything_that_an_answer_says() -> None:
    usage = Usage(
        10,
        20,
        30,
        cached_tokens=4,
        reasoning_tokens=5,
        prompt_audio_tokens=6,
        completion_audio_tokens=0,
    )
    chunk = Chunk(
        text="yes", reasoning="hm", logprobs={"content": [{"token": "yes"}]}, finish_reason="stop",
        usage=usage, **FACTS,
    )  # fmt: skip
    message = whole([chunk])
    assert message.content == "yes"
    assert message.additional_kwargs == {"reasoning_content": "hm"}
    assert message.response_metadata == {
        "finish_reason": "stop", "id": "chatcmpl-1", "model_name": "m", "request_id": "r1",
        "logprobs": {"content": [{"token": "yes"}]}, "model_provider": "nvcf",
    }  # fmt: skip
    assert message.usage_metadata == {
        "input_tokens": 10, "output_tokens": 20, "total_tokens": 30,
        "input_token_details": {"cache_read": 4, "audio": 6},
        "output_token_details": {"reasoning": 5, "audio": 0},
    }  # fmt: skip
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "yes"},
    ]  # fmt: skip


def test_an_answer_that_says_little() -> None:
    message = whole([Chunk(text="yes", last=True)])
    assert message.response_metadata == {"model_provider": "nvcf"}
    assert message.usage_metadata is None
    assert message.additional_kwargs == {}


def test_reasoning_that_used_up_the_tokens_is_recognisable() -> None:
    chunks = [
        Chunk(reasoning="hm, "),
        Chunk(reasoning="well"),
        Chunk(finish_reason="length", **FACTS),
    ]
    for message in (whole(chunks), summed(chunks), of_events(chunks)):
        assert message.text == ""
        assert message.additional_kwargs["reasoning_content"] == "hm, well"
        assert message.response_metadata["finish_reason"] == "length"


def test_every_choice_is_a_generation_and_usage_is_told_once() -> None:
    other = Chunk(text="b", finish_reason="stop", **FACTS)
    first = Chunk(
        text="a", finish_reason="stop", usage=Usage(1, 2, 3), other_choices=(other,), **FACTS
    )
    messages = [generation.message for generation in to_chat_result(first).generations]
    assert [message.content for message in messages] == ["a", "b"]
    usages = [message.usage_metadata for message in messages if isinstance(message, AIMessage)]
    assert [usage is not None for usage in usages] == [True, False]


def test_what_is_said_once_is_on_the_last_piece_alone() -> None:
    pieces = ChunkConverter()
    chunks = [Chunk("a"), Chunk("b"), Chunk(finish_reason="stop", usage=Usage(1, 2, 3), **FACTS)]
    *others, last = [piece.message for chunk in chunks for piece in pieces.convert(chunk)]
    for other in others:
        assert other.response_metadata == {"model_provider": "nvcf"}
        assert isinstance(other, AIMessageChunk)
        assert other.usage_metadata is None
        assert other.chunk_position is None
    assert isinstance(last, AIMessageChunk)
    assert last.chunk_position == "last"
    assert last.response_metadata["id"] == "chatcmpl-1"


def test_one_delta_with_reasoning_and_text_or_text_and_a_call() -> None:
    pieces = ChunkConverter()
    call = ToolCall(0, "c1", "f", '{"a"')
    [both] = pieces.convert(Chunk(text="yes", reasoning="hm"))
    [mixed] = pieces.convert(Chunk(text="so", tool_calls=(call,)))
    assert both.message.content_blocks == [
        {"type": "reasoning", "reasoning": "hm", "index": 0},
        {"type": "text", "text": "yes", "index": 1},
    ]
    assert mixed.message.content_blocks == [
        {"type": "text", "text": "so", "index": 1},
        {"type": "tool_call_chunk", "id": "c1", "name": "f", "args": '{"a"', "index": 3},
    ]


def test_interleaved_calls() -> None:
    chunks = [
        Chunk(tool_calls=(ToolCall(0, "c0", "f", '{"a":'), ToolCall(1, "c1", "g", ""))),
        Chunk(tool_calls=(ToolCall(1, arguments='{"b": 2'),)),
        Chunk(tool_calls=(ToolCall(0, arguments=" 1}"), ToolCall(1, arguments="}"))),
        Chunk(finish_reason="tool_calls", **FACTS),
    ]
    for message in (whole(chunks), summed(chunks), generated(chunks), of_events(chunks)):
        assert [(call["id"], call["name"], call["args"]) for call in message.tool_calls] == [
            ("c0", "f", {"a": 1}), ("c1", "g", {"b": 2}),
        ]  # fmt: skip
        assert message.invalid_tool_calls == []


FRAGMENT = st.one_of(
    st.text('{}[]":,a1 \n\\\t', max_size=8),
    st.sampled_from(
        ["", " ", "word", '"a"', "1", "null", '{"a": 1}', ' {"a', "\x0b{}", "\ufeff{}", "[{}]"]
    ),
)
CALL = st.builds(
    ToolCall, st.integers(0, 2), st.sampled_from(["", "c0"]), st.sampled_from(["", "f"]), FRAGMENT
)


@given(st.lists(CALL, min_size=1, max_size=3), st.sampled_from(["", "hm"]))
def test_fragments_of_calls_are_read_as_langchain_reads_them(
    calls: list[ToolCall], reasoning: str
) -> None:
    [piece] = ChunkConverter().convert(Chunk(reasoning=reasoning, tool_calls=tuple(calls)))
    message = piece.message
    expected = AIMessageChunk(
        content="",
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        tool_call_chunks=[
            tool_call_chunk(
                name=call.name or None, args=call.arguments, id=call.id or None, index=call.index
            )
            for call in calls
        ],
    )
    assert message == expected
    assert message.model_fields_set == expected.model_fields_set
    assert message.model_dump() == expected.model_dump()


def test_a_call_without_arguments() -> None:
    chunks = [Chunk(tool_calls=(ToolCall(0, "c0", "f", ""),)), Chunk(finish_reason="stop", **FACTS)]
    for message in (whole(chunks), summed(chunks), of_events(chunks)):
        assert [call["args"] for call in message.tool_calls] == [{}]


CUT = [
    "",
    "{",
    '{"a',
    '{"a": "Par',
    '{"a": "x\\',
    '{"a": [1, ',
    '{"a": [{"b": "c',
    '{"a": {"b": 1}',
    '{"a": 1}',
]


@pytest.mark.parametrize("arguments", CUT)
def test_no_call_of_an_answer_that_was_cut_is_valid(arguments: str) -> None:
    chunks = [
        Chunk(tool_calls=(ToolCall(0, "c0", "f", '{"a": 1}'),)),
        Chunk(tool_calls=(ToolCall(1, "c1", "g", arguments),)),
        Chunk(finish_reason="length", **FACTS),
    ]
    for message in (whole(chunks), summed(chunks), generated(chunks), of_events(chunks)):
        assert message.tool_calls == []
        first, second = message.invalid_tool_calls
        assert (first["id"], second["id"], second["name"]) == ("c0", "c1", "g")
        assert (second["args"] or "").startswith(arguments)
    assert whole(chunks).invalid_tool_calls[1]["args"] == arguments


@pytest.mark.parametrize(
    "arguments", ['{"a": ', '{"a": 1,}', "[1]", '"x"', "nonsense", '{"a": 1}}']
)
def test_arguments_that_do_not_parse_are_invalid(arguments: str) -> None:
    chunks = [
        Chunk(tool_calls=(ToolCall(0, "c0", "f", arguments),)),
        Chunk(finish_reason="tool_calls", **FACTS),
    ]
    for message in (whole(chunks), summed(chunks), generated(chunks), of_events(chunks)):
        assert message.tool_calls == []
        [invalid] = message.invalid_tool_calls
        assert invalid["id"] == "c0"
    assert whole(chunks).invalid_tool_calls[0]["error"]


@given(st.text(alphabet='{}[]",:\\a1 \n', max_size=30))
def test_no_text_of_a_cut_call_ever_becomes_a_call(arguments: str) -> None:
    chunks = [
        Chunk(tool_calls=(ToolCall(0, "c0", "f", arguments),)),
        Chunk(finish_reason="length", **FACTS),
    ]
    assert summed(chunks).tool_calls == []
    assert of_events(chunks).tool_calls == []
    assert whole(chunks).tool_calls == []


def test_a_refusal() -> None:
    chunks = [Chunk(refusal="I "), Chunk(refusal="won't"), Chunk(finish_reason="stop", **FACTS)]
    block = {"type": "refusal", "refusal": "I won't"}
    if not hasattr(standard_blocks, "RefusalContentBlock"):  # Before langchain-core 1.7.5.
        block = {"type": "non_standard", "value": block}
    assert whole(chunks).content_blocks == [block]
    for message in (whole(chunks), summed(chunks), of_events(chunks)):
        assert message.additional_kwargs["refusal"] == "I won't"
        assert [dict(found) | {"index": 0} for found in message.content_blocks] == [
            block | {"index": 0}
        ]


def test_logprobs_of_a_stream_add_up() -> None:
    tokens = [{"token": "a"}, {"token": "b"}]
    chunks = [
        Chunk("a", logprobs={"content": tokens[:1]}),
        Chunk("b", logprobs={"content": tokens[1:]}),
        Chunk(finish_reason="stop", **FACTS),
    ]
    for message in (summed(chunks), of_events(chunks)):
        assert message.response_metadata["logprobs"] == {"content": tokens}


def test_reasoning_that_goes_on_after_text_is_a_block_of_its_own_in_events() -> None:
    chunks = [
        Chunk(reasoning="hm"),
        Chunk("so"),
        Chunk(reasoning="wait"),
        Chunk("no"),
        Chunk(**FACTS),
    ]
    message = of_events(chunks)
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"] * 2
    assert message.text == "sono"
    assert message.additional_kwargs["reasoning_content"] == "hmwait"


PIECE = st.one_of(
    st.text(max_size=4).map(lambda text: Chunk(text=text)),
    st.text(max_size=4).map(lambda text: Chunk(reasoning=text)),
    st.tuples(st.text(max_size=3), st.text(max_size=3)).map(lambda pair: Chunk(*pair)),
)


@given(st.lists(PIECE, max_size=8))
def test_pieces_and_events_add_up_to_the_whole(chunks: list[Chunk]) -> None:
    chunks = [*chunks, Chunk(finish_reason="stop", usage=Usage(1, 2, 3), **FACTS)]
    expected = whole(chunks)
    for message in (summed(chunks), of_events(chunks)):
        assert str(message.text) == expected.content
        assert message.additional_kwargs == expected.additional_kwargs
        assert message.usage_metadata == expected.usage_metadata
        metadata = {
            key: value
            for key, value in message.response_metadata.items()
            if key != "output_version"
        }
        assert metadata == expected.response_metadata


def test_content_that_is_a_list_already_is_langchains_to_read() -> None:
    blocks = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "yes"}]
    for kind in (AIMessage, AIMessageChunk):
        message = kind(content=blocks, response_metadata={"model_provider": "nvcf"})
        assert message.content_blocks == blocks


@pytest.mark.parametrize("arguments", CUT)
def test_a_call_that_was_cut_is_none_in_v1_content_either(arguments: str) -> None:
    pieces = ChunkConverter()
    chunks = [
        Chunk("so", tool_calls=(ToolCall(0, "c0", "f", arguments),)),
        Chunk(finish_reason="length", **FACTS),
    ]
    standard = []
    for piece in (piece.message for chunk in chunks for piece in pieces.convert(chunk)):
        metadata = {**piece.response_metadata, "output_version": "v1"}
        content = piece.content_blocks
        standard.append(
            piece.model_copy(update={"content": content, "response_metadata": metadata})
        )
    total = standard[0] + standard[1:]
    assert isinstance(total, AIMessageChunk)
    assert total.tool_calls == []
    assert [call["id"] for call in total.invalid_tool_calls] == ["c0"]
    assert "tool_call" not in [block["type"] for block in total.content_blocks]
