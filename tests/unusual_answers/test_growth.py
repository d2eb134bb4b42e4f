"""Answers with very many tool calls or pieces cost processor time in proportion to their length."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_nvcf.outputs import ChunkConverter
from langchain_nvcf.stream_events import EventConverter
from llamaindex_nvcf.responses import chat_responses
from nvcf_core import Chunk, ToolCall
from nvcf_core.exchange import Response
from nvcf_core.response.decoder import decoder_for
from nvcf_core.response.options import DecodeOptions
from nvcf_core.transport.redaction import redact_response

STEP = 4
TRIES = 3


def events(count: int, delta: Callable[[int], dict[str, Any]]) -> bytes:
    bodies = [{"id": "c", "choices": [{"index": 0, "delta": delta(n)}]} for n in range(count)]
    bodies.append(
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    )
    return b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)


def decode(body: bytes, options: DecodeOptions) -> int:
    decoder = decoder_for(Response(200, {"content-type": "text/event-stream"}), options)
    chunks = [*decoder.feed(body), *decoder.flush()]
    decoder.snapshot()
    return len(chunks)


def call(n: int, index: int | None = None, name: str = "f") -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps({"n": n})}
    return {"tool_calls": [{"index": n if index is None else index, "function": function}]}


def many_calls(count: int) -> None:
    assert decode(events(count, call), DecodeOptions()) == count + 1


def many_calls_under_one_index(count: int) -> None:
    assert decode(events(count, lambda n: call(n, index=0)), DecodeOptions()) == count + 1


def many_pieces_of_one_call(count: int) -> None:
    def piece(n: int) -> dict[str, Any]:
        name = {"name": "f"} if n == 0 else {}
        text = '{"a": "' if n == 0 else "some words "
        return {"tool_calls": [{"index": 0, "function": {**name, "arguments": text}}]}

    assert (
        decode(events(count, piece), DecodeOptions(schemas={"f": {"type": "object"}})) == count + 1
    )


def many_calls_in_the_text(count: int) -> None:
    text = '<TOOLCALL>[{"name": "f", "arguments": {"n": %d}}]</TOOLCALL>'
    options = DecodeOptions(text_tool_calls="nemotron")
    assert decode(events(count, lambda n: {"content": text % n}), options) == 1


def many_indexes_in_no_order(count: int) -> None:
    def scattered(n: int) -> dict[str, Any]:
        return call(n, index=(n * 7919) % 1_000_003 * (-1) ** n)

    assert decode(events(count, scattered), DecodeOptions()) == count + 1


def parallel_calls_in_turn(count: int) -> None:
    """As many calls as pieces of each: one after the other gets its next piece."""
    calls = math.isqrt(count)

    def piece(n: int) -> dict[str, Any]:
        turn, index = divmod(n, calls)
        said = {"name": "f", "arguments": '{"a": "'} if turn == 0 else {"arguments": "word "}
        return {"tool_calls": [{"index": index, "function": said}]}

    assert decode(events(count, piece), DecodeOptions()) == count + 1


def many_calls_in_one_event(count: int) -> None:
    calls = [call(n)["tool_calls"][0] for n in range(count)]
    assert decode(events(1, lambda _: {"tool_calls": calls}), DecodeOptions()) == 2


def many_calls_in_one_body(count: int) -> None:
    calls = [call(n)["tool_calls"][0] for n in range(count)]
    choice = {"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    decode_json([json.dumps({"choices": [choice]}).encode()])


def many_choices(count: int) -> None:
    message = {"role": "assistant", "content": "hi"}
    choices = [{"index": n, "message": message, "finish_reason": "stop"} for n in range(count)]
    decode_json([json.dumps({"choices": choices}).encode()])


def many_words(count: int) -> None:
    assert decode(events(count, lambda _: {"content": "word "}), DecodeOptions()) == count + 1


def many_words_with_stops(count: int) -> None:
    options = DecodeOptions(stops=("never", "word word word!"))
    decode(events(count, lambda _: {"content": "word "}), options)


def many_words_of_reasoning(count: int) -> None:
    decode(events(count, lambda _: {"content": "<think> "}), DecodeOptions())


def many_log_probabilities(count: int) -> None:
    token = {"token": "a", "logprob": -0.1, "top_logprobs": []}
    bodies = [
        {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token]}}]}
        for _ in range(count)
    ]
    bodies.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in bodies)
    assert decode(body, DecodeOptions()) == count + 1


def decode_json(pieces: Iterable[bytes]) -> None:
    decoder = decoder_for(Response(200, {"content-type": "application/json"}), DecodeOptions())
    for piece in pieces:
        decoder.feed(piece)
    assert list(decoder.flush())


BODY = json.dumps(
    {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
).encode()


def white_space_before_a_body(count: int) -> None:
    decode_json([*[b" "] * count, BODY])


def a_body_byte_by_byte(count: int) -> None:
    message = {"role": "assistant", "content": "x" * count}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    decode_json(bytes([byte]) for byte in json.dumps(body).encode())


def an_event_byte_by_byte(count: int) -> None:
    decoder = decoder_for(Response(200, {"content-type": "text/event-stream"}), DecodeOptions())
    for byte in events(1, lambda _: {"content": "x" * count}):
        decoder.feed(bytes([byte]))
    assert list(decoder.flush())


def comments_and_empty_lines(count: int) -> None:
    lines = b": ping\n\n\r\n:\r" * count
    decode(lines + events(1, lambda _: {"content": "hi"}), DecodeOptions())


def an_error_that_looks_like_a_key(count: int) -> None:
    """Spellings of a key that begin, and go on as none does."""
    for text in (
        "\\" * count,
        "%" + "25" * count,
        "%25" * count,
        "nvapi-" * count,
        "\\u006" * count,
    ):
        said = Response(500, {"x": text}, text.encode())
        assert redact_response(said, SecretStr("nvapi-secret-0123456789")) == said


def chunks(count: int) -> Iterator[Chunk]:
    for n in range(count):
        yield Chunk(
            tool_calls=(ToolCall(n, f"id-{n}", "f", '{"n": 1}'),),
            logprobs={"content": [{"token": "a"}]},
        )
    yield Chunk(last=True, finish_reason="tool_calls")


def llamaindex(count: int) -> None:
    def generated() -> Any:
        yield from chunks(count)

    for response in chat_responses(generated()):
        assert response.message.role == "assistant"
    assert len(response.message.blocks) == count


def langchain_chunks(count: int) -> None:
    converter = ChunkConverter()
    assert (
        len([piece for chunk in chunks(count) for piece in converter.convert(chunk)]) == count + 1
    )


def langchain_events(count: int) -> None:
    converter = EventConverter("m", "id")
    made = [event for chunk in chunks(count) for event in converter.convert(chunk)]
    assert len(made) == 3 * count + 2
    assert len(made[-1]["metadata"]["logprobs"]["content"]) == count


def cost(work: Callable[[int], None], size: int) -> float:
    """The least processor time of several tries, without the garbage collector, which goes over all of the process."""
    times = []
    gc.disable()
    try:
        for _ in range(TRIES):
            before = time.process_time()
            work(size)
            times.append(time.process_time() - before)
    finally:
        gc.enable()
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "size"),
    [
        (many_calls, 500),
        (many_calls_under_one_index, 500),
        (many_pieces_of_one_call, 1_000),
        (many_calls_in_the_text, 500),
        (many_indexes_in_no_order, 500),
        (parallel_calls_in_turn, 1_024),
        (many_calls_in_one_event, 500),
        (many_calls_in_one_body, 500),
        (many_choices, 500),
        (many_words, 1_000),
        (many_words_with_stops, 1_000),
        (many_words_of_reasoning, 1_000),
        (many_log_probabilities, 1_000),
        (white_space_before_a_body, 4_000),
        (a_body_byte_by_byte, 4_000),
        (an_event_byte_by_byte, 4_000),
        (comments_and_empty_lines, 2_000),
        (an_error_that_looks_like_a_key, 2_000),
        (llamaindex, 125),
        (langchain_chunks, 500),
        (langchain_events, 500),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_cost_grows_with_the_length_and_not_with_its_square(
    work: Callable[[int], None], size: int
) -> None:
    work(size)
    least, more, most = (cost(work, size * factor) for factor in (1, STEP, STEP * STEP))
    # In proportion it would be 4 and 16 times as much, by the square 16 and 256 times.
    assert more < 3 * STEP * least
    assert most < 3 * STEP * STEP * least
