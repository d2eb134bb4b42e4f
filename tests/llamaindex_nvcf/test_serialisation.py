"""A model travels: dumps, pickles and copies work, and none of them holds the key."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from llamaindex_nvcf import NVCF, InvalidRequestError, RateLimitError
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
KEY = "nvapi-very-secret-key"
HELLO = [ChatMessage(content="hello")]
SETTINGS: dict[str, Any] = {
    "temperature": 0.25,
    "max_tokens": 99,
    "stop": ["a", "b"],
    "reasoning_effort": "low",
    "chat_template_kwargs": {"thinking": True},
    "extra_body": {"top_p": 0.5},
    "streaming": True,
    "context_window": 1000,
    "is_function_calling_model": False,
    "system_prompt": "Be brief.",
    "pydantic_program_mode": PydanticProgramMode.FUNCTION,
    "media_tags": "parse",
    "requests_per_minute": 40,
}


def messages_to_prompt(messages: Any) -> str:
    return "joined"


def completion_to_prompt(prompt: str) -> str:
    return f"<{prompt}>"


class Thing(BaseModel):
    name: str


def test_every_field_of_the_framework_is_taken_by_name():
    own: dict[str, Any] = {
        "callback_manager": CallbackManager([]),
        "system_prompt": "s",
        "messages_to_prompt": messages_to_prompt,
        "completion_to_prompt": completion_to_prompt,
        "output_parser": PydanticOutputParser(output_cls=Thing),
        "pydantic_program_mode": PydanticProgramMode.LLM,
        "query_wrapper_prompt": PromptTemplate("{query_str}"),
        "rate_limiter": TokenBucketRateLimiter(requests_per_minute=5),
    }
    llm = NVCF(model=KIMI, **own)
    for name, value in own.items():
        assert getattr(llm, name) is value or getattr(llm, name) == value
    assert set(FunctionCallingLLM.model_fields) == set(own)
    assert NVCF(model=KIMI, callback_manager=None).callback_manager is not None


def test_a_dictionary_there_and_back():
    llm = NVCF(model=KIMI, api_key=KEY, **SETTINGS)
    data = llm.to_dict()
    assert data["class_name"] == NVCF.class_name() == "NVCF"
    again = NVCF.from_dict(data)
    assert again.to_dict() == data
    assert NVCF.from_json(llm.to_json()).to_dict() == data
    for name, value in SETTINGS.items():
        assert getattr(again, name) == value


def travelled(llm: NVCF, how: str) -> NVCF:
    if how == "pickle":
        return pickle.loads(pickle.dumps(llm))
    return copy.deepcopy(llm) if how == "deepcopy" else copy.copy(llm)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "copy"])
def test_a_copy_asks_as_the_original_does(
    make, server: Emulator, monkeypatch: pytest.MonkeyPatch, how: str
):
    llm = make(KIMI, **{**SETTINGS, "requests_per_minute": None})
    monkeypatch.setenv("NVIDIA_API_KEY", server.api_key)
    llm.complete("before")
    with travelled(llm, how) as other:
        assert other.to_dict() == llm.to_dict()
        other.complete("hello")
        llm.complete("hello")
    assert server.chats[1].body == server.chats[2].body


def test_pickling_drops_the_key_and_a_deep_copy_keeps_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    llm = NVCF(model=KIMI, api_key=KEY)
    data = pickle.dumps(llm)
    assert KEY.encode() not in data
    assert pickle.loads(data).api_key is None
    assert copy.deepcopy(llm).api_key.get_secret_value() == KEY
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-of-the-other-side")
    assert pickle.loads(data).api_key.get_secret_value() == "nvapi-of-the-other-side"


def test_pickling_leaves_the_original_as_it_was(caplog: pytest.LogCaptureFixture):
    def key() -> str:
        return KEY

    told: list[float] = []
    limiter = TokenBucketRateLimiter(requests_per_minute=5)
    llm = NVCF(
        model=KIMI, api_key=key, on_progress=lambda done: told.append(done), rate_limiter=limiter
    )
    with caplog.at_level(logging.WARNING):
        again = pickle.loads(pickle.dumps(llm))
    assert llm.api_key is key
    assert llm.on_progress is not None
    assert llm.rate_limiter is limiter
    assert again.on_progress is None
    assert "api_key" not in caplog.text
    assert copy.deepcopy(llm).rate_limiter is limiter


def test_an_injected_client_does_not_travel():
    with httpx.Client() as client:
        llm = NVCF(model=KIMI, http_client=client)
        with pytest.raises(InvalidRequestError, match="http_client"):
            pickle.dumps(llm)
        assert "http_client" not in llm.to_dict()


def test_the_key_is_in_nothing_that_can_be_seen(make, server: Emulator, caplog):
    llm = make(KIMI)
    with caplog.at_level(logging.DEBUG):
        response = llm.chat(HELLO)
        server.fail(429, times=9, body={"error": {"message": f"bad key {server.api_key}"}})
        with pytest.raises(RateLimitError) as caught:
            llm.chat(HELLO, max_retries=0)
    shown = [
        repr(llm),
        str(llm),
        json.dumps(llm.to_dict()),
        llm.to_json(),
        str(llm.to_payload() if hasattr(llm, "to_payload") else ""),  # Newer versions have it.
        str(llm.metadata),
        str(llm.model_dump()),
        response.model_dump_json(),
        caplog.text,
        str(caught.value),
        repr(caught.value),
        str(caught.value.__dict__),
    ]
    for text in shown:
        assert server.api_key not in text
    assert server.api_key.encode() not in pickle.dumps(llm)


def asked_elsewhere(llm: NVCF) -> str:
    return llm.complete("hello").text


def test_it_works_in_another_process(make, server: Emulator, monkeypatch: pytest.MonkeyPatch):
    llm = make(KIMI)
    llm.complete("warm up")
    monkeypatch.setenv("NVIDIA_API_KEY", server.api_key)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        assert "hello" in pool.submit(asked_elsewhere, llm).result(timeout=60)
