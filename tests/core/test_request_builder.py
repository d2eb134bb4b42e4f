"""How a call is made of settings, messages and keywords: its url, its fields, its headers, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest

from nvcf_core import BaseNVCF, FileLimiter, Media, Message, ToolCall
from nvcf_core.errors import InvalidRequestError, NVCFWarning
from nvcf_core.media.delivery import Delivery
from nvcf_core.media.sources import BytesSource
from nvcf_core.request.body import MessageEncoder

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


@pytest.mark.parametrize(
    ("model", "settings", "url", "nvcf_url"),
    [
        (KIMI, {}, f"{NVIDIA}/chat/completions", NVCF),
        (UNKNOWN, {}, f"{NVIDIA}/chat/completions", NVCF),
        (PALI, {}, "https://ai.api.nvidia.com/v1/vlm/google/paligemma", NVCF),
        (KIMI, {"base_url": f"{LOCAL}/"}, f"{LOCAL}/chat/completions", None),
        (PALI, {"base_url": LOCAL}, f"{LOCAL}/vlm/google/paligemma", None),
        (
            KIMI,
            {"base_url": LOCAL, "nvcf_url": "http://127.0.0.1:2/n/"},
            f"{LOCAL}/chat/completions",
            "http://127.0.0.1:2/n",
        ),
        (KIMI, {"function_id": "f-1"}, f"{NVCF}/pexec/functions/f-1", NVCF),
        (
            KIMI,
            {"function_id": "f-1", "function_version": "v-2"},
            f"{NVCF}/pexec/functions/f-1/versions/v-2",
            NVCF,
        ),
    ],
)
def test_where_a_call_goes(model: str, settings: Any, url: str, nvcf_url: str | None) -> None:
    call = prepared(model, **settings)
    assert (call.url, call.nvcf_url) == (url, nvcf_url)
    base_url = NVIDIA if "function_id" in settings else url.removesuffix(f"/{call.spec.path}")
    assert call.options.auth.roots == tuple(root for root in (base_url, nvcf_url) if root)
    assert call.poll_url == (f"{nvcf_url}/pexec/status" if nvcf_url else f"{LOCAL}/status")


@pytest.mark.parametrize("part", ["../x", "a/b", "", "a b", "-a", "a\n", "x" * 129, "a?b", "ä"])
def test_function_ids_that_climb(part: str) -> None:
    with pytest.raises(InvalidRequestError, match="function_id"):
        prepared(function_id=part)
    with pytest.raises(InvalidRequestError, match="function_version"):
        prepared(function_id="f", function_version=part)


def test_a_function_needs_its_api() -> None:
    with pytest.raises(InvalidRequestError, match="function_id needs nvcf_url"):
        prepared(base_url=LOCAL, function_id="f")


def test_a_version_is_that_of_a_function() -> None:
    with pytest.raises(InvalidRequestError, match="no function_id is given") as caught:
        prepared(function_version="v-2")
    assert caught.value.field == "function_version"
    assert prepared(function_version="v-2", given={"function_id": "f"}).url.endswith(
        "/f/versions/v-2"
    )


def test_the_model_of_a_call_brings_its_own_row_and_host() -> None:
    call = prepared(KIMI, given={"model": PALI, "temperature": 1.0})
    assert call.spec.id == PALI
    assert call.url == "https://ai.api.nvidia.com/v1/vlm/google/paligemma"
    assert call.options.auth.roots[0] == "https://ai.api.nvidia.com/v1"
    assert call.fields == {"temperature": 1.0, "stream": False}


@pytest.mark.parametrize(
    ("settings", "given", "stream", "streams"),
    [
        ({}, {}, False, False),
        ({}, {}, True, True),
        ({"streaming": True}, {}, False, True),
        ({"streaming": True}, {"streaming": False}, False, False),
        ({"streaming": True}, {"n": 2}, False, False),
        ({"streaming": True}, {"n": 1}, False, True),
        ({"streaming": True}, {"n": "many"}, False, False),
    ],
)
def test_whether_it_streams(settings: Any, given: Any, stream: bool, streams: bool) -> None:
    call = prepared(UNKNOWN, given=given, stream=stream, **settings)
    assert call.stream is streams
    assert call.fields["stream"] is streams


def test_what_a_call_takes_over() -> None:
    call = prepared(
        max_retries=5,
        poll_timeout=7,
        stream_chunk_timeout=8,
        requests_per_minute=9,
        timeout=3,
        default_headers={"X-A": "b"},
        stop="END",
        stream=True,
    )
    assert (call.retry.max_retries, call.poll_timeout) == (5, 7)
    terms = call.options
    assert (terms.timeout, terms.chunk_timeout, terms.requests_per_minute) == (3, 8, 9)
    assert terms.headers == {"x-a": "b"}
    assert call.stops == ("END",)
    assert prepared().options.chunk_timeout == 120


TOOL = {"type": "function", "function": {"name": "get weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(None, 60), (5, 4), (0.5, 1), (600, 60), (httpx.Timeout(9), 8), (httpx.Timeout(None), 60)],
)
def test_how_long_the_service_may_hold_a_request(timeout: Any, seconds: int) -> None:
    call = prepared(timeout=timeout)
    assert call.hold_seconds == seconds
    assert call.headers["nvcf-poll-seconds"] == str(seconds)


@pytest.mark.parametrize(
    ("stream", "accept"), [(True, "text/event-stream"), (False, "application/json")]
)
def test_what_asking_says_besides_the_body(stream: bool, accept: str) -> None:
    headers = {"accept": accept, "content-type": "application/json"}
    assert prepared(base_url=LOCAL, stream=stream).headers == headers
    own = prepared(default_headers={"NVCF-Poll-Seconds": "5"}, stream=stream)
    assert own.headers == headers
    assert own.options.headers == {"nvcf-poll-seconds": "5"}


def test_tool_names_are_made_safe_there_and_mapped_back() -> None:
    history = Message(
        role="assistant", tool_calls=(ToolCall(0, "c", "old tool", "{}"),), reasoning="hm"
    )
    user = Message(role="user", parts=("hi",))
    choice = {"type": "function", "function": {"name": "get weather"}}
    tools = [TOOL, {"type": "other"}, "odd"]
    call = prepared(KIMI, user, history, user, given={"tools": tools, "tool_choice": choice})
    assert call.fields["tools"][0]["function"]["name"] == "get_weather"
    assert call.fields["tools"][1:] == [{"type": "other"}, "odd"]
    assert call.fields["tool_choice"]["function"]["name"] == "get_weather"
    assert call.names.from_wire("get_weather") == "get weather"
    assert call.names.to_wire("old tool") == "old_tool"
    assert TOOL["function"]["name"] == "get weather"  # type: ignore[index]


@pytest.mark.parametrize("tools", ["x", 5, {"a": 1}])
def test_tools_that_are_no_list(tools: Any) -> None:
    with pytest.raises(InvalidRequestError, match="tools takes a list") as caught:
        prepared(given={"tools": tools})
    assert caught.value.field == "tools"
    assert prepared(given={"extra_body": {"tools": tools}}).fields["tools"] == tools


def test_parallel_calls_that_are_off() -> None:
    assert prepared(given={"tools": [TOOL], "parallel_tool_calls": False}).single_call


def test_tags_are_parsed_where_asked() -> None:
    text = Message(role="user", parts=('see <img src="https://x.org/a.png" />',))
    call = prepared(KIMI, text, media_tags="parse")
    link = Delivery(kind="image", url="https://x.org/a.png", method="link")
    assert call.messages[0].parts == ("see ", link)
    with pytest.warns(NVCFWarning, match="parse"):
        assert prepared(KIMI, text).messages[0].parts == text.parts


@pytest.mark.parametrize("messages", [[], ()])
def test_no_messages(messages: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no messages"):
        BaseNVCF(model=KIMI)._build_request(messages, {}, stream=False)


def test_uploads_are_counted_before_the_call() -> None:
    media = [
        Media(kind="image", source=BytesSource(b"\x89PNG\r\n\x1a\n" + bytes([n]) + bytes(200_000)))
        for n in range(11)
    ]
    call = prepared(KIMI, Message(role="user", parts=tuple(media)))
    with pytest.raises(InvalidRequestError, match="11 assets"):
        call.deliveries.hash_uploads()


def test_system_text_reaches_models_in_their_form() -> None:
    system, user = Message(role="system", parts=("s",)), Message(role="user", parts=("u",))
    assert [m.role for m in prepared(PALI, system, user).messages] == ["user"]
    assert [m.role for m in prepared(SUPER, user, system, user).messages] == ["user"]
    assert [m.role for m in prepared(GEMMA, system, user).messages] == ["system", "user"]


@pytest.mark.slow
def test_ten_thousand_messages_are_the_right_bytes() -> None:
    roles = ("user", "assistant")
    many = [Message(role=roles[n % 2], parts=(f"m{n}",)) for n in range(9_999)]
    for model in (KIMI, SUPER, GEMMA, UNKNOWN):
        call = prepared(model, *many)
        body = MessageEncoder(call.spec, call.names, {}).body(call.messages, call.fields)
        assert isinstance(body, bytes)
        assert body.count(b'"role":"user"') == 5_000
        assert b'{"role":"user","content":"m9998"}' in body


CHOICE = {"type": "function", "function": {"name": "get weather"}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", CHOICE])
def test_a_forced_tool_switches_kimis_thinking_off(choice: Any, stream: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call = prepared(given={"tools": [TOOL], "tool_choice": choice}, stream=stream)
        assert call.fields["chat_template_kwargs"] == {"thinking": False}
        off = prepared(
            given={"tools": [TOOL], "tool_choice": choice}, reasoning_effort="none", stream=stream
        )
        assert off.fields["chat_template_kwargs"] == {"thinking": False}
        more = prepared(
            given={"tools": [TOOL], "tool_choice": choice}, chat_template_kwargs={"x": 1}
        )
        assert more.fields["chat_template_kwargs"] == {"thinking": False, "x": 1}


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_a_free_choice_leaves_it_on(choice: Any) -> None:
    call = prepared(given={"tools": [TOOL], "tool_choice": choice})
    assert "chat_template_kwargs" not in call.fields


@pytest.mark.parametrize(
    "settings",
    [
        {"reasoning_effort": "high"},
        {"chat_template_kwargs": {"thinking": True}},
        {"extra_body": {"chat_template_kwargs": {"thinking": True}}},
    ],
)
def test_thinking_that_the_user_asked_for_stays_and_is_warned_of(settings: Any) -> None:
    with pytest.warns(NVCFWarning, match="made to call while it thinks"):
        call = prepared(given={"tools": [TOOL], "tool_choice": "required"}, **settings)
    assert call.fields["chat_template_kwargs"] == {"thinking": True}


@pytest.mark.parametrize("model", [SUPER, UNKNOWN])
def test_other_models_may_think_before_a_forced_tool(model: str) -> None:
    call = prepared(model, given={"tools": [TOOL], "tool_choice": "required"})
    assert "chat_template_kwargs" not in call.fields


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_of_ones_own_is_not_held_against_the_documentation(stream: bool) -> None:
    given = {"temperature": 3.0, "max_tokens": 10**6, "stop": ["x"], "tools": [TOOL], "top_k": 3}
    given |= {"response_format": {"type": "json_object"}, "parallel_tool_calls": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call = prepared(GEMMA, given=given, base_url=LOCAL, stream=stream)
    assert {name: call.fields[name] for name in given if name != "tools"} == {
        name: value for name, value in given.items() if name != "tools"
    }
    assert (call.stops, call.single_call) == ((), False)
    assert call.fields["model"] == GEMMA
    BaseNVCF(model=GEMMA, base_url=LOCAL, temperature=3.0)
    with pytest.raises(InvalidRequestError, match="temperature"):
        prepared(GEMMA, given=given, base_url=LOCAL, nvcf_url="http://127.0.0.1:2/n")
    with pytest.raises(InvalidRequestError, match="temperature"):
        prepared(GEMMA, given=given)


def test_but_its_messages_and_switches_are_those_of_the_weights() -> None:
    user, system = Message(role="user", parts=("u",)), Message(role="system", parts=("s",))
    call = prepared(SUPER, user, system, user, base_url=LOCAL)
    assert [message.role for message in call.messages] == ["user"]
    assert prepared(KIMI, base_url=LOCAL, reasoning_effort="none").fields[
        "chat_template_kwargs"
    ] == {"thinking": False}


def test_a_model_by_another_name_keeps_the_name_it_was_given() -> None:
    name = "moonshotai/Kimi-K2.6"
    call = prepared(name, reasoning_effort="none")
    assert call.fields["model"] == name
    assert call.fields["chat_template_kwargs"] == {"thinking": False}
    with pytest.raises(InvalidRequestError, match=r"temperature=1\.5.*model moonshotai/Kimi-K2\.6"):
        prepared(name, temperature=1.5)


def test_what_the_settings_hand_on(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "limit", 40)
    call = prepared(given={"call_timeout": 5}, call_timeout=7, request_limiter=limiter)
    assert (call.options.call_timeout, call.options.request_limiter) == (5, limiter)
    assert prepared(call_timeout=7).options.call_timeout == 7
    assert prepared().options.call_timeout is None
