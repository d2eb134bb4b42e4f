"""`stream_events(version="v3")` through the native hook, over sockets."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import RateLimitError
from nvcf_emulator import Emulator


def weather(city: str) -> str:
    """The weather in a city."""
    return city


def kinds(events: list[Any]) -> list[str]:
    """What happened, with the block's type where one starts or ends."""
    names = []
    for event in events:
        content = event.get("content", {}).get("type")
        names.append(f"{event['event']} {content}" if content else event["event"])
    return names


def test_text_reasoning_and_calls(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.reply(
        reasoning=["Hm", "."],
        text=["I ", "look."],
        tool_calls=[
            {"id": f"c{city}", "name": "weather", "arguments": {"city": city}} for city in "ab"
        ],
        shape="tool-interleaved",
    )
    found = colour.events(chat().bind_tools([weather]), "Hello")
    assert_valid_event_stream(found.events)
    names = kinds(found.events)
    deltas = [name for name in names if name != "content-block-delta"]
    assert deltas == [
        "message-start",
        "content-block-start reasoning",
        "content-block-finish reasoning",
        "content-block-start text",
        "content-block-finish text",
        "content-block-start tool_call_chunk",
        "content-block-start tool_call_chunk",
        "content-block-finish tool_call",
        "content-block-finish tool_call",
        "message-finish",
    ]
    start, finish = found.events[0], found.events[-1]
    assert start["metadata"] == {"provider": "nvcf", "model": "moonshotai/kimi-k2.6"}
    assert start["id"].startswith("lc_run-")
    assert finish["usage"]["total_tokens"] > 0
    assert finish["metadata"]["finish_reason"] == "tool_calls"
    message = found.message
    assert [block["type"] for block in message.content] == [
        "reasoning",
        "text",
        "tool_call",
        "tool_call",
    ]
    assert [call["args"] for call in message.tool_calls] == [{"city": "a"}, {"city": "b"}]
    assert message.usage_metadata["total_tokens"] == finish["usage"]["total_tokens"]
    assert message.response_metadata["model_provider"] == "nvcf"
    assert message.response_metadata["request_id"]


def test_the_projections(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(reasoning=["Hm", "."], text=["I ", "look."])
    stream = chat().stream_events("Hello", version="v3")
    assert list(stream.text) == ["I ", "look."]
    assert str(stream.reasoning) == "Hm."


def test_a_call_that_was_cut(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.reply(
        tool_calls=[{"name": "weather", "arguments": '{"city": "Par'}], finish_reason="length"
    )
    found = colour.events(chat().bind_tools([weather]), "Hello")
    assert_valid_event_stream(found.events)
    assert found.message.tool_calls == []
    [invalid] = found.message.invalid_tool_calls
    assert invalid["args"] == '{"city": "Par'
    assert "max_tokens" in invalid["error"]


def test_what_comes_back_is_sent_again(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    calls = [{"id": "c1", "name": "weather", "arguments": {"city": "a"}}]
    nvcf_emulator.reply(reasoning="Hm.", text="I look.", tool_calls=calls, unchecked=True)
    message = colour.events(chat(), "Hello").message
    colour.invoke(chat(), [("user", "Hello"), message, ("user", "Go on")])
    assert nvcf_emulator.chats[1].body["messages"][1] == {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "Hm.",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "a"}'},
            }
        ],
    }


def test_the_same_as_langchains_own_bridge(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = [{"id": "c1", "name": "weather", "arguments": {"city": "a"}}]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    nvcf_emulator.reply(
        reasoning="Hm.", text="I look.", tool_calls=calls, usage=usage, times=2, unchecked=True
    )
    native = colour.events(chat(), "Hello").message
    for hook in ("_stream_chat_model_events", "_astream_chat_model_events"):
        assert not hasattr(BaseChatModel, hook)
        monkeypatch.delattr(ChatNVCF, hook)
    bridged = colour.events(chat(), "Hello").message
    assert native.content == bridged.content
    assert native.tool_calls == bridged.tool_calls
    assert native.additional_kwargs == bridged.additional_kwargs
    assert native.usage_metadata == bridged.usage_metadata
    assert native.response_metadata.keys() == bridged.response_metadata.keys()


class Recorder(BaseCallbackHandler):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.seen.append("start")

    def on_stream_event(self, event: Any, **_: Any) -> None:
        self.seen.append(event["event"])

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self.seen.append("end")

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.seen.append(type(error).__name__)


def test_callbacks_hear_every_event_once(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    recorder = Recorder()
    found = colour.events(chat(), "Hello", config={"callbacks": [recorder]})
    assert recorder.seen[0] == "start"
    assert sorted(recorder.seen[1:]) == sorted([*(event["event"] for event in found.events), "end"])


def test_errors_of_events_are_typed(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    recorder = Recorder()
    nvcf_emulator.fail(429)
    with pytest.raises(RateLimitError):
        colour.events(chat(), "Hello", config={"callbacks": [recorder]})
    assert recorder.seen == ["start", "RateLimitError"]


async def test_events_that_are_left_early(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    model = chat()
    nvcf_emulator.reply(text=["piece "] * 1000, chunk_delay=0.01)
    stream = await model.astream_events("Hello", version="v3")
    async for _ in stream:
        break
    await stream.aclose()
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.streaming == 0)
    await model.aclose()


@pytest.mark.filterwarnings("ignore:astream_events version='v1' is deprecated")
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_older_events(chat: Callable[..., ChatNVCF], version: Any) -> None:
    model = chat()
    names = [event["event"] async for event in model.astream_events("Hello", version=version)]
    assert names[0] == "on_chat_model_start"
    assert names[-1] == "on_chat_model_end"
    assert names.count("on_chat_model_stream") > 2
    await model.aclose()
