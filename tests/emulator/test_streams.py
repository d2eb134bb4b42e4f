"""Streams: the plain form, and every shape that one may take instead."""

from __future__ import annotations

import json

import httpx
import pytest

from nvcf_emulator import SHAPES

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ALL = [GEMMA, NANO, PALI, KIMI, SUPER]

BROKEN = {"done-missing-finish", "cut", "empty", "whole-on-stream", "done-only"}
ELSEWHERE = {
    "abort",
    "error-finish",
    "answer-as-reasoning",
    "think-tag-closed-only",
    "message-in-stream",
    "tool-text-kimi",
    "tool-text-toolcall",
    "tool-text-toolcall-too",
}
"""Shapes that put an answer in another place, or end it otherwise: see test_odd_shapes."""
CALLS = [
    {"name": "weather", "arguments": {"city": "Paris", "days": 3}, "id": "c0"},
    {"name": "time", "arguments": {"zone": "UTC"}, "id": "c1"},
]


@pytest.fixture
def stream(ask, sse):
    def run(model=SUPER, content="Hello there", /, **fields):
        response = ask(model, content, stream=True, **fields)
        assert response.status_code == 200, response.text
        return sse.events(response.text)

    return run


@pytest.fixture
def deltas(server, stream):
    """Deltas of a queued answer with reasoning, text and two calls, in a given shape."""

    def run(shape, **fields):
        server.reply("one two", reasoning="hm hm", tool_calls=CALLS, shape=shape, unchecked=True)
        found = stream(SUPER, **fields)
        return [choice["delta"] for event in found[:-1] for choice in event["choices"]]

    return run


@pytest.mark.parametrize("model", ALL)
def test_streams_say_the_same_as_whole_answers(said, stream, sse, model):
    found = stream(model, "A question")
    assert found[-1] == "[DONE]"
    whole = sse.gathered(found)
    assert whole.text == said(model, "A question")
    assert whole.finish == "stop"
    assert bool(whole.reasoning) == (model in (NANO, KIMI, SUPER))
    first, last = found[0], found[-2]
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert len({event["id"] for event in found[:-1]}) == 1


def test_words_come_one_by_one(server, stream):
    server.reply("one two  three\n", reasoning=["a", "bc"])
    contents = [event["choices"][0]["delta"].get("content") for event in stream()[1:-2]]
    assert contents == [None, None, "one", " two", "  three", "\n"]
    server.reply(["exact", "ly", " these"])
    contents = [event["choices"][0]["delta"].get("content") for event in stream()[1:-2]]
    assert contents == ["exact", "ly", " these"]


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_usage_comes_when_asked_for(stream, sse, model):
    assert sse.gathered(stream(model)).usage is None
    found = stream(model, stream_options={"include_usage": True})
    assert found[-2]["choices"] == []
    assert found[-2]["usage"]["prompt_tokens"] == 2
    assert all("usage" not in event for event in found[:-2])


def test_calls_come_in_fragments(server, stream, sse):
    server.reply(tool_calls=CALLS, unchecked=True)
    found = stream()
    whole = sse.gathered(found)
    assert whole.finish == "tool_calls"
    assert json.loads(whole.calls[0]["arguments"]) == {"city": "Paris", "days": 3}
    assert whole.calls[1]["name"] == "time"
    fragments = [
        call
        for event in found[:-1]
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert fragments[0]["function"] == {"name": "weather", "arguments": ""}
    assert len(fragments) > 5
    assert sum("id" in fragment for fragment in fragments) == 2


def test_logprobs_come_with_their_words(stream):
    found = stream(SUPER, logprobs=True, reasoning_effort="none", max_tokens=3)
    for event in found[1:4]:
        choice = event["choices"][0]
        assert choice["logprobs"]["content"][0]["token"] == choice["delta"]["content"]


def test_several_choices_are_told_apart(stream):
    found = stream(SUPER, n=2, max_tokens=2, reasoning_effort="none")
    assert [event["choices"][0]["index"] for event in found[:-1]] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_delay_between_events_is_kept(server, client):
    server.reply(["a", "b", "c"], chunk_delay=0.02, delay=0.05)
    body = {"model": KIMI, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    response = client.post(f"{server.base_url}/chat/completions", json=body)
    assert response.elapsed.total_seconds() > 0.05 + 5 * 0.02


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - BROKEN - ELSEWHERE))
def test_every_shape_says_the_same(server, ask, shape):
    server.reply("one two", reasoning="hm hm", tool_calls=CALLS, shape=shape, unchecked=True)
    text = ask(SUPER, stream=True).content.decode()
    separator = "\r\n" if "crlf" in shape else "\r" if shape == "cr" else "\n"
    lines = text.split(separator)
    assert "\n" not in "".join(lines).replace("\u2028", "")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    found = [json.loads(line) for line in data if line != "[DONE]"]
    choices = [choice for event in found for choice in event["choices"]]
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    thought = "".join(
        choice["delta"].get("reasoning_content") or choice["delta"].get("reasoning") or ""
        for choice in choices
    )
    if shape == "think-tags":
        assert content == "<think>hm hm</think>one two"
    else:
        assert content.removesuffix("\n\n") == "one two"
        assert thought == "hm hm"
    names = [
        call["function"]["name"]
        for choice in choices
        for call in choice["delta"].get("tool_calls", ())
        if call["function"].get("name")
    ]
    assert list(dict.fromkeys(names)) == ["weather", "time"]
    finish = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    assert finish == ["stop" if shape == "tool-stop" else "tool_calls"]


def test_shapes_have_a_sentence_each():
    assert all(said.endswith(".") for said in SHAPES.values())


@pytest.mark.parametrize("name", ["nothing", "pings+nothing", ""])
def test_unknown_shapes_are_refused(server, name):
    with pytest.raises(ValueError, match="unknown shape"):
        server.reply("a", shape=name)
    with pytest.raises(ValueError, match="unknown shape"):
        server.shape = name


def test_a_shape_may_hold_for_all(server, stream):
    server.shape = "role-every+usage-cumulative"
    found = stream()
    assert all(event["choices"][0]["delta"]["role"] == "assistant" for event in found[:-1])
    assert all(event["usage"]["prompt_tokens"] == 2 for event in found[:-1])


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ("default", {"role": "assistant", "content": ""}),
        ("role-absent", {"content": ""}),
        ("role-null", {"role": None, "content": ""}),
        ("first-null", {"role": "assistant", "content": None}),
        ("first-absent", {"role": "assistant"}),
        ("role-absent+first-absent", {"reasoning_content": "hm"}),
    ],
)
def test_the_first_delta(deltas, shape, first):
    assert deltas(shape)[0] == first


def test_roles(deltas):
    assert all(delta["role"] == "assistant" for delta in deltas("role-every"))
    assert all(delta["role"] is None for delta in deltas("role-null"))
    assert all("role" not in delta for delta in deltas("role-absent"))


@pytest.mark.parametrize(
    ("shape", "delta"),
    [
        ("reasoning-content", {"reasoning_content": "hm"}),
        ("reasoning-field", {"reasoning": "hm"}),
        ("reasoning-both", {"reasoning": "hm", "reasoning_content": "hm"}),
        ("think-tags", {"content": "<think>"}),
    ],
)
def test_where_reasoning_is(deltas, shape, delta):
    assert deltas(shape)[1] == delta


def test_reasoning_and_content_together(server, stream):
    server.reply("one two", reasoning="hm hm", shape="reasoning-and-content-together")
    found = stream()
    assert found[2]["choices"][0]["delta"] == {"reasoning_content": " hm", "content": "one"}
    assert found[-2]["choices"][0] == {
        "index": 0,
        "delta": {"content": " two"},
        "finish_reason": "stop",
    }


USAGES = [
    ("usage-null", [None, None, None, None, 2], False),
    ("usage-cumulative", [0, 1, 2, 2], True),
    ("usage-empty-choices", ["absent", "absent", "absent", "absent", 2], False),
    ("usage-in-finish", ["absent", "absent", "absent", 2], True),
    ("usage-extra-with-choices", ["absent", "absent", "absent", "absent", 2], True),
    ("usage-none", ["absent", "absent", "absent", "absent"], True),
]


@pytest.mark.parametrize(("shape", "counts", "choices"), USAGES)
def test_where_usage_is(server, stream, shape, counts, choices):
    server.reply("one two", shape=shape)
    found = stream()[:-1]
    usages = [event.get("usage", "absent") for event in found]
    assert [
        usage["completion_tokens"] if isinstance(usage, dict) else usage for usage in usages
    ] == counts
    assert bool(found[-1]["choices"]) == choices


def test_usage_may_be_missing_from_whole_answers(server, ask):
    server.shape = "usage-none"
    assert "usage" not in ask(KIMI).json()
    server.shape = "bare"
    assert set(ask(PALI).json()) == {"id", "choices"}


def test_pings_and_unknown_fields(server, ask):
    server.reply("one two", shape="pings+nvext")
    text = ask(SUPER, stream=True).text
    assert text.count(": ping\n\n") == text.count("data: ")
    server.reply("one two", shape="nvext")
    assert "nvext" in ask(SUPER).json()


def fragments(deltas):
    return [call for delta in deltas for call in delta.get("tool_calls", ())]


IDS = [
    ("default", "absent"),
    ("tool-ids-repeated", "c0"),
    ("tool-ids-empty", ""),
    ("tool-ids-null", None),
]


@pytest.mark.parametrize(("shape", "later"), IDS)
def test_ids_of_later_fragments(deltas, shape, later):
    of_first_call = [call for call in fragments(deltas(shape)) if call["index"] == 0]
    assert of_first_call[0]["id"] == "c0"
    assert {call.get("id", "absent") for call in of_first_call[1:]} == {later}


def test_other_shapes_of_calls(deltas):
    assert all("id" not in call for call in fragments(deltas("tool-ids-missing")))
    assert all("index" not in call for call in fragments(deltas("tool-index-missing")))
    assert all(call["function"].get("name") for call in fragments(deltas("tool-name-every")))
    null = fragments(deltas("tool-arguments-null"))
    assert null[0]["function"] == {"name": "weather", "arguments": None}
    absent = fragments(deltas("tool-arguments-absent"))
    assert absent[0]["function"] == {"name": "weather"}
    whole = deltas("tool-calls-whole")[-2]["tool_calls"]
    assert [call["index"] for call in whole] == [0, 1]
    assert json.loads(whole[0]["function"]["arguments"]) == {"city": "Paris", "days": 3}
    parsed = fragments(deltas("tool-arguments-object"))
    assert parsed[0]["function"]["arguments"] == {"city": "Paris", "days": 3}
    order = [call["index"] for call in fragments(deltas("tool-interleaved"))]
    assert order[:4] == [0, 1, 0, 1]
    before = deltas("tool-newlines-first")
    assert {"content": "\n\n"} in before


def test_shapes_of_calls_in_whole_answers(server, ask):
    server.reply(
        tool_calls=CALLS,
        unchecked=True,
        shape="tool-arguments-object+tool-stop+tool-newlines-first",
    )
    choice = ask(SUPER).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == "\n\n"
    assert choice["message"]["tool_calls"][1]["function"]["arguments"] == {"zone": "UTC"}
    broken = [{"name": "a", "arguments": "{"}]
    server.reply(tool_calls=broken, shape="tool-arguments-object", unchecked=True)
    call = ask(SUPER).json()["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == "{"


def test_kimi_s_ids(server, ask):
    server.reply(tool_calls=[{"name": "a"}], shape="kimi-ids", unchecked=True)
    call = ask(SUPER).json()["choices"][0]["message"]["tool_calls"][0]
    assert call["id"] == "functions.a:0"


@pytest.mark.parametrize(
    ("shape", "finish", "done"),
    [
        ("default", True, True),
        ("no-done", True, False),
        ("done-missing-finish", False, True),
        ("cut", False, False),
    ],
)
def test_endings(server, ask, shape, finish, done):
    server.reply("one two", shape=shape)
    text = ask(SUPER, stream=True).text
    assert ('"finish_reason":"stop"' in text) == finish
    assert text.endswith("data: [DONE]\n\n") == done


def flushes(server, shape):
    """What of a stream arrives together, as far as the client can tell."""
    server.reply("one two", shape=shape, chunk_delay=0.001)
    body = {"model": KIMI, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx.stream(
        "POST", f"{server.base_url}/chat/completions", json=body, headers=headers
    ) as response:
        return list(response.iter_raw())


def test_bytes_are_cut_anywhere(server):
    small = flushes(server, "small-pieces")
    assert max(map(len, small)) <= 64
    cut = flushes(server, "utf8-split")
    with pytest.raises(UnicodeDecodeError):
        [piece.decode() for piece in cut]
    assert "\u2028" in b"".join(cut).decode()
    ends = flushes(server, "crlf-split")
    assert any(piece.endswith(b"\r") for piece in ends)
    assert b"".join(ends).count(b"\r\n\r\n") == b"".join(ends).count(b"data: ")


def test_streams_and_wholes_change_places(server, ask):
    server.shape = "whole-on-stream"
    response = ask(KIMI, stream=True)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["object"] == "chat.completion"
    server.shape = "stream-on-whole"
    assert ask(KIMI).headers["content-type"] == "text/event-stream"
    server.shape = "empty"
    for streams in (False, True):
        response = ask(KIMI, stream=streams)
        assert (response.status_code, response.content) == (200, b"")


ERRORS = [
    ("error-object", '"error":{"message":"It broke"', False),
    ("error-string", 'data: {"error":"It broke"}\n\n', False),
    ("problem", '"status":500,"title":"Internal Server Error","detail":"It broke"', False),
    ("event-comment", "event: error\n: It broke\n\n", False),
    ("error-then-done", '"error":{"message":"It broke"', True),
]


@pytest.mark.parametrize(("shape", "said", "done"), ERRORS)
def test_errors_after_the_200(server, ask, shape, said, done):
    server.error_in_stream(shape, after=2, message="It broke")
    server.reply("one two three four")
    text = ask(SUPER, stream=True).text
    assert said in text
    assert " two" in text
    assert "three" not in text
    assert text.endswith("data: [DONE]\n\n") == done
    assert '"finish_reason":"stop"' not in text


def test_errors_in_whole_answers(server, ask):
    server.error_in_stream("error-string", message="It broke")
    response = ask(SUPER)
    assert (response.status_code, response.json()) == (200, {"error": "It broke"})
    with pytest.raises(ValueError, match="unknown error"):
        server.error_in_stream("nothing")
