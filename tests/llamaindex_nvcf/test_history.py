"""Histories of any provider and of any earlier failure: what arrives at the service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock

from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


def turn(*blocks: Any, **extra: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=extra)


def result(text: str, **extra: Any) -> ChatMessage:
    return ChatMessage(role="tool", content=text, additional_kwargs=extra)


@pytest.fixture(params=["whole", "streamed"])
def send(request: pytest.FixtureRequest, make: Any, server: Emulator, colour: Any) -> Any:
    """Asks a model, whole or streamed, sync or async, and gives the messages that arrived."""

    def asked(messages: list[ChatMessage], model: str = KIMI, **settings: Any) -> list[Any]:
        server.reply(text="ok")
        llm = make(model, **settings)
        if request.param == "whole":
            colour.call(llm, "chat", messages)
        else:
            colour.stream(llm, "stream_chat", messages)
        messages_sent: list[Any] = server.chats[-1].body["messages"]
        return messages_sent

    return asked


@pytest.mark.parametrize("written", ['{"a": ', "[1]", "not JSON"])
def test_arguments_that_are_not_an_object_do_not_end_the_thread(send: Any, written: str):
    history = [
        ChatMessage(content="go"),
        turn(
            TextBlock(text="Let me see."),
            ToolCallBlock(tool_call_id="c1", tool_name="f", tool_kwargs=written),
        ),
        result("no such thing", tool_call_id="c1"),
    ]
    [call] = send(history)[1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"INVALID_JSON": written}
