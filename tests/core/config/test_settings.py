"""The constructor's keywords: urls, the environment, per-call values, warnings said once."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from nvcf_core import BaseNVCF
from nvcf_core.config.settings import CallSettings
from nvcf_core.errors import InvalidRequestError, NVCFWarning

KIMI = "moonshotai/kimi-k2.6"


class Whole:
    """A whole number of another library, such as numpy's."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


BAD_ROOTS = [
    "",
    "x.org/v1",
    "/v1",
    "ftp://x.org",
    "https://",
    "https://x.org:port/v1",
    "https://x.org:99999/v1",
    "https://[x/v1",
    "https://x.org/v1?a=b",
    "https://x.org/v1#a",
    "https://user@x.org/v1",
    "https://user:secret@x.org/v1",
    "https://x.org/v 1",
    "https://x.org/v1\n",
    "https://x.org\r\nHost: evil/v1",
    "https://x.org/\0",
    "https://x.org/\x7f",
]


@pytest.mark.parametrize("field", ["base_url", "nvcf_url"])
@pytest.mark.parametrize("url", BAD_ROOTS)
def test_urls_that_are_no_root_are_refused_when_constructed(url: str, field: str) -> None:
    with pytest.raises(InvalidRequestError, match=field) as caught:
        BaseNVCF(model=KIMI, **{field: url})
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://user:secret@x.org:port/v1", "https://u:secret@x.org/a b"])
def test_a_password_in_a_url_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        BaseNVCF(model=KIMI, base_url=url)
    assert "secret" not in str(caught.value)


def test_the_environment_is_read_when_constructed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", " nvapi-env \n")
    monkeypatch.setenv("NVIDIA_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("NVCF_URL", "http://127.0.0.1:1/nvcf")
    model = BaseNVCF(model=KIMI)
    for name in ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL"):
        monkeypatch.setenv(name, "")
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == "nvapi-env"
    assert (model.base_url, model.nvcf_url) == ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/nvcf")
    empty = BaseNVCF(model=KIMI)
    assert (empty.api_key, empty.base_url, empty.nvcf_url) == (None, None, None)


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_BASE_URL", "nonsense")
    assert (
        BaseNVCF(model=KIMI, base_url="http://127.0.0.1:1/v1").base_url == "http://127.0.0.1:1/v1"
    )
    with pytest.raises(InvalidRequestError, match="base_url"):
        BaseNVCF(model=KIMI)


def test_per_call_values_win_and_none_leaves_the_constructors() -> None:
    model = BaseNVCF(model=KIMI, temperature=0.5, max_tokens=10, stop="x")
    values, extra = model.for_call({"temperature": 0.1, "max_tokens": None, "top_k": 3})
    assert (values.temperature, values.max_tokens, values.stop) == (0.1, 10, "x")
    assert (model.temperature, model.max_tokens) == (0.5, 10)
    assert extra == {"top_k": 3}


def test_headers_and_extra_body_are_merged() -> None:
    model = BaseNVCF(model=KIMI, default_headers={"a": "1", "b": "1"}, extra_body={"x": 1, "y": 1})
    values, _ = model.for_call({"default_headers": {"b": "2"}, "extra_body": {"y": 2}})
    assert values.default_headers == {"a": "1", "b": "2"}
    assert values.extra_body == {"x": 1, "y": 2}
    assert model.extra_body == {"x": 1, "y": 1}


def test_a_keyword_of_the_call_wins_over_the_constructors_extra_body() -> None:
    model = BaseNVCF(model=KIMI, model_kwargs={"temperature": 0.3, "top_k": 5, "min_p": 0.1})
    values, extra = model.for_call({"temperature": 0.9, "top_k": 7, "min_p": None})
    assert (values.temperature, values.extra_body, extra) == (0.9, {"min_p": 0.1}, {"top_k": 7})
    values, _ = model.for_call({"top_k": 7, "extra_body": {"top_k": 8, "x": 1}})
    assert values.extra_body == {"temperature": 0.3, "min_p": 0.1, "top_k": 8, "x": 1}
    assert model.extra_body == {"temperature": 0.3, "top_k": 5, "min_p": 0.1}


def test_numbers_of_a_call_are_taken_as_the_constructor_takes_them() -> None:
    given: dict[str, Any] = {
        "temperature": "0.5",
        "max_tokens": 5.0,
        "seed": Whole(7),
        "top_p": Decimal("0.5"),
    }
    made = BaseNVCF(model=KIMI, **given)
    values, _ = BaseNVCF(model=KIMI).for_call(given)
    for name in given:
        value = getattr(values, name)
        assert (value, type(value)) == (getattr(made, name), type(getattr(made, name)))
    for name, value in (
        ("seed", True),
        ("max_tokens", 5.5),
        ("temperature", "hot"),
        ("temperature", 1),
    ):
        kept = getattr(BaseNVCF(model=KIMI).for_call({name: value})[0], name)
        assert (kept, type(kept)) == (value, type(value))


def test_a_call_that_changes_nothing_goes_by_the_objects_own_settings() -> None:
    model = BaseNVCF(model=KIMI, temperature=0.5)
    assert model.for_call({"top_k": 3, "stop": None})[0] is model


def test_what_a_call_may_repeat_and_what_belongs_to_the_object_are_all_keywords() -> None:
    object_alone = set(BaseNVCF.model_fields) - set(CallSettings.model_fields)
    assert object_alone == {
        "api_key", "base_url", "nvcf_url", "verify", "proxy", "max_connections", "requests_per_minute",
        "request_limiter", "http_client", "http_async_client", "call_keywords",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "base_url",
        "nvcf_url",
        "verify",
        "max_connections",
        "requests_per_minute",
        "http_client",
        "http_async_client",
    ],
)
def test_what_belongs_to_the_object_is_not_given_per_call(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="to the constructor, not per call") as caught:
        BaseNVCF(model=KIMI).for_call({name: "secret-value"})
    assert caught.value.field == name
    assert "secret-value" not in str(caught.value)
    assert BaseNVCF(model=KIMI).for_call({name: None})[1] == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", 5),
        ("stop", 5),
        ("stop", [5]),
        ("tools_as_text", "perhaps"),
        ("chat_template_kwargs", "x"),
        ("extra_body", "x"),
        ("default_headers", "x"),
        ("default_headers", {"a": 1}),
        ("function_id", 5),
        ("function_version", ["v"]),
        ("streaming", "perhaps"),
        ("stream_usage", [1]),
        ("stream_chunk_timeout", "soon"),
        ("poll_timeout", "late"),
        ("max_retries", "x"),
        ("max_retries", 1.5),
        ("media_tags", "perhaps"),
        ("validation", "bogus"),
        ("on_progress", 5),
    ],
)
def test_per_call_values_of_another_type_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=rf"^{name}: ") as caught:
        BaseNVCF(model=KIMI).for_call({name: value})
    assert caught.value.field == name
    with pytest.raises(ValidationError, match=name):
        BaseNVCF(**{"model": KIMI, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("timeout", "stream_chunk_timeout", "poll_timeout", "call_timeout")
        for value in (-1, math.nan, math.inf, 1e300)
        if (name, value) != ("stream_chunk_timeout", math.inf)
    ],
)
def test_times_are_seconds(name: str, value: Any, say: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name} must be a number of seconds"):
        BaseNVCF(model=KIMI, **{name: value})
    with pytest.raises(InvalidRequestError, match=f"{name} must be a number of seconds"):
        BaseNVCF(model=KIMI)._build_request([say("x")], {name: value}, stream=False)


def test_infinity_lifts_the_limit_between_chunks(say: Any) -> None:
    model = BaseNVCF(model=KIMI, stream_chunk_timeout=math.inf)
    call = model._build_request([say("x")], {}, stream=True)
    # The longest that a socket can wait is less.
    assert call.options.chunk_timeout == 1_000_000.0


@pytest.mark.parametrize("value", ["5", True, (1, 2), {"connect": 1}])
def test_timeouts_are_numbers_or_httpxs(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="timeout must be a number of seconds"):
        BaseNVCF(model=KIMI, timeout=value)


@pytest.mark.parametrize(
    ("name", "value"), [("max_retries", -1), ("requests_per_minute", 0), ("max_connections", 0)]
)
def test_counts_have_a_lowest(name: str, value: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name}={value} must be at least"):
        BaseNVCF(model=KIMI, **{name: value})


def test_a_wrong_type_does_not_show_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        BaseNVCF(model=KIMI, api_key=["nvapi-secret"])
    assert "nvapi-secret" not in str(caught.value)


def test_warnings_are_said_once_for_each_object_and_reason() -> None:
    first, second = BaseNVCF(model=KIMI), BaseNVCF(model=KIMI)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for model in (first, first, second):
            model.warn_once("a", "about a")
        first.warn_once("b", "about b")
    assert [str(warning.message) for warning in caught] == ["about a", "about a", "about b"]
    assert {warning.category for warning in caught} == {NVCFWarning}


def test_secrets_are_in_no_repr_and_no_dump() -> None:
    model = BaseNVCF(
        model=KIMI,
        api_key="nvapi-secret",
        default_headers={"x-secret": "nvapi-secret"},
    )
    for shown in (repr(model), str(model), str(model.model_dump()), model.model_dump_json()):
        assert "nvapi-secret" not in shown
