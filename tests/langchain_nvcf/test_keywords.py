"""Keywords of the constructor and of a call: nothing that a user wrote is dropped in silence."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, dumps, load
from langchain_core.runnables import ConfigurableField

from langchain_nvcf import NVCFLLM, ChatNVCF
from langchain_nvcf.errors import AuthenticationError, InvalidRequestError, NVCFWarning
from nvcf_core.errors import InvalidRequestError as CoreInvalidRequestError
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"


def now() -> str:
    """The time."""
    return "12:00"


def last_body(server: Emulator) -> dict[str, Any]:
    body = server.chats[-1].body
    assert isinstance(body, dict)
    return body


@pytest.mark.nvcf_emulator(models=[UNKNOWN], strict=False)
def test_fields_of_the_body_in_the_constructor(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    model = chat(UNKNOWN, top_k=5, min_p=0.1, logit_bias={"1": 2})
    ask(model, "hello")
    body = last_body(nvcf_emulator)
    assert (body["top_k"], body["min_p"], body["logit_bias"]) == (5, 0.1, {"1": 2})
    ask(model, "hello", top_k=3)
    assert last_body(nvcf_emulator)["top_k"] == 3
    ask(model.bind(top_k=4), "hello", min_p=None)
    assert last_body(nvcf_emulator)["top_k"] == 4
    assert last_body(nvcf_emulator)["min_p"] == 0.1


@pytest.mark.nvcf_emulator(models=[UNKNOWN], strict=False)
def test_a_keyword_of_the_call_wins_over_the_constructors_dict_of_fields(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    model = chat(UNKNOWN, model_kwargs={"top_k": 5, "min_p": 0.1, "temperature": 0.3})
    ask(model.bind(top_k=3), "hello", temperature=0.9)
    body = last_body(nvcf_emulator)
    assert (body["top_k"], body["min_p"], body["temperature"]) == (3, 0.1, 0.9)
    ask(model, "hello", extra_body={"top_k": 4})
    body = last_body(nvcf_emulator)
    assert (body["top_k"], body["temperature"]) == (4, 0.3)


def test_log_probabilities_in_the_constructor(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    answer = ask(chat(SUPER, logprobs=True, top_logprobs=2), "hello")
    assert answer.response_metadata["logprobs"]["content"]
    assert last_body(nvcf_emulator)["top_logprobs"] == 2


def test_tools_in_the_constructor_are_those_of_a_call(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    ask(chat(tools=[now], tool_choice="any"), "hello")
    body = last_body(nvcf_emulator)
    assert body["tools"][0]["function"]["name"] == "now"
    assert body["tool_choice"] == "required"
    assert body["chat_template_kwargs"] == {"thinking": False}


def test_several_answers(
    chat: Callable[..., ChatNVCF], colour: Any, nvcf_emulator: Emulator
) -> None:
    for model, given in (
        (chat(SUPER, n=2), {}),
        (chat(SUPER, n=2, streaming=True), {}),
        (chat(SUPER, streaming=True), {"n": 2}),
    ):
        result = (
            model.generate([_messages(model)], **given)
            if colour.name == "sync"
            else _run(model.agenerate([_messages(model)], **given))
        )
        assert len(result.generations[0]) == 2
        assert last_body(nvcf_emulator)["stream"] is False
        assert last_body(nvcf_emulator)["n"] == 2
        with pytest.raises(InvalidRequestError, match="a stream has one answer"):
            colour.stream(model, "hello", **given)


def _messages(model: ChatNVCF) -> list[Any]:
    return model._convert_input("hello").to_messages()


def _run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_several_answers_of_an_llm(
    llm: Callable[..., NVCFLLM], colour: Any, nvcf_emulator: Emulator
) -> None:
    model = llm(SUPER, n=2, streaming=True)
    result = (
        model.generate(["hello"]) if colour.name == "sync" else _run(model.agenerate(["hello"]))
    )
    assert len(result.generations[0]) == 2
    assert last_body(nvcf_emulator)["stream"] is False


def test_one_warning_where_a_known_model_lacks_it(chat: Callable[..., ChatNVCF]) -> None:
    model = chat(top_k=5, validation="warn", extra_body={})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            model._build_chat_request(_messages(model), None, {}, stream=False)
    assert [str(warning.message)[:13] for warning in caught] == ["top_k is sent"]
    assert {warning.category for warning in caught} == {NVCFWarning}


TAKEN: dict[str, Any] = {
    "top_k": 5,
    "max_completion_tokens": 7,
    "model_kwargs": {"a": 1},
    "reasoning_effort": "medium",
    "proxy": "http://127.0.0.1:9",
    "call_timeout": 60.0,
    "tools_as_text": True,
    "include_response_headers": True,
    "request_timeout": httpx.Timeout(5.0, read=60.0),
    "verify": False,
}


# langchain-core's `load` says so of itself.
@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("cls", [ChatNVCF, NVCFLLM])
@pytest.mark.parametrize("how", ["dumps", "pickle", "deepcopy", "copy", "configurable"])
def test_nothing_is_lost_on_the_way(cls: Any, how: str) -> None:
    model = cls(model=UNKNOWN, base_url="http://127.0.0.1:1/v1", **TAKEN)
    if how == "dumps":
        twin = load(dumpd(model), allowed_objects=[cls], valid_namespaces=["langchain_nvcf"])
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(model))
    elif how == "deepcopy":
        twin = copy.deepcopy(model)
    elif how == "copy":
        twin = model.model_copy()
    else:
        field = ConfigurableField(id="t")
        runnable = model.configurable_fields(temperature=field)
        twin, _ = runnable.prepare({"configurable": {"t": 0.5}})
        assert twin.temperature == 0.5
        twin = twin.model_copy(update={"temperature": None})
    assert type(twin) is cls
    assert twin.model_dump() == model.model_dump()
    assert twin.call_keywords == {"top_k": 5}
    assert (twin.max_tokens, twin.extra_body, twin.proxy) == (7, {"a": 1}, TAKEN["proxy"])
    assert (twin.timeout.connect, twin.timeout.read, twin.verify) == (5.0, 60.0, False)


def test_a_proxys_password_is_in_no_dump() -> None:
    model = ChatNVCF(model=KIMI, proxy="http://ann:secret@127.0.0.1:9")
    assert "secret" not in dumps(model) + repr(model)


def test_caches_tell_such_models_apart() -> None:
    keys = {
        ChatNVCF(model=KIMI, api_key="k", **more)._get_llm_string()
        for more in ({}, {"top_k": 5}, {"top_k": 6}, {"tools_as_text": True})
    }
    assert len(keys) == 4


def test_the_cache_of_a_copy_is_asked_by_the_copys_settings(
    chat: Callable[..., ChatNVCF], colour: Any, nvcf_emulator: Emulator
) -> None:
    for text in ("first", "second", "third"):
        nvcf_emulator.reply(text=text)
    model = chat(cache=InMemoryCache())
    warmer = model.model_copy(update={"temperature": 0.7})
    assert [colour.invoke(model, "hello").text, colour.invoke(model, "hello").text] == [
        "first",
        "first",
    ]
    assert colour.invoke(warmer, "hello").text == "second"
    copied = model.model_copy(update={"temperature": 0.9})
    assert [colour.invoke(copied, "hello").text, colour.invoke(model, "hello").text] == [
        "third",
        "first",
    ]
    copied.temperature = 0.7
    assert colour.invoke(copied, "hello").text == "second"


@pytest.mark.parametrize("cls", [ChatNVCF, NVCFLLM])
def test_misspelt_keywords(cls: Any) -> None:
    for wrong, right in (("temprature", "temperature"), ("requst_timeout", "request_timeout")):
        with pytest.raises(InvalidRequestError, match=f"did you mean {right}") as caught:
            cls(model=KIMI, **{wrong: 0.5})
        assert caught.value.field == wrong


def test_misspelt_keywords_of_a_call(chat: Callable[..., ChatNVCF], ask: Any) -> None:
    with pytest.raises(InvalidRequestError, match="did you mean temperature"):
        ask(chat(), "hello", temprature=0.5)


def test_an_invalid_request_is_a_value_error_here() -> None:
    with pytest.raises(ValueError, match="did you mean") as caught:
        ChatNVCF(model=KIMI, temprature=1)
    assert isinstance(caught.value, CoreInvalidRequestError)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), ValueError)
    assert not issubclass(CoreInvalidRequestError, ValueError)


def test_other_names(
    nvcf_emulator: Emulator, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-of-the-environment")
    with ChatNVCF(
        model_name=KIMI,
        nvidia_api_key=nvcf_emulator.api_key,
        api_base=nvcf_emulator.base_url,
        nvcf_url=nvcf_emulator.nvcf_url,
        request_timeout=30,
        max_completion_tokens=20,
    ) as model:
        ask(model, "hello")
    assert last_body(nvcf_emulator)["model"] == KIMI
    assert last_body(nvcf_emulator)["max_tokens"] == 20


def test_thinking_switched(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    for enabled in (True, False):
        answer = ask(chat().with_thinking_mode(enabled), "hello")
        assert last_body(nvcf_emulator)["chat_template_kwargs"] == {"thinking": enabled}
        assert ("reasoning_content" in answer.additional_kwargs) is enabled


def test_a_tool_that_is_forced_is_not_thought_about(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any], nvcf_emulator: Emulator
) -> None:
    answer = ask(chat().bind_tools([now], tool_choice="now"), "hello")
    assert answer.tool_calls[0]["name"] == "now"
    assert last_body(nvcf_emulator)["chat_template_kwargs"] == {"thinking": False}
    ask(chat().bind_tools([now]), "hello")
    assert "chat_template_kwargs" not in last_body(nvcf_emulator)


def test_another_name_of_the_weights_is_the_name_that_is_sent(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    model = chat("moonshotai/Kimi-K2.6")
    assert model.profile == {**(chat(KIMI).profile or {}), "name": "moonshotai/Kimi-K2.6"}
    call = model._build_chat_request(
        _messages(model), None, {"reasoning_effort": "none"}, stream=True
    )
    assert call.fields["model"] == "moonshotai/Kimi-K2.6"
    assert call.fields["chat_template_kwargs"] == {"thinking": False}


def test_a_key_that_did_not_travel_is_named(
    chat: Callable[..., ChatNVCF], ask: Callable[..., Any]
) -> None:
    twin = pickle.loads(pickle.dumps(chat()))
    with twin, pytest.raises(AuthenticationError, match=r"not pickled.*NVIDIA_API_KEY"):
        ask(twin, "hello")


def test_a_signature_that_is_noted_is_the_methods_and_not_a_subclass_ones() -> None:
    """langchain-core hands over its run manager by what the signature says, which it asks for at each call."""

    class Own(ChatNVCF):
        def _generate(self, messages: Any, stop: Any = None, **kwargs: Any) -> Any:
            return super()._generate(messages, stop, None, **kwargs)

    for name in ("_generate", "_agenerate"):
        method, framework = getattr(ChatNVCF, name), getattr(BaseChatModel, name)
        assert list(inspect.signature(method).parameters) == list(
            inspect.signature(framework).parameters
        )
    assert "run_manager" not in inspect.signature(Own._generate).parameters
