"""Token counts: without a tokenizer, media as media, tools included."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, trim_messages

from langchain_nvcf import NVCFLLM, ChatNVCF

KIMI = "moonshotai/kimi-k2.6"


@pytest.fixture(params=[ChatNVCF, NVCFLLM])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("socket.socket", lambda *_, **__: pytest.fail("a socket was opened"))
    return request.param(model=KIMI, api_key="x")


def test_texts(model: Any) -> None:
    assert model.get_num_tokens("") == 0
    assert model.get_num_tokens("abcd" * 100) == 100
    assert model.get_num_tokens("日本語" * 100) == 225


def test_messages_reasoning_and_calls(model: Any) -> None:
    call = {"name": "f", "args": {"text": "x" * 400}, "id": "1", "type": "tool_call"}
    plain = model.get_num_tokens_from_messages([HumanMessage("x" * 400)])
    assert 100 <= plain <= 110
    calls = model.get_num_tokens_from_messages([AIMessage("", tool_calls=[call])])
    assert 100 <= calls <= 115
    thought = AIMessage("", additional_kwargs={"reasoning_content": "x" * 400})
    assert 100 <= model.get_num_tokens_from_messages([thought]) <= 110


def test_media_count_as_media(
    model: Any, large_image: SimpleNamespace, audio: SimpleNamespace
) -> None:
    blocks = [
        {"type": "image", "base64": large_image.base64, "mime_type": "image/png"},
        {"type": "audio", "base64": audio.base64, "mime_type": "audio/wav"},
        {"type": "video", "url": "https://example.com/a.mp4"},
    ]
    counts = [model.get_num_tokens_from_messages([HumanMessage([block])]) for block in blocks]
    assert all(500 < count < 10_000 for count in counts)


def test_tools_count(model: Any) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    without = model.get_num_tokens_from_messages([HumanMessage("Hi")])
    assert model.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[weather]) > without + 20


def test_a_counter_of_ones_own() -> None:
    model = ChatNVCF(model=KIMI, custom_get_token_ids=lambda text: list(range(len(text.split()))))
    assert model.get_num_tokens("one two three") == 3
    assert model.get_token_ids("one two") == [0, 1]
    with pytest.raises(NotImplementedError, match="custom_get_token_ids"):
        ChatNVCF(model=KIMI).get_token_ids("one")


def test_trimming(model: Any) -> None:
    messages: list[BaseMessage] = [
        HumanMessage("x" * 400),
        AIMessage("y" * 400),
        HumanMessage("z" * 40),
    ]
    kept = trim_messages(messages, max_tokens=150, token_counter=model, strategy="last")
    assert [message.content[0] for message in kept] == ["y", "z"]
