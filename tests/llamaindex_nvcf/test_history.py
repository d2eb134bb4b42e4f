"""Histories of any provider and of any earlier failure: what arrives at the service."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_nvcf import BadRequestError, InvalidRequestError, NVCFWarning
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"
UNKNOWN = "someone/self-hosted"
GO = ChatMessage(content="go")


def said(role: str, *blocks: Any, **extra: Any) -> ChatMessage:
    found = [TextBlock(text=block) if isinstance(block, str) else block for block in blocks]
    return ChatMessage(role=role, blocks=found, additional_kwargs=extra)


def called(*names: str, thought: str = "hm", arguments: Any = "{}") -> ChatMessage:
    calls = [
        ToolCallBlock(tool_call_id=f"c{place}", tool_name=name, tool_kwargs=arguments)
        for place, name in enumerate(names)
    ]
    return said("assistant", *([ThinkingBlock(content=thought)] if thought else []), *calls)


def result(*blocks: Any, place: int | None = 0) -> ChatMessage:
    return said("tool", *blocks, **({} if place is None else {"tool_call_id": f"c{place}"}))


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, colour: Any) -> Any:
    """Asks a model, whole or streamed, sync or async."""

    def asked(llm: Any, messages: list[ChatMessage], **keywords: Any) -> None:
        if request.param == "whole":
            colour.call(llm, "chat", messages, **keywords)
        else:
            colour.stream(llm, "stream_chat", messages, **keywords)

    return asked


@pytest.fixture
def send(make: Any, server: Emulator, ask: Any) -> Any:
    """Asks a model and gives the messages that arrived."""

    def arrived(messages: list[ChatMessage], model: str = KIMI, **settings: Any) -> Any:
        server.reply(text="ok")
        ask(make(model, **settings), messages)
        return server.chats[-1].body["messages"]

    return arrived


@pytest.mark.parametrize("written", ['{"a": ', "[1]", "not JSON"])
def test_arguments_that_are_not_an_object_do_not_end_the_thread(send: Any, written: str):
    history = [GO, called("f", arguments=written), result("no such thing")]
    [call] = send(history)[1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"INVALID_JSON": written}


@pytest.mark.parametrize("nothing", ["", " ", "null", "{}", "None", {}])
def test_arguments_that_mean_nothing_are_none(send: Any, nothing: Any):
    plain = {"id": "c0", "function": {"name": "f", "arguments": nothing}}
    thought = ThinkingBlock(content="hm")
    for past in (called("f", arguments=nothing), said("assistant", thought, tool_calls=[plain])):
        [call] = send([GO, past, result("x")])[1]["tool_calls"]
        assert call["function"]["arguments"] == "{}"


def test_calls_without_text_have_no_content(server: Emulator, send: Any):
    server.refuse_empty_content = True
    assert send([GO, called("f"), result("x")])[1]["content"] is None


def test_a_call_without_reasoning_does_not_end_the_thread(make: Any, server: Emulator, ask: Any):
    server.require_reasoning = True
    llm, history = make(KIMI), [GO, called("f", thought=""), result("x")]
    server.reply(text="ok", times=3)
    with pytest.warns(NVCFWarning, match=r"messages\[1\] calls a tool and has no reasoning"):
        ask(llm, history)
    ask(llm, history)  # Warned of once.
    ask(llm, history, reasoning_effort="none")
    first, second, off = [request.body["messages"][1] for request in server.chats]
    assert first["reasoning_content"]
    assert second["reasoning_content"] == first["reasoning_content"]
    assert "reasoning_content" not in off


def test_an_answer_that_says_nothing_is_left_out(server: Emulator, send: Any):
    server.refuse_empty_content = True
    spent = said("assistant", ThinkingBlock(content="spent"))
    history = [said("user", "a"), spent, said("user", "b")]
    assert [message["content"] for message in send(history)] == ["a", "b"]
    assert send(history, SUPER) == [{"role": "user", "content": "a\n\nb"}]


def test_gemma_alternates(server: Emulator, send: Any):
    server.alternating = True
    turns = [("system", "one"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("system", "two")]
    history = [said(role, text) for role, text in [*turns, ("user", "d")]]
    assert send(history, GEMMA) == [
        {"role": "system", "content": "one\n\ntwo"},
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]


def test_gemma_does_not_begin_with_an_answer(make: Any, ask: Any):
    with pytest.raises(InvalidRequestError, match=r"messages\[1\] has role assistant"):
        ask(make(GEMMA), [said("system", "s"), said("assistant", "Hello!"), GO])


class SignatureBlock(BaseContentBlock):
    """What only another provider can read."""

    block_type: str = "signature"


def conversation(role: str, block: Any) -> list[ChatMessage]:
    """A history with a block that `ChatMessage` itself would not take."""
    message = said(role, "Hi", **({"tool_call_id": "c0"} if role == "tool" else {}))
    message.blocks.append(block)
    return [GO, *([called("f")] if role == "tool" else []), message, GO]


def test_what_only_its_maker_can_read_is_left_out_of_answers(make: Any, server: Emulator, ask: Any):
    llm = make(KIMI)
    server.reply(text="ok", times=2)
    pdf = DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf")
    said_why = r"messages\[1\]\.blocks\[1\].*left out of the earlier answer"
    with pytest.warns(NVCFWarning, match=said_why):
        ask(llm, conversation("assistant", SignatureBlock()))
    ask(llm, conversation("assistant", pdf))  # Warned of once.
    for request in server.chats:
        assert request.body["messages"][1] == {"role": "assistant", "content": "Hi"}
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]\.blocks\[1\]: SignatureBlock"):
        ask(llm, conversation("user", SignatureBlock()))


def test_encrypted_reasoning_is_left_out_with_a_warning(make: Any, server: Emulator, ask: Any):
    llm = make(KIMI)
    server.reply(text="ok")
    hidden = ThinkingBlock(additional_information={"encrypted_content": "xyz"})
    with pytest.warns(NVCFWarning, match=r"messages\[1\]\.blocks\[1\]: encrypted reasoning"):
        ask(llm, conversation("assistant", hidden))
    ask(llm, conversation("assistant", ThinkingBlock()))  # Nothing was thought.
    for request in server.chats:
        assert request.body["messages"][1] == {"role": "assistant", "content": "Hi"}


def test_a_file_that_a_tool_returned_does_not_end_the_thread(make: Any, server: Emulator, ask: Any):
    pdf = DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf")
    server.reply(text="ok")
    with pytest.warns(NVCFWarning, match=r"messages\[2\]\.blocks\[1\].*application/pdf"):
        ask(make(KIMI), conversation("tool", pdf))
    line = "[document, application/pdf; not shown: this model cannot read it]"
    assert server.chats[0].body["messages"][2]["content"] == f"Hi\n{line}"


def test_a_tools_image_that_the_model_cannot_see(make: Any, server: Emulator, ask: Any, media: Any):
    data = media.png()
    history = [GO, called("f"), result(ImageBlock(image=data))]
    llm = make(SUPER)
    server.reply(text="ok", times=2)
    with pytest.warns(NVCFWarning, match=r"messages\[2\]: \[image, png"):
        ask(llm, history)
    ask(llm, [*history, said("assistant", "A map."), GO])
    line = f"[image, png, {len(data)} bytes; not shown: this model takes no images]"
    assert [request.body["messages"][2]["content"] for request in server.chats] == [line] * 2


@pytest.mark.parametrize("mime", ["image/png", "application/zip", None])
def test_what_a_tool_calls_an_image_and_is_none(
    make: Any, server: Emulator, ask: Any, media: Any, mime: str | None
):
    blocks = [
        ImageBlock(image=data, image_mimetype=mime) for data in (b"<html>404</html>", media.mp4())
    ]
    llm, history = make(KIMI), [GO, called("f"), result(*blocks)]
    server.reply(text="ok", times=2)
    with pytest.warns(NVCFWarning, match=r"messages\[2\]: \[image.*its bytes are not image data"):
        ask(llm, history)
    ask(llm, [*history, said("assistant", "So."), said("user", "Sure?")])
    for request in server.chats:
        sent = request.body["messages"][2]["content"]
        assert sent.count("not shown: its bytes are not image data") == len(blocks)


def test_the_images_of_many_turns_do_not_end_the_thread(
    make: Any, server: Emulator, colour: Any, media: Any, tmp_path: Any
):
    """Each is small enough to go inline, and all of them are too many for the assets of one request."""
    history = [GO]
    for number in range(14):
        shot = tmp_path / f"{number}.png"
        shot.write_bytes(media.png() + bytes(100_000 + number))
        history += [called("screenshot"), result(ImageBlock(path=shot))]
    llm = make(KIMI)
    server.reply(text="ok")
    with pytest.warns(NVCFWarning, match=r"messages\[4\]: \[image, png, .*10 assets at most"):
        colour.call(llm, "chat", history)
    [request] = server.chats
    shown = [message["content"] for message in request.body["messages"][1:]]
    left_out = ["10 assets at most" in str(content) for content in shown[2::3]]
    assert left_out == [False, *[True] * 3, *[False] * 10]
    assert len(request.headers["nvcf-input-asset-references"].split(",")) == 10


def test_images_of_two_tools_are_introduced(send: Any, media: Any):
    block = ImageBlock(image=media.png())
    history = [GO, called("draw", "photo"), result(block), result("ok", block, place=1)]
    parts = send(history)[-1]["content"]
    assert [part.get("text") for part in parts] == [
        "Returned by draw (call c0):", None, "Returned by photo (call c1):", None
    ]  # fmt: skip


@pytest.mark.parametrize("validation", ["warn", "off"])
@pytest.mark.parametrize("text", [["see"], []])
def test_without_validation_media_are_sent_to_any_model(
    make: Any, server: Emulator, media: Any, validation: str, text: list[str]
):
    llm = make(SUPER, validation=validation, max_retries=0)
    server.fail(400)
    history = [said("user", *text, ImageBlock(image=media.png()))]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(BadRequestError):
            llm.chat(history)
    parts = server.chats[-1].body["messages"][0]["content"]
    assert [part["type"] for part in parts] == [*["text"] * len(text), "image_url"]
    told = [str(warning.message) for warning in warned if warning.category is NVCFWarning]
    assert any("sent all the same" in message for message in told) == (validation == "warn")


def test_a_system_message_with_an_image_at_a_server_of_ones_own(send: Any, media: Any):
    arrived = send([said("system", "Look.", ImageBlock(image=media.png())), GO], UNKNOWN)
    assert [part["type"] for part in arrived[0]["content"]] == ["text", "image_url"]


def test_a_tool_history_for_a_model_without_tools(make: Any, send: Any):
    history = [GO, called("weather"), result("20 degrees"), said("user", "and?")]
    with pytest.raises(InvalidRequestError, match=r"messages\[1\].*tools_as_text=True"):
        make(GEMMA).chat(history)
    assert send(history, GEMMA, tools_as_text=True) == [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "Call of weather: {}"},
        {"role": "user", "content": "Result of weather:\n20 degrees\n\nand?"},
    ]


def test_a_lone_result_belongs_to_its_call(make: Any, send: Any):
    assert send([GO, called("f"), result("x", place=None)])[2]["tool_call_id"] == "c0"
    two = [GO, called("f", "g"), result("x", place=None), result("y", place=None)]
    with pytest.raises(InvalidRequestError, match=r"messages\[2\].*tool_call_id"):
        make(KIMI).chat(two)


def test_names_are_made_safe_and_who_spoke_is_kept(send: Any):
    hi, ho = said("user", "hi", name="Research Agent"), said("user", "ho", name="bob")
    assert send([hi])[0]["name"] == "Research_Agent"
    assert send([hi, ho], SUPER) == [{"role": "user", "content": "Research Agent: hi\n\nbob: ho"}]


def test_another_agents_last_message_is_the_users(send: Any):
    handed = [said("user", "6 * 7?"), said("assistant", "42", name="math")]
    assert send(handed, SUPER) == [{"role": "user", "content": "6 * 7?\n\nmath: 42"}]


def test_places_are_the_callers_own(make: Any, media: Any):
    image, audio = ImageBlock(image=media.png()), AudioBlock(audio=media.wav())
    joined = [said("system", "a"), said("system", "b"), said("user", "c"), said("user", "d")]
    with pytest.raises(InvalidRequestError, match=r"messages\[4\] has image") as caught:
        make(SUPER).chat([*joined, said("user", "e", image)])
    assert caught.value.field == "messages[4]"
    moved = [GO, called("f"), result(image), said("assistant", "b"), GO]
    with pytest.raises(InvalidRequestError, match=r"messages\[5\] has audio"):
        make(KIMI).chat([*moved, said("user", audio)])


def test_eleven_assets_are_refused(make: Any, server: Emulator, ask: Any):
    blocks = [
        ImageBlock(url=f"data:image/png;asset_id,0f8fad5b-d9cb-469f-a165-7086772895{number:02}")
        for number in range(11)
    ]
    with pytest.raises(InvalidRequestError, match="11 assets; the service takes 10"):
        ask(make(KIMI), [said("user", *blocks)])
    assert server.requests == []


def test_tools_by_dict(make: Any, server: Emulator, ask: Any):
    server.reply(text="ok")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        {"name": "now", "description": "It."},
        {"name": "weather", "inputSchema": schema},
        {"name": "then", "inputSchema": {"type": "object"}},
        {"name": "tides", "parameters_json_schema": schema},
        {"toolSpec": {"name": "climate", "inputSchema": {"json": schema}}},
    ]
    ask(make(KIMI), [GO], tools=tools)
    functions = [tool["function"] for tool in server.chats[0].body["tools"]]
    nothing = {"type": "object", "properties": {}}
    assert [function["name"] for function in functions] == [
        "now", "weather", "then", "tides", "climate",
    ]  # fmt: skip
    assert [function["parameters"] for function in functions] == [
        nothing, schema, nothing, schema, schema,
    ]  # fmt: skip
