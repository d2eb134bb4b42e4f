"""Keywords of the constructor and of a call: nothing that a user wrote is dropped in silence."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool

from llamaindex_nvcf import NVCF, AuthenticationError, InvalidRequestError
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"
UNKNOWN = "someone/new-model"
HELLO = [ChatMessage(content="hello")]


@pytest.mark.nvcf_emulator(models=[UNKNOWN], strict=False)
def test_fields_of_the_body_in_the_constructor(make, server: Emulator, colour, way: str):
    llm = make(UNKNOWN, top_k=5, min_p=0.1)
    colour.answer(llm, way, HELLO)
    assert (server.chats[-1].body["top_k"], server.chats[-1].body["min_p"]) == (5, 0.1)
    colour.answer(llm, way, HELLO, top_k=3, min_p=None)
    assert (server.chats[-1].body["top_k"], server.chats[-1].body["min_p"]) == (3, 0.1)


@pytest.mark.nvcf_emulator(models=[UNKNOWN], strict=False)
def test_a_keyword_of_the_call_wins_over_the_constructors_dict_of_fields(
    make, server: Emulator, colour, way: str
):
    llm = make(UNKNOWN, additional_kwargs={"top_k": 5, "min_p": 0.1, "temperature": 0.3})
    colour.answer(llm, way, HELLO, top_k=3, temperature=0.9)
    body = server.chats[-1].body
    assert (body["top_k"], body["min_p"], body["temperature"]) == (3, 0.1, 0.9)


def test_log_probabilities_in_the_constructor(make, server: Emulator, colour, way: str):
    response = colour.answer(make(SUPER, logprobs=True), way, HELLO)
    assert server.chats[-1].body["logprobs"] is True
    assert response.logprobs


TAKEN: dict[str, Any] = {
    "top_k": 5,
    "max_completion_tokens": 7,
    "additional_kwargs": {"a": 1},
    "reasoning_effort": "medium",
    "proxy": "http://127.0.0.1:9",
    "call_timeout": 60.0,
    "tools_as_text": True,
    "include_response_headers": True,
    "context_window": 1000,
    "request_timeout": httpx.Timeout(5.0, read=60.0),
    "verify": False,
}


@pytest.mark.parametrize("how", ["dict", "json", "pickle", "deepcopy", "copy"])
def test_nothing_is_lost_on_the_way(how: str):
    llm = NVCF(UNKNOWN, base_url="http://127.0.0.1:1/v1", **TAKEN)
    twin = {
        "dict": lambda: NVCF.from_dict(llm.to_dict()),
        "json": lambda: NVCF.from_json(llm.to_json()),
        "pickle": lambda: pickle.loads(pickle.dumps(llm)),
        "deepcopy": lambda: copy.deepcopy(llm),
        "copy": llm.model_copy,
    }[how]()
    assert twin.to_dict() == llm.to_dict()
    assert twin.call_keywords == {"top_k": 5}
    assert (twin.max_tokens, twin.extra_body, twin.proxy) == (7, {"a": 1}, TAKEN["proxy"])
    assert (twin.timeout.connect, twin.timeout.read, twin.verify) == (5.0, 60.0, False)


def test_a_pickle_takes_the_urls_of_where_it_was_made(monkeypatch: pytest.MonkeyPatch):
    data = pickle.dumps(NVCF(KIMI))
    monkeypatch.setenv("NVIDIA_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("NVCF_URL", "http://127.0.0.1:9/n")
    twin = pickle.loads(data)
    assert (twin.base_url, twin.nvcf_url) == (None, None)


def test_misspelt_keywords(make, colour, way: str):
    with pytest.raises(InvalidRequestError, match="did you mean request_timeout") as caught:
        NVCF(KIMI, requst_timeout=3)
    assert caught.value.field == "requst_timeout"
    with pytest.raises(InvalidRequestError, match="did you mean context_window"):
        NVCF(KIMI, contex_window=3)
    with pytest.raises(InvalidRequestError, match="did you mean temperature"):
        colour.answer(make(), way, HELLO, temprature=0.5)


def test_an_invalid_request_is_not_a_value_error_here():
    with pytest.raises(InvalidRequestError) as caught:
        NVCF(KIMI, temprature=1)
    assert not isinstance(caught.value, ValueError)


def test_other_names(server: Emulator, colour, way: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-of-the-environment")
    with NVCF(
        model_name=KIMI,
        nvidia_api_key=server.api_key,
        api_base=server.base_url,
        nvcf_url=server.nvcf_url,
        request_timeout=30,
        max_completion_tokens=20,
    ) as llm:
        colour.answer(llm, way, HELLO)
    assert server.chats[-1].body["model"] == KIMI
    assert server.chats[-1].body["max_tokens"] == 20


def test_the_model_needs_no_keyword():
    assert NVCF("someone/x").model == NVCF(model="someone/x").model == "someone/x"
    with pytest.raises(InvalidRequestError, match="both are given"):
        NVCF("someone/x", model_name="someone/y")


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        (KIMI, {}, 65_536),
        (KIMI, {"context_window": 32_768}, 8_192),
        (KIMI, {"max_tokens": 500}, 500),
        (KIMI, {"context_window": 32_768, "max_tokens": 30_000}, 30_000),
        (GEMMA, {}, 8_192),
        (GEMMA, {"context_window": 400_000}, 8_192),
        (UNKNOWN, {}, 32_000),
        (UNKNOWN, {"context_window": 4_000}, 1_000),
    ],
)
def test_room_for_the_answer(model: str, settings: Any, expected: int):
    metadata = NVCF(model, **settings).metadata
    assert metadata.num_output == expected
    assert metadata.num_output < metadata.context_window


def test_at_a_server_of_ones_own_any_model_may_be_given_tools():
    own = NVCF(GEMMA, base_url="http://127.0.0.1:1/v1").metadata
    assert own.is_function_calling_model
    assert not NVCF(GEMMA).metadata.is_function_calling_model


def test_a_tool_that_is_forced_is_not_thought_about(make, server: Emulator, colour, way: str):
    tool = FunctionTool.from_defaults(lambda: "12:00", name="now", description="The time.")
    method = "chat_with_tools" if way == "whole" else "stream_chat_with_tools"
    act = colour.call if way == "whole" else colour.stream
    act(make(), method, [tool], user_msg="hello", tool_required=True)
    assert server.chats[-1].body["chat_template_kwargs"] == {"thinking": False}
    act(make(), method, [tool], user_msg="hello")
    assert "chat_template_kwargs" not in server.chats[-1].body


def key_of_the_module() -> str:
    return "nvapi-of-the-module"


def test_a_key_that_is_a_function_travels(make):
    llm = make(api_key=key_of_the_module)
    assert pickle.loads(pickle.dumps(llm)).api_key is key_of_the_module
    assert llm.api_key is key_of_the_module


@pytest.mark.parametrize("times", [1, 2])
def test_a_key_that_did_not_travel_is_named(make, colour, way: str, times: int):
    twin = make()
    for _ in range(times):
        twin = pickle.loads(pickle.dumps(twin))
    with twin, pytest.raises(AuthenticationError, match=r"not pickled.*NVIDIA_API_KEY"):
        colour.answer(twin, way, HELLO)
