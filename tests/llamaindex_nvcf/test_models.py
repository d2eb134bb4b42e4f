"""The five models: each answers whole and streamed, sync and async, and is asked as its page says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock

from llamaindex_nvcf import (
    NVCF,
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    NVCFWarning,
    PermissionDeniedError,
)
from nvcf_core import ModelSpec, register
from nvcf_core.models.catalog import known_models
from nvcf_emulator import Emulator

GEMMA = "google/gemma-3n-e2b-it"
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
MODELS = [GEMMA, OMNI, PALI, KIMI, SUPER]
HELLO = [ChatMessage(role="system", content="Be brief."), ChatMessage(content="hello")]


@pytest.mark.parametrize("model", MODELS)
def test_each_model_answers(make, server: Emulator, colour, way: str, model: str):
    llm = make(model)
    response = colour.answer(llm, way, HELLO)
    assert "hello" in response.message.content
    (request,) = server.chats
    assert request.path == ("/v1/vlm/google/paligemma" if model == PALI else "/v1/chat/completions")
    assert request.body.get("model") == (None if model == PALI else model)
    assert request.body["stream"] is (way == "stream")
    accept = "text/event-stream" if way == "stream" else "application/json"
    assert request.headers["accept"] == accept
    sent = {"messages", "model", "stream", "stream_options"}
    assert set(request.body) <= sent
    assert ("stream_options" in request.body) == (way == "stream" and model in (KIMI, SUPER))
    roles = [message["role"] for message in request.body["messages"]]
    assert roles == (["user"] if model == PALI else ["system", "user"])
    assert isinstance(response.message.blocks[0], ThinkingBlock) == (model in (OMNI, KIMI, SUPER))
    facts = response.additional_kwargs
    assert facts["finish_reason"] == "stop"
    assert facts["request_id"]
    if way == "whole" or model in (KIMI, SUPER):
        assert facts["total_tokens"] == facts["prompt_tokens"] + facts["completion_tokens"]
        assert facts["total_tokens"] == response.raw["usage"]["total_tokens"]


@pytest.mark.parametrize("model", MODELS)
def test_each_model_completes(make, server: Emulator, colour, model: str):
    llm = make(model)
    assert "hello" in colour.call(llm, "complete", "hello").text
    pieces = colour.stream(llm, "stream_complete", "hello")
    assert "".join(piece.delta for piece in pieces) == pieces[-1].text
    assert "hello" in pieces[-1].text
    whole, streamed = (request.body["messages"] for request in server.chats)
    assert whole == streamed == [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize("model", MODELS)
def test_metadata_is_the_rows(make, model: str):
    metadata = make(model).metadata
    row = next(row for row in known_models() if row.id == model)
    assert metadata.context_window == row.context_window
    assert metadata.num_output == min(row.max_output_tokens or 0, row.context_window // 4)
    assert metadata.model_name == model
    assert metadata.is_chat_model is True
    assert metadata.is_function_calling_model is (model in (KIMI, SUPER))


def test_metadata_may_be_overridden(make):
    llm = make(GEMMA, context_window=1000, is_function_calling_model=True, max_tokens=50)
    metadata = llm.metadata
    assert (metadata.context_window, metadata.num_output) == (1000, 50)
    assert metadata.is_function_calling_model is True
    with pytest.raises(InvalidRequestError, match="context_window=0 must be at least 1"):
        make(GEMMA, context_window=0)


def test_an_unknown_model_is_taken_as_it_is(make):
    metadata = make("someone/new").metadata
    assert metadata.is_function_calling_model is True
    assert metadata.num_output == 32_000


def test_a_registered_row_counts(make):
    register(ModelSpec(id="tests/own", context_window=12_345, parameters=frozenset(("tools",))))
    metadata = make("tests/own").metadata
    assert metadata.context_window == 12_345
    assert metadata.is_function_calling_model is True


def test_settings_of_the_object_and_of_the_call(make, server: Emulator, colour, way: str):
    llm = make(SUPER, temperature=0.5, max_tokens=9, seed=7)
    colour.answer(llm, way, HELLO, temperature=0.25, max_tokens=None, top_p=0.5)
    body = server.chats[0].body
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.25, 9, 7)
    assert body["top_p"] == 0.5


def test_a_model_given_per_call(make, server: Emulator, colour):
    colour.call(make(KIMI), "chat", HELLO, model=SUPER)
    assert server.chats[0].body["model"] == SUPER


def test_bounds_are_held_before_anything_is_sent(make, server: Emulator, colour, way: str):
    with pytest.raises(InvalidRequestError, match="temperature"):
        make(KIMI, temperature=1.5)
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        colour.answer(make(KIMI), way, HELLO, max_tokens=0)
    with pytest.raises(InvalidRequestError, match="no messages"):
        colour.answer(make(KIMI), way, [])
    assert server.requests == []


def test_an_unknown_keyword_goes_into_the_body_with_one_warning(make, server: Emulator):
    llm = make("someone/new")
    with pytest.raises(Exception, match="HTTP 404"):
        llm.chat(HELLO, min_p=0.1)
    assert server.chats[0].body["min_p"] == 0.1
    llm = make(GEMMA)
    with pytest.warns(NVCFWarning, match="min_p") as caught, pytest.raises(BadRequestError):
        llm.chat(HELLO, min_p=0.1)
    assert len(caught) == 1


@pytest.mark.parametrize("effort", ["none", "high"])
@pytest.mark.parametrize("model", [OMNI, KIMI, SUPER])
def test_thinking_is_one_switch(make, server: Emulator, colour, way: str, model: str, effort):
    response = colour.answer(make(model, reasoning_effort=effort), way, HELLO)
    thought = isinstance(response.message.blocks[0], ThinkingBlock)
    assert thought == (effort == "high")
    assert (
        response.additional_kwargs.get("reasoning_tokens", 0) > 0 or not thought or way == "stream"
    )


REASONING_SHAPES = [
    "reasoning-content", "reasoning-field", "reasoning-both", "think-tags",
    "reasoning-and-content-together", "small-pieces+think-tags", "first-null", "role-every",
]  # fmt: skip


@pytest.mark.parametrize("shape", REASONING_SHAPES)
def test_thoughts_stay_apart_in_every_shape(make, server: Emulator, colour, shape: str):
    server.reply(reasoning=["I ", "think"], text=["It ", "is"], shape=shape)
    pieces = colour.stream(make(KIMI), "stream_chat", HELLO)
    assert "".join(piece.delta for piece in pieces) == "It is"
    thoughts = [piece.additional_kwargs.get("thinking_delta", "") for piece in pieces]
    assert "".join(thoughts) == "I think"
    assert pieces[0].additional_kwargs.get("thinking_delta")
    last = pieces[-1]
    assert last.message.blocks[0].content == "I think"
    assert last.message.content == "It is"


def test_a_stop_that_the_page_lacks_is_enforced(make, server: Emulator, colour, way: str):
    server.reply(text=["one two ST", "OP three"])
    response = colour.answer(make(KIMI, stop=["STOP"]), way, HELLO)
    assert response.message.content == "one two "
    assert response.additional_kwargs["finish_reason"] == "stop"
    assert "stop" not in server.chats[0].body


def test_logprobs(make, server: Emulator, colour, way: str):
    response = colour.answer(make(SUPER), way, HELLO, logprobs=True, top_logprobs=2)
    assert len(response.logprobs) > 3
    text = "".join(token[0].token for token in response.logprobs)
    assert text == response.message.content
    assert all(1 <= len(token) <= 3 for token in response.logprobs)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("by_call", [True, False])
def test_the_headers_of_the_response_where_they_are_wanted(
    make, colour, way: str, include: bool, by_call: bool
):
    wanted = {"include_response_headers": include}
    llm, given = (
        (make(KIMI, include_response_headers=not include), wanted)
        if by_call
        else (make(KIMI, **wanted), {})
    )
    chat = colour.answer(llm, way, [ChatMessage(content="hi")], **given)
    completion = (
        colour.call(llm, "complete", "hi", **given)
        if way == "whole"
        else colour.stream(llm, "stream_complete", "hi", **given)[-1]
    )
    for response in (chat, completion):
        facts = response.additional_kwargs
        assert (facts.get("headers", {}).get("nvcf-reqid") == facts["request_id"]) == include


def test_several_choices_are_all_in_raw(make, server: Emulator):
    response = make(SUPER).chat(HELLO, n=3)
    assert len(response.raw["choices"]) == 3


def test_a_whole_call_may_be_streamed_underneath(make, server: Emulator, colour):
    calls = [{"name": "f", "arguments": {"a": 1}}]
    server.reply(reasoning="hm", text="yes", tool_calls=calls, unchecked=True)
    response = colour.call(make(KIMI, streaming=True), "chat", HELLO)
    assert server.chats[0].body["stream"] is True
    assert [block.block_type for block in response.message.blocks] == [
        "thinking", "text", "tool_call"
    ]  # fmt: skip
    assert response.raw["usage"]["total_tokens"] == response.additional_kwargs["total_tokens"]
    assert response.delta is None


def test_accepted_and_answered_later(make, server: Emulator, colour, way: str):
    server.accept(polls=2)
    server.reply(text="at last")
    told: list[float] = []
    response = colour.answer(make(KIMI, on_progress=told.append), way, HELLO)
    assert response.message.content == "at last"
    assert told


def test_a_function_by_its_id(make, server: Emulator, colour, way: str):
    function = "0c60f14d-46cb-465e-b994-227e1c3d5047"
    server.add_function(function, model=KIMI)
    response = colour.answer(make(KIMI, function_id=function), way, HELLO)
    assert "hello" in response.message.content
    assert server.chats[0].path.endswith(f"/pexec/functions/{function}")


def test_available_models(make, colour):
    models = colour.call(make(KIMI), "available_models")
    assert set(MODELS) <= set(models)


def test_a_wrong_key_and_a_missing_one(make, server: Emulator, colour, way: str):
    with pytest.raises(PermissionDeniedError) as caught:
        colour.answer(make(KIMI, api_key="nvapi-wrong"), way, HELLO)
    assert "nvapi-wrong" not in str(caught.value)
    with pytest.raises(AuthenticationError):
        colour.answer(make(KIMI, api_key=None), way, HELLO)


@pytest.mark.parametrize("key", ["plain", "callable", "async callable"])
def test_every_form_of_key(make, server: Emulator, colour, key: str):
    async def later() -> str:
        return server.api_key

    forms: dict[str, Any] = {
        "plain": server.api_key,
        "callable": lambda: server.api_key,
        "async callable": later,
    }
    llm = make(KIMI, api_key=forms[key])
    if key == "async callable" and colour.name == "sync":
        with pytest.raises(InvalidRequestError):
            colour.call(llm, "chat", HELLO)
    else:
        assert colour.call(llm, "chat", HELLO).message.content


def test_the_environment(server: Emulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NVIDIA_API_KEY", server.api_key)
    monkeypatch.setenv("NVIDIA_BASE_URL", server.base_url)
    monkeypatch.setenv("NVCF_URL", server.nvcf_url)
    with NVCF(model=KIMI) as llm:
        monkeypatch.delenv("NVIDIA_API_KEY")
        assert llm.chat(HELLO).message.content


def test_names_of_users_go_where_the_page_has_them(make, server: Emulator):
    message = ChatMessage(content="hello", additional_kwargs={"name": "ada"})
    for model in (KIMI, SUPER):
        make(model).chat([message])
        assert server.chats[-1].body["messages"][0]["name"] == "ada"


def test_a_tag_in_a_text_stays_text(make, server: Emulator):
    tag = '<img src="https://example.com/a.png" />'
    for model in (GEMMA, KIMI, PALI):
        with pytest.warns(NVCFWarning, match="parse"):
            answer = make(model).chat([ChatMessage(content=f"look: {tag}")])
        assert "Media:" not in answer.message.content
    answer = make(KIMI, media_tags="parse").chat([ChatMessage(content=f"look: {tag}")])
    assert "Media: 1." in answer.message.content


def test_unusual_texts_arrive_as_they_are(make, server: Emulator, colour):
    text = "nul \0, \u2028, 𝄞, \\u0041, " + "x" * 1_000_000
    colour.call(make(KIMI), "chat", [ChatMessage(content=text)])
    assert server.chats[0].body["messages"][0]["content"] == text
    with pytest.raises(InvalidRequestError):
        colour.call(make(KIMI), "chat", [ChatMessage(content="half \ud800")])


def test_the_same_message_is_sent_by_both_colours_byte_for_byte(make, server: Emulator, media):
    import asyncio

    from llama_index.core.base.llms.types import ImageBlock, TextBlock

    llm = make(KIMI)
    message = ChatMessage(blocks=[TextBlock(text="see"), ImageBlock(image=media.png())])
    llm.chat([message])
    asyncio.run(llm.achat([message]))
    one, other = server.chats
    assert one.raw == other.raw
    assert base64.b64encode(media.png()).decode() in json.dumps(one.body)


@pytest.mark.parametrize("prompt", [None, 5, b"bytes"])
def test_a_prompt_that_is_no_text_is_refused(nvcf_emulator: Emulator, prompt: Any) -> None:
    server = nvcf_emulator
    with (
        NVCF(model=KIMI, base_url=server.base_url, api_key=server.api_key) as llm,
        pytest.raises(InvalidRequestError, match="prompt must be a str"),
    ):
        llm.complete(prompt)
    assert not server.requests
