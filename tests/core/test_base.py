"""What is refused when an object is constructed; and what travels of one that is copied or pickled."""

from __future__ import annotations

import copy
import pickle
import ssl
import warnings
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from nvcf_core import BaseNVCF, Message
from nvcf_core.errors import InvalidRequestError, NVCFWarning

KIMI = "moonshotai/kimi-k2.6"
PALI = "google/paligemma"
GEMMA = "google/gemma-3n-e2b-it"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"
NVIDIA, NVCF = "https://integrate.api.nvidia.com/v1", "https://api.nvcf.nvidia.com/v2/nvcf"
LOCAL = "http://127.0.0.1:1/v1"


def prepared(
    model: str = KIMI, *messages: Message, given: Any = None, stream: bool = False, **settings: Any
) -> Any:
    said = messages or (Message(role="user", parts=("hi",)),)
    return BaseNVCF(model=model, **settings)._build_request(said, given or {}, stream=stream)


@pytest.mark.parametrize("model", ["", " ", "a\nb", "a\0b"])
def test_models_that_are_none(model: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a model id"):
        BaseNVCF(model=model)
    if model:
        with pytest.raises(InvalidRequestError, match="not a model id"):
            prepared(given={"model": model})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "b\r\nX-B: c"},
        {"X-A": "b\n"},
        {"X-A": "ä"},
        {"X-A": "\0"},
        {"X A": "b"},
        {"X-A\r\n": "b"},
        {"": "b"},
        {"Ä": "b"},
    ],
)
def test_headers_that_break_out(headers: Any) -> None:
    with pytest.raises(InvalidRequestError, match="default_headers") as caught:
        BaseNVCF(model=KIMI, default_headers=headers)
    assert caught.value.field == "default_headers"
    with pytest.raises(InvalidRequestError, match="default_headers"):
        prepared(given={"default_headers": headers})


@pytest.mark.parametrize("effort", [5, True, 0.5, ["high"], {"effort": "high"}, "xhigh", ""])
def test_an_effort_of_any_other_type_or_value_is_told_with_those_that_there_are(
    effort: Any,
) -> None:
    for use in (
        lambda: BaseNVCF(model=SUPER, reasoning_effort=effort),
        lambda: prepared(SUPER, given={"reasoning_effort": effort}),
    ):
        with pytest.raises(InvalidRequestError, match="is not one of none, minimal, low") as caught:
            use()
        assert caught.value.field == "reasoning_effort"
    unknown = prepared(UNKNOWN, given={"reasoning_effort": effort})
    assert unknown.fields["reasoning_effort"] == effort


def test_empty_headers_are_headers() -> None:
    assert prepared(default_headers={"X-A": ""}).options.headers == {"x-a": ""}


def test_a_key_in_the_clear_is_warned_of_once() -> None:
    model = BaseNVCF(model=KIMI, base_url="http://x.org/v1", api_key="k")
    say = [Message(role="user", parts=("hi",))]
    with pytest.warns(NVCFWarning, match=r"http://x.org/v1 without TLS"):
        model._build_request(say, {}, stream=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model._build_request(say, {}, stream=False)
        BaseNVCF(model=KIMI, base_url="http://x.org/v1")._build_request(say, {}, stream=False)
        BaseNVCF(model=KIMI, base_url=LOCAL, api_key="k")._build_request(say, {}, stream=False)


def test_constructing_opens_nothing() -> None:
    model = BaseNVCF(model=KIMI, base_url=LOCAL, verify="/no/such/file")
    assert model._opened_client is None
    model.close()
    with pytest.raises(InvalidRequestError, match="verify: cannot use"):
        model.available_models()


def test_bounds_are_checked_when_constructed() -> None:
    with pytest.raises(InvalidRequestError, match=r"temperature=1\.5"):
        BaseNVCF(model=KIMI, temperature=1.5)
    with pytest.warns(NVCFWarning, match=r"temperature=1\.5"):
        BaseNVCF(model=KIMI, temperature=1.5, validation="warn")
    assert BaseNVCF(model=KIMI, temperature=1.5, validation="off").temperature == 1.5


def test_the_other_side_of_a_pickle_reads_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    model = BaseNVCF(model=KIMI, api_key="nvapi-secret", temperature=0.5)
    assert model._client is model._client
    data = pickle.dumps(model)
    assert b"nvapi-secret" not in data
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-there")
    other = pickle.loads(data)
    assert other.temperature == 0.5
    assert isinstance(other.api_key, SecretStr)
    assert other.api_key.get_secret_value() == "nvapi-there"
    assert other._opened_client is None
    monkeypatch.delenv("NVIDIA_API_KEY")
    assert pickle.loads(data).api_key is None


def key_of_the_module() -> str:
    return "nvapi-of-the-module"


def test_a_key_that_is_a_function_of_a_module_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-there")
    other = pickle.loads(pickle.dumps(BaseNVCF(model=KIMI, api_key=key_of_the_module)))
    assert other.api_key is key_of_the_module
    assert not other.key_left_behind


@pytest.mark.parametrize("key", ["nvapi-secret", lambda: "nvapi-secret"], ids=["text", "lambda"])
def test_a_key_that_does_not_travel_is_told_of_where_it_is_missed(key: Any) -> None:
    data = pickle.dumps(BaseNVCF(model=KIMI, api_key=key))
    assert b"nvapi-secret" not in data
    for travels in (data, pickle.dumps(pickle.loads(data))):
        other = pickle.loads(travels)
        with pytest.raises(
            InvalidRequestError, match=r"unpickled.*NVIDIA_API_KEY.*importable function"
        ):
            other.available_models()
    with pytest.raises(InvalidRequestError, match="there is no API key") as caught:
        pickle.loads(pickle.dumps(BaseNVCF(model=KIMI))).available_models()
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("http_client", httpx.AsyncClient()),
        ("http_async_client", httpx.Client()),
        ("http_client", object()),
        ("http_async_client", "a proxy?"),
        ("http_client", httpx.HTTPTransport()),
    ],
)
def test_a_client_of_the_other_kind_is_refused(name: str, client: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name} takes an httpx") as caught:
        BaseNVCF(model=KIMI, **{name: client})
    assert caught.value.field == name


@pytest.mark.parametrize("name", ["http_client", "http_async_client", "verify"])
def test_what_was_injected_cannot_travel(name: str) -> None:
    value = {
        "verify": ssl.create_default_context,
        "http_client": httpx.Client,
        "http_async_client": httpx.AsyncClient,
    }[name]()
    with pytest.raises(InvalidRequestError, match="cannot be pickled") as caught:
        pickle.dumps(BaseNVCF(model=KIMI, **{name: value}))
    assert caught.value.field == name


def test_a_deep_copy_keeps_the_key_and_shares_what_was_injected() -> None:
    with httpx.Client() as client:
        model = BaseNVCF(model=KIMI, api_key="nvapi-secret", http_client=client)
        core = model._client
        other = copy.deepcopy(model)
        assert other.api_key == model.api_key
        assert other.http_client is client
        assert other._client is not core
        assert copy.deepcopy(core) is not core


def test_uploads_need_their_api() -> None:
    with pytest.raises(InvalidRequestError, match="no asset API") as caught:
        BaseNVCF(model=KIMI, base_url=LOCAL)._upload_media("/etc/hostname", None, None)
    assert caught.value.field == "nvcf_url"


def test_a_copy_that_reaches_the_service_in_another_way_has_a_client_of_its_own() -> None:
    model = BaseNVCF(model=KIMI, base_url=LOCAL)
    client = model._client
    assert model.model_copy(update={"temperature": 0.5})._client is client
    for update in ({"verify": False}, {"proxy": LOCAL}, {"max_connections": 3}):
        copied = model.model_copy(update=update)
        assert copied._client is not client
    with httpx.Client() as own:
        assert model.model_copy(update={"http_client": own})._client is not client
    assert model._client is client
    model.close()
