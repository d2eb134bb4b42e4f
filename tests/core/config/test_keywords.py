"""Keywords under other names, misspelt ones, and those that are fields of the body."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
from pydantic import SecretStr

from nvcf_core import BaseNVCF
from nvcf_core.config.keywords import ALIASES
from nvcf_core.errors import InvalidRequestError, NVCFWarning

KIMI = "moonshotai/kimi-k2.6"
UNKNOWN = "someone/new-model"
LOCAL = "http://127.0.0.1:1/v1"


def fields(model: BaseNVCF, say: Any, stream: bool = False, **given: Any) -> Any:
    sent = dict(model._build_request([say("hi")], given, stream=stream).fields)
    return {name: sent[name] for name in sent if name not in ("model", "stream", "stream_options")}


@pytest.mark.parametrize(
    ("alias", "value"),
    [
        ("model_name", KIMI),
        ("nvidia_api_key", "nvapi-other-secret"),
        ("api_base", LOCAL),
        ("request_timeout", 5.0),
        ("max_completion_tokens", 12),
    ],
)
def test_other_names(alias: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-env")
    monkeypatch.setenv("NVIDIA_BASE_URL", "http://127.0.0.1:2/v1")
    name = ALIASES[alias]
    given = {"model": KIMI, alias: value} if name != "model" else {alias: value}
    for more in ({}, {name: value}, {name: None}):
        found = getattr(BaseNVCF(**{**given, **more}), name)
        assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value
    other = {"model": "x/y", "api_key": "nvapi-third", "base_url": f"{LOCAL}1"}.get(name, 7)
    with pytest.raises(InvalidRequestError, match=f"{alias} is another name for {name}") as caught:
        BaseNVCF(**{**given, name: other})
    assert caught.value.field == alias
    assert "nvapi" not in str(caught.value)


@pytest.mark.parametrize("alias", ["model_kwargs", "additional_kwargs"])
def test_dicts_of_body_fields_lie_below_extra_body(alias: str, say: Any) -> None:
    model = BaseNVCF(model=KIMI, **{alias: {"a": 1, "b": 1}}, extra_body={"b": 2})
    assert fields(model, say) == {"a": 1, "b": 2}
    assert fields(model, say, **{alias: {"b": 3, "c": 3}}) == {"a": 1, "b": 3, "c": 3}
    with pytest.raises(InvalidRequestError, match=f"{alias} must be a dict"):
        BaseNVCF(model=KIMI, **{alias: [1]})


def test_other_names_at_a_call(say: Any) -> None:
    model = BaseNVCF(model=KIMI, max_tokens=5)
    assert fields(model, say, max_completion_tokens=9) == {"max_tokens": 9}
    call = model._build_request([say("x")], {"request_timeout": 3}, stream=False)
    assert call.options.timeout == 3
    assert fields(BaseNVCF(model=KIMI), say, model_name="x/y", max_tokens=1) == {"max_tokens": 1}
    for name in ("nvidia_api_key", "api_base"):
        with pytest.raises(InvalidRequestError, match="to the constructor, not per call"):
            model.for_call({name: "x"})
    with pytest.raises(InvalidRequestError, match="both are given"):
        model.for_call({"max_completion_tokens": 9, "max_tokens": 8})


MISSPELT = [
    ("temprature", "temperature"), ("temperatur", "temperature"), ("Temperature", "temperature"),
    ("max_token", "max_tokens"), ("maxTokens", "max_tokens"), ("max_new_token", "max_tokens"),
    ("topp", "top_p"), ("topP", "top_p"), ("stops", "stop"), ("seeds", "seed"), ("modle", "model"),
    ("requst_timeout", "request_timeout"), ("timout", "timeout"), ("max_retry", "max_retries"),
    ("apikey", "api_key"), ("baseurl", "base_url"), ("base_uri", "base_url"),
    ("frequency_penality", "frequency_penalty"), ("presense_penalty", "presence_penalty"),
    ("reasoning_efort", "reasoning_effort"), ("streeming", "streaming"), ("extra_boddy", "extra_body"),
    ("default_header", "default_headers"), ("request_per_minute", "requests_per_minute"),
    ("stream_chunk_timeouts", "stream_chunk_timeout"), ("max_completion_token", "max_completion_tokens"),
    ("openai_api_key", "api_key"), ("MISTRAL_API_KEY", "api_key"), ("api_token", "api_key"),
    ("openai_api_base", "base_url"), ("azure_base_url", "base_url"), ("extra_headers", "default_headers"),
    ("headers", "default_headers"), ("include_headers", "include_response_headers"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "nearest"), MISSPELT)
@pytest.mark.parametrize("model", [KIMI, UNKNOWN])
def test_misspelt_keywords(name: str, nearest: str, model: str) -> None:
    made = BaseNVCF(model=model)
    for use in (lambda: BaseNVCF(model=model, **{name: 1}), lambda: made.for_call({name: 1})):
        with pytest.raises(
            InvalidRequestError, match=f"^{name} is not a keyword: did you mean {nearest}\\?"
        ) as caught:
            use()
        assert caught.value.field == name
        assert "extra_body" in str(caught.value)


def test_a_stream_is_asked_for_by_streaming() -> None:
    with pytest.raises(InvalidRequestError, match="did you mean streaming"):
        BaseNVCF(model=KIMI, stream=True)
    assert BaseNVCF(model=KIMI).for_call({"stream": True})[1] == {"stream": True}


OF_THE_BODY = {
    "top_k": 5, "n": 2, "logprobs": True, "top_logprobs": 3, "min_p": 0.1, "min_tokens": 3,
    "repetition_penalty": 1.1, "length_penalty": 1.0, "stop_token_ids": [1], "best_of": 2, "user": "ann",
    "logit_bias": {"1": 2}, "guided_json": {}, "chat_template": "x", "metadata": {"a": "b"}, "store": True,
    "nvext": {"a": 1}, "verbosity": "low", "service_tier": "auto", "prompt_logprobs": 1, "brand_new_field": 1,
    "top_h": 0.4, "reasoning": {"effort": "low"}, "response_format": {"type": "json_object"},
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), OF_THE_BODY.items())
@pytest.mark.parametrize("where", ["constructor", "call"])
def test_fields_of_the_body_are_sent(name: str, value: Any, where: str, say: Any) -> None:
    own, given = ({name: value}, {}) if where == "constructor" else ({}, {name: value})
    model = BaseNVCF(model=KIMI, **own)
    with pytest.warns(NVCFWarning, match=f"^{name} is sent"):
        assert fields(model, say, **given) == {name: value}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # It has been said.
        assert fields(model, say, **given) == {name: value}
        assert fields(BaseNVCF(model=UNKNOWN, **own), say, **given) == {name: value}


def test_a_calls_value_wins_over_the_constructors_and_none_leaves_it(say: Any) -> None:
    model = BaseNVCF(model=UNKNOWN, top_k=5)
    assert fields(model, say, top_k=3) == {"top_k": 3}
    assert fields(model, say, top_k=None) == {"top_k": 5}
    assert fields(model, say, stream=True) == {"top_k": 5}


def test_what_the_constructor_took_survives_every_copy(say: Any) -> None:
    model = BaseNVCF(model=UNKNOWN, top_k=5, min_p=0.1)
    copies = [
        model.model_copy(),
        copy.copy(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        BaseNVCF(**model.model_dump()),
        BaseNVCF.model_validate(model.model_dump()),
        BaseNVCF.model_validate_json(model.model_dump_json()),
    ]
    for other in copies:
        assert fields(other, say) == {"top_k": 5, "min_p": 0.1}
    more = BaseNVCF(**{**model.model_dump(), "top_k": 7, "min_tokens": 1})
    assert fields(more, say) == {"top_k": 7, "min_p": 0.1, "min_tokens": 1}


@pytest.mark.parametrize("name", sorted(set(BaseNVCF.model_fields) - {"model"}))
def test_none_is_not_set(name: str) -> None:
    model = BaseNVCF(model=KIMI, **{name: None})
    assert getattr(model, name) == getattr(BaseNVCF(model=KIMI), name)


def test_none_leaves_the_environment_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-env")
    monkeypatch.setenv("NVIDIA_BASE_URL", LOCAL)
    monkeypatch.setenv("NVCF_URL", "http://127.0.0.1:1/n")
    model = BaseNVCF(model=KIMI, api_key=None, base_url=None, nvcf_url=None)
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == "nvapi-env"
    assert (model.base_url, model.nvcf_url) == (LOCAL, "http://127.0.0.1:1/n")


def test_a_proxy_with_a_password_is_in_no_dump() -> None:
    plain = BaseNVCF(model=KIMI, proxy="http://proxy.example:3128")
    secret = BaseNVCF(model=KIMI, proxy="http://ann:secret@proxy.example:3128")
    assert plain.model_dump()["proxy"] == "http://proxy.example:3128"
    assert secret.model_dump()["proxy"] is None
    assert "secret" not in repr(secret) + secret.model_dump_json()
    assert pickle.loads(pickle.dumps(secret)).proxy == secret.proxy
