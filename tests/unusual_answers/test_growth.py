"""Answers with very many tool calls or pieces cost processor time in proportion to their length."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_nvcf.outputs import ChunkConverter
from langchain_nvcf.stream_events import EventConverter
from llamaindex_nvcf.responses import chat_responses
from nvcf_core import Chunk, ToolCall
from nvcf_core.exchange import Response
from nvcf_core.response.decoder import decoder_for
from nvcf_core.response.options import DecodeOptions

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
