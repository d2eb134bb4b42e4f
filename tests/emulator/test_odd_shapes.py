"""Answers in the odd forms that servers have been seen to give, in streams and whole."""

from __future__ import annotations

import json

import pytest

SUPER = "nvidia/nemotron-3-super-120b-a12b"
KIMI = "moonshotai/kimi-k2.6"
CALLS = [
    {"name": "weather", "arguments": {"city": "Paris", "days": 3, "exact": True}, "id": "c0"},
    {"name": "time", "arguments": {"zone": "UTC"}, "id": "c1"},
]


@pytest.fixture
def both(server, ask, sse):
    """One scripted reply as the events of a stream, and as the choice of a whole answer."""

    def run(shape, **reply):
        server.reply(**reply, shape=shape, unchecked=True, times=2)
        streamed = ask(SUPER, stream=True)
        return sse.events(streamed.text), ask(SUPER).json()["choices"][0]

    return run


def deltas(found):
    return [event["choices"][0]["delta"] for event in found if event != "[DONE]"]


def text_of(found):
    return "".join(delta.get("content") or "" for delta in deltas(found))


def pieces_of(found):
    return [call for delta in deltas(found) for call in delta.get("tool_calls", ())]


@pytest.mark.parametrize(("shape", "reason"), [("abort", "abort"), ("error-finish", "error")])
def test_an_engine_that_gives_up(both, shape, reason):
    found, whole = both(shape, text="one two")
    assert found[-1] == "[DONE]"
    assert found[-2]["choices"][0]["finish_reason"] == reason
    assert text_of(found) == "one two"
    assert (whole["finish_reason"], whole["message"]["content"]) == (reason, "one two")
    _, calling = both(shape, tool_calls=CALLS)
    assert calling["finish_reason"] == reason


def test_the_answer_where_reasoning_belongs(both):
    found, whole = both("answer-as-reasoning", text="Paris.")
    assert whole["message"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Paris.",
    }
    assert text_of(found) == ""
    assert "".join(delta.get("reasoning_content", "") for delta in deltas(found)) == "Paris."


def test_only_the_closing_think_tag(both):
    found, whole = both("think-tag-closed-only", text="Rome", reasoning="Bern?")
    assert whole["message"]["content"] == text_of(found) == "Bern?</think>Rome"
    assert "reasoning_content" not in whole["message"]


def test_a_whole_message_in_a_stream(both):
    found, whole = both("message-in-stream", text="one", tool_calls=CALLS)
    assert len(found) == 2
    assert found[1] == "[DONE]"
    choice = found[0]["choices"][0]
    assert choice["finish_reason"] is None
    assert choice["message"] == whole["message"]
    assert whole["finish_reason"] == "tool_calls"


def test_calls_with_kimi_s_markers(both):
    found, whole = both("tool-text-kimi", text="Let me see.", tool_calls=CALLS)
    first, second = (json.dumps(call["arguments"]) for call in CALLS)
    written = (
        "<|tool_calls_section_begin|>"
        f"<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{first}<|tool_call_end|>"
        f"<|tool_call_begin|>functions.time:1<|tool_call_argument_begin|>{second}<|tool_call_end|>"
        "<|tool_calls_section_end|>"
    )
    assert whole["message"]["content"] == text_of(found) == "Let me see." + written
    assert "tool_calls" not in whole["message"]
    assert pieces_of(found) == []
    assert whole["finish_reason"] == "stop"


@pytest.mark.parametrize("shape", ["tool-text-toolcall", "tool-text-toolcall-too"])
def test_calls_between_toolcall_tags(both, shape):
    found, whole = both(shape, tool_calls=CALLS)
    text = whole["message"]["content"]
    assert text == text_of(found)
    listed = json.loads(text.removeprefix("<TOOLCALL>").removesuffix("</TOOLCALL>"))
    assert listed == [{"name": c["name"], "arguments": c["arguments"]} for c in CALLS]
    beside = shape.endswith("too")
    assert ("tool_calls" in whole["message"]) == beside
    assert bool(pieces_of(found)) == beside
    assert whole["finish_reason"] == ("tool_calls" if beside else "stop")


def test_every_piece_under_index_0_without_an_id(both):
    found, whole = both("tool-index-zero", tool_calls=CALLS)
    pieces = pieces_of(found)
    assert {piece["index"] for piece in pieces} == {0}
    assert not any("id" in piece for piece in pieces)
    assert [p["function"]["name"] for p in pieces if "name" in p["function"]] == ["weather", "time"]
    assert not any("id" in call for call in whole["message"]["tool_calls"])


def test_the_name_under_one_index_and_the_arguments_under_another(both):
    found, _ = both("tool-index-split", tool_calls=CALLS)
    pieces = pieces_of(found)
    assert {p["index"] for p in pieces if "name" in p["function"]} == {0, 2}
    assert {p["index"] for p in pieces if "name" not in p["function"]} == {1, 3}
    assert not any("id" in p for p in pieces if "name" not in p["function"])


def test_ids_that_are_the_text_null(both):
    found, whole = both("tool-ids-text-null", tool_calls=CALLS)
    assert {piece["id"] for piece in pieces_of(found)} == {"null"}
    assert {call["id"] for call in whole["message"]["tool_calls"]} == {"null"}


ARGUMENTS = json.dumps(CALLS[0]["arguments"])


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("tool-arguments-twice", ARGUMENTS * 2),
        ("tool-arguments-encoded-twice", json.dumps(ARGUMENTS)),
        ("tool-arguments-strings", '{"city": "Paris", "days": "3", "exact": "True"}'),
    ],
)
def test_arguments_that_are_not_as_they_should_be(both, shape, wanted):
    found, whole = both(shape, tool_calls=CALLS[:1])
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == wanted
    assert "".join(piece["function"]["arguments"] for piece in pieces_of(found)) == wanted


def test_strings_need_an_object(both):
    broken = [{"name": "weather", "arguments": "{"}]
    _, whole = both("tool-arguments-strings", tool_calls=broken)
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == "{"


def test_pieces_that_come_twice(both):
    found, _ = both("tool-pieces-twice", tool_calls=CALLS[:1])
    pieces = pieces_of(found)
    assert pieces[::2] == pieces[1::2]


def test_an_empty_list_of_calls(both):
    found, whole = both("tool-calls-empty", text="Done")
    assert whole["message"]["tool_calls"] == []
    assert deltas(found)[-1] == {"tool_calls": []}
    assert whole["finish_reason"] == "stop"


def test_usage_with_fractions(server, ask):
    usage = ask(SUPER, stream=True, stream_options={"include_usage": True}).text
    assert '"total_tokens":' in usage
    assert '.0,"' not in usage
    server.shape = "usage-floats"
    assert '"prompt_tokens":2.0' in ask(SUPER).text
    streamed = ask(SUPER, stream=True, stream_options={"include_usage": True}).text
    assert '"prompt_tokens":2.0' in streamed


def test_nothing_but_the_end(server, ask):
    server.reply("one", shape="done-only")
    assert ask(SUPER, stream=True).text == "data: [DONE]\n\n"


def test_events_without_data(server, ask):
    server.reply("one two", shape="empty-data")
    text = ask(SUPER, stream=True).text
    assert text.startswith("data:\n\ndata: {")
    assert text.count("data:\n\n") == text.count("data: ")


@pytest.mark.parametrize(
    ("shape", "content_type"), [("events-as-json", "application/json"), ("events-unlabelled", None)]
)
def test_how_a_stream_is_labelled(server, ask, shape, content_type):
    server.reply("one", shape=shape)
    streamed = ask(SUPER, stream=True)
    assert streamed.headers.get("content-type") == content_type
    assert streamed.text.startswith("data: {")


def test_an_error_as_the_first_event(server, ask, sse):
    server.error_in_stream("error-object", after=None, code=429, message="slow down")
    (first,) = sse.events(ask(SUPER, stream=True).text)
    assert first["error"] == {"message": "slow down", "type": "InternalServerError", "code": 429}
    server.error_in_stream("problem", after=None, code=503)
    (first,) = sse.events(ask(SUPER, stream=True).text)
    assert first["status"] == 503
