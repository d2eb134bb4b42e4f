"""Answers that are read while they arrive: broken off, standing still, left early."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from nvcf_core.errors import (
    APITimeoutError,
    InvalidResponseError,
    StreamInterruptedError,
)


@pytest.mark.parametrize("kind", ["truncate", "bad-json", "bad-utf8"])
async def test_an_answer_that_breaks_off(
    kind: Any, ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fault(kind)
    server.reply(text=["one ", "two ", "three ", "four"], times=2)
    if ask.streams:
        with pytest.raises(StreamInterruptedError) as caught:
            await ask(adapter(), [say("hi")])
        assert caught.value.partial.text == "one two "
        assert caught.value.request_id
    elif kind == "truncate":
        assert (await ask(adapter(), [say("hi")])).text == "one two three four"
    else:
        with pytest.raises(InvalidResponseError):
            await ask(adapter(), [say("hi")])
    assert len(server.requests) == (1 if ask.streams or kind != "truncate" else 2)


async def test_what_came_before_a_failure_is_handed_out_first(
    adapter: Any, server: Any, say: Any
) -> None:
    server.error_in_stream("error-object", after=2)
    server.reply(text=["one ", "two ", "three "])
    model = adapter()
    chunks = model._client.stream(model._build_request([say("hi")], {}, stream=True))
    assert [next(chunks).text, next(chunks).text] == ["one ", "two "]
    with pytest.raises(StreamInterruptedError, match="the engine has stopped"):
        next(chunks)


async def test_a_connection_that_breaks_after_the_answer_is_whole(
    ask: Any, adapter: Any, raw: Any, say: Any
) -> None:
    event = {
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": "all"}, "finish_reason": "stop"}],
    }
    data = f"data: {json.dumps(event)}\n\n".encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"

    def broken() -> Iterator[bytes]:
        yield head % (len(data) + 10) + data
        raise OSError

    raw.answers.append(broken)
    assert (await ask(adapter(base_url=raw.url), [say("hi")])).text == "all"


async def test_a_last_event_that_was_handed_out_is_not_asked_for_again(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    """The body ends without the blank line that ends an event, and before the answer is whole."""
    event = {"id": "c", "choices": [{"index": 0, "delta": {"content": "half of it"}}]}
    data = f"data: {json.dumps(event)}\n".encode()
    server.raw(headers={"content-type": "text/event-stream"}, chunks=[data])
    server.reply(text="all of it")
    if ask.streams:
        with pytest.raises(StreamInterruptedError) as caught:
            await ask(adapter(), [say("hi")])
        assert caught.value.partial.text == "half of it"
    else:
        assert (await ask(adapter(), [say("hi")])).text == "all of it"


async def test_an_answer_that_stands_still(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.fault("stall-body")
    server.reply(text=["one ", "two ", "three "])
    limits = {"stream_chunk_timeout": 0.2, "timeout": httpx.Timeout(5, read=0.2)}
    with pytest.raises(StreamInterruptedError, match=r"nothing arrived for 0\.2 s") as caught:
        await ask(adapter(**limits, max_retries=0), [say("hi")])
    assert isinstance(caught.value.__cause__, APITimeoutError)


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_comments_are_a_sign_of_life_but_not_for_ever(
    colour: str, adapter: Any, server: Any, say: Any
) -> None:
    first = b'data: {"choices":[{"index":0,"delta":{"content":"begun"}}]}\n\n'
    server.raw(
        headers={"content-type": "text/event-stream"}, chunks=[first, *[b": ping\n\n"] * 30_000]
    )
    async with adapter() as model:
        call = model._build_request([say("hi")], {}, stream=True)
        call = replace(call, options=replace(call.options, keepalive_limit=0.05))

        async def read() -> None:
            if colour == "sync":
                await asyncio.to_thread(list, model._client.stream(call))
            else:
                _ = [chunk async for chunk in model._client.astream(call)]

        with pytest.raises(StreamInterruptedError, match=r"0\.05 s \(comments alone\)") as caught:
            await read()
    assert caught.value.partial.text == "begun"
    assert isinstance(caught.value.__cause__, APITimeoutError)
    assert await asyncio.to_thread(server.wait_until, lambda: server.streaming == 0, 5.0)


async def test_leaving_a_stream_closes_the_connection(adapter: Any, server: Any, say: Any) -> None:
    model = adapter()
    server.reply(text=["word "] * 500, chunk_delay=0.01, times=2)
    chunks = model._client.stream(model._build_request([say("hi")], {}, stream=True))
    assert next(chunks).text
    chunks.close()
    with pytest.raises(StopIteration):
        next(chunks)
    achunks = model._client.astream(model._build_request([say("hi")], {}, stream=True))
    assert (await anext(achunks)).text
    await achunks.aclose()
    await model.aclose()
    async with asyncio.timeout(5):
        while server.open_connections:
            await asyncio.sleep(0.01)
