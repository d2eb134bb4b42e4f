"""Limits of time over all of something, where a server sends a byte now and then to keep a call waiting."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nvcf_core.errors import (
    APITimeoutError,
    InvalidResponseError,
    NVCFError,
    PollingTimeoutError,
    StreamInterruptedError,
)
from nvcf_core.exchange import Request
from nvcf_core.response import json_body
from nvcf_core.transport.driver import FlowRunner
from nvcf_core.transport.time_limits import TimeLimits
from nvcf_core.wire import parse_json

ENDLESS = 30.0
"""Seconds after which a server here stops by itself: far beyond every limit."""


def event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


MESSAGE = {"role": "assistant", "content": "whole"}
WHOLE = json.dumps(
    {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
).encode()
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def dripping(data: bytes, pause: float = 0.05) -> list[bytes | float]:
    """The same bytes again and again."""
    return [data, pause] * int(ENDLESS / pause)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is inside has to end soon after it may: with room for a busy machine, but far before the server ends."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds + ENDLESS / 4


async def test_after_its_end_an_answer_keeps_nobody_waiting(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    end = chunked(event("all of it", "stop") + b"data: [DONE]\n\n")
    raw.answer(EVENTS, end, *dripping(chunked(b": ping\n\n")))
    with within(1):
        answer = await ask(adapter(base_url=raw.url, streaming=True), [say("hi")])
    assert answer.text == "all of it"


async def test_white_space_behind_an_answer_keeps_nobody_waiting(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    raw.answer(JSON, chunked(WHOLE), 0.05, *dripping(chunked(b"  \n")))
    with within(1):
        answer = await ask(adapter(base_url=raw.url), [say("hi")])
    assert answer.text == "whole"


LONGER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([JSON, chunked(WHOLE)], id="chunks without the last one"),
        pytest.param(
            [JSON, *(each for at in range(0, len(WHOLE), 9) for each in (0.002, chunked(WHOLE[at : at + 9])))],
            id="in pieces",
        ),
        pytest.param([LONGER, WHOLE], id="shorter than its length"),
        pytest.param([UNFRAMED, WHOLE + b"\n"], id="without a length"),
    ],
)  # fmt: skip
async def test_silence_behind_an_answer_keeps_nobody_waiting(
    ask: Any, adapter: Any, raw: Any, say: Any, answer: list[bytes | float]
) -> None:
    raw.answer(*answer, ENDLESS)
    with within(1):
        whole = await ask(adapter(base_url=raw.url), [say("hi")])
    assert whole.text == "whole"


async def test_white_space_before_an_answer_is_not_waited_for_for_ever(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    raw.answer(JSON, *dripping(chunked(b"  \n")))
    limits = {"timeout": 0.5, "stream_chunk_timeout": 0.5, "max_retries": 0}
    with within(1), pytest.raises(StreamInterruptedError):
        await ask(adapter(base_url=raw.url, **limits), [say("hi")])


@pytest.mark.parametrize(
    "dripped",
    [
        pytest.param(chunked(b": ping\n\n"), id="comments"),
        pytest.param(chunked(b"data:\n\n"), id="empty events"),
        pytest.param(chunked(b" "), id="an event without end"),
    ],
)
async def test_until_the_answer_begins_the_read_limit_runs_whatever_comes(
    ask: Any, adapter: Any, raw: Any, say: Any, dripped: bytes
) -> None:
    """Who waits for a whole answer waits no longer than for a chunk, once there is anything."""
    raw.answer(EVENTS, *dripping(dripped))
    limits = {"timeout": 0.5, "stream_chunk_timeout": 0.3, "max_retries": 0}
    said = r"0\.5 s \(timeout\)" if ask.streams else r"0\.3 s \(stream_chunk_timeout\)"
    with within(1), pytest.raises(StreamInterruptedError, match=said):
        await ask(adapter(base_url=raw.url, **limits), [say("hi")])


@pytest.mark.parametrize("limit", ["timeout", "stream_chunk_timeout"])
@pytest.mark.parametrize("begun", [b"", b" ", b'{"choices": ['])
async def test_white_space_without_an_answer_is_bounded_by_both_limits(
    ask: Any, adapter: Any, raw: Any, say: Any, limit: str, begun: bytes
) -> None:
    raw.answer(JSON, *([chunked(begun)] if begun else []), *dripping(chunked(b" ")))
    limits = {"timeout": 30, "stream_chunk_timeout": 30, "max_retries": 0, limit: 0.5}
    with within(1), pytest.raises(StreamInterruptedError, match=rf"0\.5 s \({limit}\)"):
        await ask(adapter(base_url=raw.url, **limits), [say("hi")])


async def test_a_json_text_that_drips_is_bounded_in_all(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    raw.answer(JSON, chunked(b'{"choices": ['), *dripping(chunked(b"{},")))
    limits = {"timeout": 0.5, "stream_chunk_timeout": 30, "max_retries": 0}
    with within(1), pytest.raises(StreamInterruptedError, match=r"0\.5 s \(timeout\)"):
        await ask(adapter(base_url=raw.url, **limits), [say("hi")])


@pytest.mark.parametrize("dripped", [b"x", b": ping\n\n", b"data:\n\n"])
async def test_signs_of_life_keep_a_stream_and_not_who_waits_for_all_of_it(
    ask: Any, adapter: Any, raw: Any, say: Any, dripped: bytes
) -> None:
    """Each comes sooner than the limit. Only a whole line is one; half an event that goes on for ever is none."""
    rest = [chunked(event("two", "stop") + b"data: [DONE]\n\n"), b"0\r\n\r\n"]
    raw.answer(EVENTS, chunked(event("one ")), *[0.1, chunked(dripped)] * 12, 0.1, *rest)
    model = adapter(base_url=raw.url, timeout=30, stream_chunk_timeout=0.5, max_retries=0)
    if ask.streams and dripped.endswith(b"\n"):
        assert (await ask(model, [say("hi")])).text == "one two"
        return
    with pytest.raises(StreamInterruptedError, match="stream_chunk_timeout") as caught:
        await ask(model, [say("hi")])
    assert caught.value.partial.text == "one "


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_large_result_that_drips_is_bounded_in_all(
    adapter: Any, raw: Any, colour: str
) -> None:
    """It may take long, a MiB at a time: one byte now and then is not that."""
    raw.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", *dripping(b"x"))
    model = adapter(base_url=raw.url, timeout=0.5)

    def flow() -> Any:
        return (yield Request("fetch", "GET", raw.url + "/result", authorized=False))

    async def fetch() -> Any:
        if colour == "sync":
            return await asyncio.to_thread(model._client.run_flow, flow(), model._own_options())
        return await model._client.arun_flow(flow(), model._own_options())

    with within(1), pytest.raises(APITimeoutError, match=r"0\.5 s \(timeout\)"):
        await fetch()


async def test_a_body_that_seems_whole_again_and_again_is_not_parsed_each_time(
    ask: Any, adapter: Any, raw: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White space after a `}` may be what follows an answer, which is looked for by parsing it."""
    parsed: list[int] = []

    def count(data: bytes) -> Any:
        parsed.append(len(data))
        return parse_json(data)

    monkeypatch.setattr(json_body, "parse_json", count)
    body = [each for _ in range(150) for each in (chunked(b'{"a":{}'), 0.002, chunked(b" "), 0.002)]
    raw.answer(JSON, *body, b"0\r\n\r\n")
    with pytest.raises(InvalidResponseError):
        await ask(adapter(base_url=raw.url, max_retries=0), [say("hi")])
    assert sum(parsed) < 20 * 150 * len(b'{"a":{} ')


ACCEPTED = b"HTTP/1.1 202 Accepted\r\nnvcf-reqid: 1\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "poll",
    [
        pytest.param([b"HTTP/1.1 202 Accepted\r\n", *dripping(b"x: y\r\n")], id="head"),
        pytest.param(
            [b"HTTP/1.1 202 Accepted\r\nnvcf-reqid: 1\r\ncontent-length: 9999\r\n\r\n", *dripping(b"x")],
            id="body",
        ),
        pytest.param([b"HTTP/1.1 500 No\r\ncontent-length: 9999\r\n\r\n", *dripping(b"x")], id="error"),
        pytest.param([EVENTS, *dripping(chunked(b": ping\n\n"))], id="an answer of comments"),
        pytest.param([EVENTS, *dripping(chunked(b"data"))], id="an answer of one event"),
        pytest.param([JSON, *dripping(chunked(b" "))], id="an answer of white space"),
        pytest.param([JSON, chunked(b'{"choices": ['), *dripping(chunked(b"{},"))], id="an answer"),
        pytest.param([ACCEPTED], id="again and again"),
    ],
)  # fmt: skip
async def test_polls_end_when_their_time_is_over(
    ask: Any, adapter: Any, raw: Any, say: Any, poll: Any
) -> None:
    raw.answer(ACCEPTED)
    raw.answer(*poll)
    begun = time.monotonic()
    with within(1.6), pytest.raises(PollingTimeoutError, match=r"after 0\.6 s \(poll_timeout\)"):
        await ask(adapter(base_url=raw.url, nvcf_url=raw.url, poll_timeout=0.6), [say("hi")])
    assert time.monotonic() - begun >= 0.6, "not before it is over"


async def test_an_answer_that_is_there_in_time_is_fetched(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    """It is done at 0.9 of a limit of 1.1 seconds, where pauses that double would have left off at 0.7."""
    ready = time.monotonic() + 0.9
    body = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    answer = body % (len(WHOLE), WHOLE)
    raw.answer(ACCEPTED)
    raw.answers.append(lambda: [ACCEPTED if time.monotonic() < ready else answer])
    model = adapter(base_url=raw.url, nvcf_url=raw.url, poll_timeout=1.1)
    assert (await ask(model, [say("hi")])).text == "whole"


async def held(model: Any, call: Any, colour: str, form: str) -> Any:
    """An answer, in one of four ways."""
    client = model._client
    if colour == "sync":
        if form == "whole":
            return await asyncio.to_thread(client.complete, call)
        return await asyncio.to_thread(lambda: list(client.stream(call)))
    if form == "whole":
        return await client.acomplete(call)
    return [chunk async for chunk in client.astream(call)]


@pytest.mark.parametrize("form", ["whole", "stream"])
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize(
    ("answer", "begun"),
    [
        pytest.param([ENDLESS], False, id="silence"),
        pytest.param([b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"], False, id="retries"),
        pytest.param([ACCEPTED], False, id="polls"),
        pytest.param(
            [EVENTS, *dripping(chunked(event("word ")))], True, id="an answer without end"
        ),
    ],
)
async def test_all_of_a_call(
    adapter: Any, raw: Any, say: Any, answer: Any, begun: bool, colour: str, form: str
) -> None:
    raw.answer(*answer)
    model = adapter(base_url=raw.url, nvcf_url=raw.url, max_retries=1000)
    call = model._build_request([say("hi")], {}, stream=True)
    call = dataclasses.replace(call, options=dataclasses.replace(call.options, call_timeout=0.7))
    with within(1.7), pytest.raises(NVCFError) as caught:
        await held(model, call, colour, form)
    error: Any = caught.value
    if begun:
        assert isinstance(error, StreamInterruptedError)
        assert error.partial.text.startswith("word word ")
        error = error.__cause__
    assert isinstance(error, APITimeoutError)
    assert "call_timeout" in str(error)


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_the_time_of_a_call_ends_though_all_of_the_answer_has_arrived(
    adapter: Any, raw: Any, say: Any, monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    """A small body can be a long answer, and who reads it may take long over each piece."""
    over = False
    monkeypatch.setattr(FlowRunner, "is_over", lambda _: over)
    body = gzip.compress(event("word ") * 20_000)
    head = "content-type: text/event-stream\r\ncontent-encoding: gzip"
    raw.answer(
        b"HTTP/1.1 200 OK\r\n%s\r\ncontent-length: %d\r\n\r\n" % (head.encode(), len(body)), body
    )
    model = adapter(base_url=raw.url, call_timeout=300)
    call = model._build_request([say("hi")], {}, stream=True)
    counted = 0

    async def read() -> None:
        nonlocal counted, over
        if colour == "sync":
            for _ in model._client.stream(call):
                counted, over = counted + 1, True
        else:
            async for _ in model._client.astream(call):
                counted, over = counted + 1, True

    with pytest.raises(StreamInterruptedError) as caught:
        await read()
    assert "longer than 300 s (call_timeout)" in str(caught.value.__cause__)
    assert 0 < counted < 2_000, "more was handed out than had been decoded"
    assert caught.value.partial.text == "word " * counted


async def test_a_polled_answer_that_begins_in_time_may_take_long(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    raw.answer(ACCEPTED)
    words = [each for _ in range(12) for each in (chunked(event("word ")), 0.1)]
    raw.answer(EVENTS, *words, chunked(event("end", "stop") + b"data: [DONE]\n\n"), b"0\r\n\r\n")
    model = adapter(base_url=raw.url, nvcf_url=raw.url, poll_timeout=0.6)
    assert (await ask(model, [say("hi")])).text == "word " * 12 + "end"


async def test_the_time_of_the_call_is_told_of_a_polled_answer_too(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    raw.answer(ACCEPTED)
    raw.answer(EVENTS, *dripping(chunked(b": ping\n\n")))
    model = adapter(base_url=raw.url, nvcf_url=raw.url, poll_timeout=20, call_timeout=0.5)
    with within(0.5), pytest.raises(StreamInterruptedError, match="call_timeout"):
        await ask(model, [say("hi")])


def test_a_phase_that_ends_soon_can_be_given_a_little_more() -> None:
    limits = TimeLimits({"read": 100.0})
    limits.extend_to(1)
    assert limits.left() is None, "no limit is none"
    limits.begin("read")
    until = limits.until
    limits.extend_to(1)
    assert limits.until == until
    limits.extend_to(200)
    assert 199 < (limits.left() or 0) <= 200
    limits.deadline = time.monotonic() + 250
    limits.extend_to(300)
    assert 249 < (limits.left() or 0) <= 250, "not beyond all of the call"


def test_what_is_no_piece_does_not_start_the_time_anew() -> None:
    limits = TimeLimits({"read": 100.0})
    limits.begin("read")
    limits.limit_between_chunks(1.0, "stream_chunk_timeout")
    until = limits.until
    limits.keep_running_timer()
    limits.chunk_arrived()
    assert limits.until == until
    limits.chunk_arrived()
    assert (limits.left() or 0) <= 1


def test_a_phase_ends_with_its_time_or_with_the_deadline() -> None:
    limits = TimeLimits({"connect": 10.0, "read": None, "write": 5.0, "pool": None})
    assert limits.left() is None
    limits.begin("connect")
    assert 9 < (limits.left() or 0) <= 10
    limits.begin("read")
    assert limits.left() is None
    limits.deadline = time.monotonic() + 1
    for phase in ("connect", "read", "write"):
        limits.begin(phase)  # type: ignore[arg-type]
        assert 0 < (limits.left() or 0) <= 1


def test_reading_on_does_not_start_the_time_anew() -> None:
    limits = TimeLimits({"read": 100.0, "write": 100.0})
    limits.begin("write")
    limits.wait_for_response()
    until = limits.until
    for _ in range(3):
        limits.wait_for_response()
    assert limits.until == until
    limits.limit_total()
    limits.chunk_arrived()
    assert limits.body_limit == (100.0, "timeout")
    limits.limit_between_chunks(1.0, "stream_chunk_timeout")
    limits.chunk_arrived()
    assert limits.body_limit == (1.0, "stream_chunk_timeout")
    limits.finish_within(50.0)
    assert (limits.left() or 0) <= 1, "it never makes a limit longer"
