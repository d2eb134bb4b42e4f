"""What LlamaIndex's dispatcher, callbacks, token counter and limiter see, each thing once."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import (
    CallbackManager,
    CBEventType,
    LlamaDebugHandler,
    TokenCountingHandler,
)
from llama_index.core.llms import callbacks
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import BaseRateLimiter
from pydantic import BaseModel

from llamaindex_nvcf import ServerError, StreamInterruptedError
from nvcf_emulator import Emulator

HELLO = [ChatMessage(content="hello")]
WAYS = ["chat", "complete", "stream_chat", "stream_complete"]


def ask(colour: Any, llm: Any, method: str, **given: Any) -> list[Any]:
    """Every response of a call, whole or streamed."""
    question = HELLO if "chat" in method else "hello"
    if method.startswith("stream"):
        return colour.stream(llm, method, question, **given)
    return [colour.call(llm, method, question, **given)]


@pytest.mark.parametrize("method", WAYS)
def test_each_call_reports_itself_once(make, server: Emulator, colour, events, method: str):
    server.reply(text=["one", " two"], reasoning=["hm"])
    responses = ask(colour, make(), method)
    kind = "LLMChat" if "chat" in method else "LLMCompletion"
    pieces = [f"{kind}InProgressEvent"] * 4 if method.startswith("stream") else []
    assert events.names == [f"{kind}StartEvent", *pieces, f"{kind}EndEvent"]
    assert events.seen[-1].response == responses[-1]
    assert [event.response for event in events.seen[1:-1]] == (responses if pieces else [])
    start = events.seen[0]
    named = {
        start.model_dict.get(name) for name in ("model_name", "model")
    }  # By the version of the framework.
    assert "moonshotai/kimi-k2.6" in named
    assert server.api_key not in str([event.model_dump() for event in events.seen])
    assert len({event.span_id for event in events.seen}) == 1
    assert f"NVCF.{'a' if colour.name == 'async' else ''}{method}" in start.span_id


@pytest.mark.parametrize("method", WAYS)
def test_each_call_calls_back_once(make, colour, method: str):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    ask(colour, make(callback_manager=CallbackManager([debug])), method)
    assert len(debug.get_event_pairs(CBEventType.LLM)) == 1
    assert len(debug.get_events()) == 2


@pytest.mark.parametrize("method", WAYS)
def test_an_error_is_reported_once_and_is_our_own(make, server, colour, events, method: str):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    server.fail(500)
    with pytest.raises(ServerError) as caught:
        ask(colour, make(callback_manager=CallbackManager([debug])), method, max_retries=0)
    kind = "LLMChat" if "chat" in method else "LLMCompletion"
    last = "ExceptionEvent" if method.startswith("stream") else "SpanDropEvent"
    assert events.names == [f"{kind}StartEvent", last]
    (pair,) = debug.get_event_pairs(CBEventType.LLM)
    assert pair[1].payload["exception"] is caught.value
    assert len(server.chats) == 1


@pytest.mark.parametrize("method", WAYS[2:])
def test_a_stream_that_breaks_tells_what_had_arrived(make, server, colour, events, method: str):
    server.error_in_stream("error-object", after=2)
    server.reply(text=["one", " two", " three"])
    with pytest.raises(StreamInterruptedError) as caught:
        ask(colour, make(), method)
    assert caught.value.partial.text == "one two"
    kind = "LLMChat" if "chat" in method else "LLMCompletion"
    progress = f"{kind}InProgressEvent"
    assert events.names == [f"{kind}StartEvent", progress, progress, "ExceptionEvent"]
    assert events.seen[-1].exception is caught.value


ENDLESS = {"text": ["word "] * 2000, "chunk_delay": 0.005}


@pytest.mark.parametrize("method", WAYS[2:])
@pytest.mark.parametrize("end", ["close", "forget"])
def test_a_stream_left_early_closes_though_its_listeners_keep_everything(
    make, server: Emulator, events, method: str, end: str
):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    server.reply(**ENDLESS)
    llm = make(callback_manager=CallbackManager([debug]))
    stream = getattr(llm, method)(HELLO if "chat" in method else "hello")
    next(stream)
    assert server.streaming == 1
    if end == "close":
        stream.close()
    del stream
    assert server.wait_until(lambda: server.streaming == 0)
    kind = "LLMChat" if "chat" in method else "LLMCompletion"
    assert events.names == [f"{kind}StartEvent", f"{kind}InProgressEvent", "ExceptionEvent"]
    assert isinstance(events.seen[-1].exception, GeneratorExit)
    assert len(debug.get_event_pairs(CBEventType.LLM)) == 1


@pytest.mark.parametrize("method", WAYS[2:])
@pytest.mark.parametrize("end", ["close", "forget", "cancel", "timeout"])
async def test_an_async_stream_left_early_closes_too(
    make, server: Emulator, events, method: str, end: str
):
    server.reply(**ENDLESS)
    llm = make()
    begun = asyncio.Event()

    async def read() -> None:
        stream = await getattr(llm, f"a{method}")(HELLO if "chat" in method else "hello")
        async for _ in stream:
            begun.set()
            if end in ("close", "forget"):
                break
        if end == "close":
            await stream.aclose()

    task = asyncio.create_task(read())
    await begun.wait()
    if end == "cancel":
        task.cancel()
    if end == "timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await task
    await asyncio.wait([task])
    gc.collect()
    assert await asyncio.to_thread(server.wait_until, lambda: server.streaming == 0)
    assert events.names[-1] == "ExceptionEvent"
    assert events.names.count("ExceptionEvent") == 1
    if closing := asyncio.all_tasks() - {asyncio.current_task()}:
        # The loop itself closes a stream that was forgotten.
        assert end == "forget"
        _, left = await asyncio.wait(closing, timeout=1)
        assert not left
    await llm.aclose()


@pytest.fixture
def made_events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events of responses in a stream that the framework makes, whether or not anybody listens."""
    made: list[Any] = []
    for name in ("LLMChatInProgressEvent", "LLMCompletionInProgressEvent"):
        kind = getattr(callbacks, name)

        def make_event(kind: Any = kind, **fields: Any) -> Any:
            made.append(kind(**fields))
            return made[-1]

        monkeypatch.setattr(callbacks, name, make_event)
    return made


@pytest.mark.parametrize("method", WAYS[2:])
def test_while_nobody_listens_there_is_no_event_for_each_response(
    make, server: Emulator, colour, made_events: list[Any], method: str
):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    server.reply(text=["one", " two", " three"])
    responses = ask(colour, make(callback_manager=CallbackManager([debug])), method)
    assert [response.delta for response in responses] == ["one", " two", " three", ""]
    assert [event.response for event in made_events] == responses[-1:]
    [(_, end)] = debug.get_event_pairs(CBEventType.LLM)
    assert responses[-1] in end.payload.values()


@pytest.mark.parametrize("method", WAYS[2:])
def test_while_nobody_listens_an_error_is_reported_all_the_same(
    make, server: Emulator, colour, made_events: list[Any], method: str
):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    server.error_in_stream("error-object", after=2)
    server.reply(text=["one", " two", " three"])
    with pytest.raises(StreamInterruptedError) as caught:
        ask(colour, make(callback_manager=CallbackManager([debug])), method)
    assert made_events == []
    [(_, end)] = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload["exception"] is caught.value


@pytest.mark.parametrize("method", WAYS[2:])
@pytest.mark.parametrize("end", ["close", "forget"])
def test_while_nobody_listens_a_stream_left_early_closes(
    make, server: Emulator, method: str, end: str
):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    server.reply(**ENDLESS)
    llm = make(callback_manager=CallbackManager([debug]))
    stream = getattr(llm, method)(HELLO if "chat" in method else "hello")
    next(stream)
    if end == "close":
        stream.close()
    del stream
    assert server.wait_until(lambda: server.streaming == 0)
    [(_, last)] = debug.get_event_pairs(CBEventType.LLM)
    assert isinstance(last.payload["exception"], GeneratorExit)


@pytest.mark.parametrize("method", WAYS[2:])
async def test_while_nobody_listens_a_cancelled_stream_closes(make, server: Emulator, method: str):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    server.reply(**ENDLESS)
    llm = make(callback_manager=CallbackManager([debug]))
    begun = asyncio.Event()

    async def read() -> None:
        stream = await getattr(llm, f"a{method}")(HELLO if "chat" in method else "hello")
        async for _ in stream:
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.wait_until, lambda: server.streaming == 0)
    [(_, last)] = debug.get_event_pairs(CBEventType.LLM)
    assert isinstance(last.payload["exception"], asyncio.CancelledError)
    await llm.aclose()


def test_who_listens_halfway_hears_the_end(make, server: Emulator, request: pytest.FixtureRequest):
    server.reply(text=["one", " two", " three"])
    stream = make().stream_chat(HELLO)
    next(stream)
    events = request.getfixturevalue("events")
    *_, last = stream
    assert events.names == ["LLMChatInProgressEvent", "LLMChatEndEvent"]
    assert events.seen[-1].response == last


def test_a_listener_of_the_frameworks_own_dispatcher_hears_of_each_response(
    make, server: Emulator, colour, events, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(callbacks.dispatcher, "event_handlers", [events])
    monkeypatch.setattr(callbacks.dispatcher, "propagate", False)
    server.reply(text=["one", " two"])
    ask(colour, make(), "stream_chat")
    assert events.names == ["LLMChatStartEvent", *["LLMChatInProgressEvent"] * 3, "LLMChatEndEvent"]


def test_what_a_dispatcher_does_not_pass_on_needs_no_event(
    make, server: Emulator, colour, events, made_events: list[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(callbacks.dispatcher, "propagate", False)
    server.reply(text=["one", " two"])
    assert len(ask(colour, make(), "stream_chat")) == 3
    assert len(made_events) == 1
    assert events.names == []


def test_a_stream_that_nobody_reads_asks_nothing(make, server: Emulator):
    stream = make().stream_chat(HELLO)
    del stream
    gc.collect()
    assert server.requests == []


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("model", ["moonshotai/kimi-k2.6", "nvidia/nemotron-3-super-120b-a12b"])
def test_the_token_counter_counts_what_the_service_counted(make, server, colour, method, model):
    usage = {"prompt_tokens": 1234, "completion_tokens": 567, "total_tokens": 1801}
    counter = TokenCountingHandler(tokenizer=list)
    llm = make(model, callback_manager=CallbackManager([counter]))
    for _ in range(2):
        server.reply(text="x", usage=usage)
        response = ask(colour, llm, method)[-1]
        assert response.raw["usage"] == usage
        assert response.additional_kwargs["total_tokens"] == 1801
    assert counter.prompt_llm_token_count == 2 * 1234
    assert counter.completion_llm_token_count == 2 * 567
    assert counter.total_llm_token_count == 2 * 1801


def test_cumulative_usage_is_not_added_up(make, server: Emulator, colour):
    counter = TokenCountingHandler(tokenizer=list)
    server.reply(text="one two three four", shape="usage-cumulative", reasoning="hm")
    llm = make(callback_manager=CallbackManager([counter]))
    last = ask(colour, llm, "stream_chat")[-1]
    assert counter.completion_llm_token_count == last.additional_kwargs["completion_tokens"] == 5


class Limiter(BaseRateLimiter):
    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.asked += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.asked += 1


@pytest.mark.parametrize("method", WAYS)
def test_the_frameworks_limiter_is_asked_once_a_call(make, colour, method: str):
    limiter = Limiter()
    ask(colour, make(rate_limiter=limiter), method)
    assert limiter.asked == 1


def test_retries_are_not_doubled(make, server: Emulator, colour):
    limiter = Limiter()
    server.fail(503, times=5, retry_after=0)
    with pytest.raises(ServerError):
        ask(colour, make(max_retries=2, rate_limiter=limiter), "chat")
    assert len(server.chats) == 3
    assert limiter.asked == 1


class Person(BaseModel):
    name: str


def test_structured_prediction_reports_itself_once(make, server: Emulator, colour, events):
    prompt = PromptTemplate("who?")
    server.reply(tool_calls=[{"name": "Person", "arguments": {"name": "Ann"}}])
    colour.call(make(), "structured_predict", Person, prompt)
    assert events.names == [
        "LLMStructuredPredictStartEvent",
        "LLMChatStartEvent",
        "LLMChatEndEvent",
        "LLMStructuredPredictEndEvent",
    ]
    assert events.seen[-1].output == Person(name="Ann")
    events.seen.clear()
    server.reply(tool_calls=[{"name": "Person", "arguments": {"name": "Ann"}}])
    found = colour.stream(make(), "stream_structured_predict", Person, prompt)
    own = [event for event in events.seen if "Structured" in event.class_name()]
    assert [event.output for event in own[1:-1]] == found
    assert own[-1].class_name() == "LLMStructuredPredictEndEvent"
    assert events.names.count("LLMChatStartEvent") == events.names.count("LLMChatEndEvent") == 1


@pytest.mark.parametrize("early", [False, True])
async def test_spans_do_not_leak_into_each_other(make, server: Emulator, events, early: bool):
    llm = make()

    async def one(number: int) -> None:
        stream = await llm.astream_chat([ChatMessage(content=f"q{number}")])
        async for _ in stream:
            if early:
                break
        await stream.aclose()

    await asyncio.gather(*(one(number) for number in range(10)))
    starts = {
        event.span_id: event.messages[0].content
        for event in events.seen
        if event.class_name() == "LLMChatStartEvent"
    }
    assert len(starts) == 10
    for event in events.seen:
        if event.class_name() == "LLMChatInProgressEvent":
            assert starts[event.span_id] == event.messages[0].content
    await llm.aclose()
