"""The decoder of answers: every recorded reply, whole and cut anywhere, and what its chunks promise."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import Chunk
from nvcf_core.errors import InvalidResponseError, ServerError, StreamInterruptedError
from nvcf_core.exchange import Response
from nvcf_core.response.decoder import UnlabelledDecoder, decoder_for
from nvcf_core.response.event_stream import EventStreamDecoder
from nvcf_core.response.json_body import JSONBodyDecoder
from nvcf_core.response.options import DecodeOptions
from nvcf_core.tools.names import ToolNames

FOLDER = Path(__file__).parents[2] / "replies"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())
STREAMS = [n for n, want in EXPECTED.items() if n.startswith("streams/") and "error" not in want]
BROKEN = [n for n, want in EXPECTED.items() if n.startswith("streams/") and "partial" in want]
WHOLE = [n for n, want in EXPECTED.items() if n.startswith("whole/") and "error" not in want]
REFUSED = [n for n, want in EXPECTED.items() if n.startswith("whole/") and "error" in want]


def short(name: str) -> str:
    return name.partition("/")[2].partition(".")[0]


def facts(answer: Chunk) -> dict[str, Any]:
    """What a chunk says, in the words of `expected.json`, without what is empty."""
    usage = answer.usage
    details = usage and [
        usage.cached_tokens,
        usage.reasoning_tokens,
        usage.prompt_audio_tokens,
        usage.completion_audio_tokens,
    ]
    said = {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "refusal": answer.refusal,
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in answer.tool_calls
        ],
        "finish_reason": answer.finish_reason,
        "usage": usage and [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
        "usage_details": details if details and any(n is not None for n in details) else None,
        "logprob_tokens": answer.logprobs and [e["token"] for e in answer.logprobs["content"]],
        "id": answer.id,
        "model": answer.model,
        "others": [other.text for other in answer.other_choices],
    }
    return {name: value for name, value in said.items() if value}


def wanted(expected: dict[str, Any], answer: Chunk) -> dict[str, Any]:
    """The expectation, with the ids that had to be made up taken from the answer."""
    want = {name: value for name, value in expected.items() if value}
    if "tool_calls" in want:
        pairs = zip(want["tool_calls"], answer.tool_calls, strict=True)
        want["tool_calls"] = [{"id": call.id, **known} for known, call in pairs]
    return want


def test_every_recorded_reply_is_named_in_the_expectations_and_the_reverse() -> None:
    kinds = ("streams", "whole", "errors")
    found = {f"{kind}/{path.name}" for kind in kinds for path in (FOLDER / kind).iterdir()}
    assert found == set(EXPECTED)


@pytest.mark.parametrize("name", STREAMS, ids=short)
def test_a_stream(name: str, decoded: Any, total: Any) -> None:
    chunks, answer = decoded((FOLDER / name).read_bytes())
    assert facts(answer) == wanted(EXPECTED[name], answer)
    assert total(chunks) == answer
    assert answer.request_id == "req-1"
    assert answer.last


@pytest.mark.parametrize("name", STREAMS, ids=short)
def test_a_stream_that_arrives_byte_by_byte(name: str, decoded: Any, total: Any) -> None:
    body = (FOLDER / name).read_bytes()
    chunks, answer = decoded(body, cuts=range(1, len(body)))
    assert facts(answer) == wanted(EXPECTED[name], answer)
    assert total(chunks) == answer


@pytest.mark.parametrize("name", STREAMS, ids=short)
def test_what_the_chunks_of_a_stream_promise(name: str, decoded: Any) -> None:
    chunks, _ = decoded((FOLDER / name).read_bytes())
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    for chunk in chunks[:-1]:
        once = (chunk.finish_reason, chunk.usage, chunk.id, chunk.model, chunk.request_id)
        assert once == (None,) * 5
        assert chunk.text or chunk.reasoning or chunk.tool_calls or chunk.refusal or chunk.logprobs
        assert chunk.raw
    seen: set[int] = set()
    for call in [call for chunk in chunks for call in chunk.tool_calls]:
        assert bool(call.id and call.name) == (call.index not in seen)
        assert not (call.index in seen and (call.id or call.name))
        seen.add(call.index)
    assert seen == set(range(len(seen)))


@given(st.sampled_from(STREAMS), st.data())
def test_a_stream_cut_anywhere(decoded: Any, total: Any, name: str, data: st.DataObject) -> None:
    body = (FOLDER / name).read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    chunks, answer = decoded(body, cuts=cuts)
    assert facts(answer) == wanted(EXPECTED[name], answer)
    assert total(chunks) == answer


@pytest.mark.parametrize("name", BROKEN, ids=short)
@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["at once", "byte by byte"])
def test_a_broken_stream(name: str, byte_by_byte: bool, decoded: Any) -> None:
    body, want = (FOLDER / name).read_bytes(), EXPECTED[name]
    with pytest.raises(StreamInterruptedError, match=re.escape(want["error"])) as caught:
        decoded(body, cuts=range(1, len(body)) if byte_by_byte else ())
    partial = caught.value.partial
    said = facts(partial)
    named = {key: said[key] for key in ("text", "reasoning", "tool_calls") if key in said}
    assert named == {key: value for key, value in want["partial"].items() if value}
    assert not partial.last
    assert caught.value.request_id == "req-1"
    assert "(request id req-1)" in str(caught.value)
    assert caught.value.retryable == (not named)


@pytest.mark.parametrize("name", WHOLE, ids=short)
def test_a_whole_answer(name: str, decoded: Any, total: Any) -> None:
    body = (FOLDER / name).read_bytes()
    chunks, answer = decoded(body, kind="application/json", cuts=range(1, len(body)))
    assert facts(answer) == wanted(EXPECTED[name], answer)
    assert total(chunks) == answer
    assert [chunk.last for chunk in chunks] == [False, True]
    assert answer.raw == json.loads(body)
    assert answer.request_id == "req-1"


@pytest.mark.parametrize("name", REFUSED, ids=short)
def test_a_whole_body_that_is_no_answer(name: str, decoded: Any) -> None:
    body = (FOLDER / name).read_bytes()
    with pytest.raises(InvalidResponseError, match=re.escape(EXPECTED[name]["error"])) as caught:
        decoded(body, kind="application/json")
    assert caught.value.body == body
    assert "(request id req-1)" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/event-stream", EventStreamDecoder),
        ("Text/Event-Stream; charset=utf-8", EventStreamDecoder),
        ("application/json", UnlabelledDecoder),
        ("", UnlabelledDecoder),
    ],
)
def test_the_content_type_picks_the_decoder(kind: str, expected: type) -> None:
    assert isinstance(decoder_for(Response(200, {"content-type": kind}), DecodeOptions()), expected)
    assert isinstance(decoder_for(Response(200, {}), DecodeOptions()), UnlabelledDecoder)


def test_the_last_chunk_has_what_the_wire_said_once(decoded: Any) -> None:
    chunks, _ = decoded((FOLDER / "streams/plain.txt").read_bytes())
    assert chunks[-1].raw == {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "some/model",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    assert chunks[0].raw["choices"][0]["delta"] == {"content": "Hel"}


def test_where_nobody_reads_raw_the_last_chunk_alone_has_it() -> None:
    body = (FOLDER / "streams/plain.txt").read_bytes()
    found = {}
    for keeps_raw in (True, False):
        head = Response(200, {"content-type": "text/event-stream"})
        decoder = decoder_for(head, DecodeOptions(keeps_raw=keeps_raw))
        found[keeps_raw] = [*decoder.feed(body), *decoder.flush()]
    assert found[False] == found[True], "raw apart"
    assert found[False][-1].raw == found[True][-1].raw
    assert not any(chunk.raw for chunk in found[False][1:-1])
    assert all(chunk.raw for chunk in found[True])


def test_ids_made_up_for_calls_are_the_same_at_every_reading(decoded: Any) -> None:
    body = (FOLDER / "streams/tool_calls_whole_without_ids.txt").read_bytes()
    first, second = (decoded(body)[1] for _ in range(2))
    ids = [call.id for call in first.tool_calls]
    assert ids == [call.id for call in second.tool_calls]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("call_[0-9a-f]{24}", call_id) for call_id in ids)


def test_names_are_mapped_back(decoded: Any) -> None:
    body = (FOLDER / "streams/tool_call_fragments.txt").read_bytes()
    names = ToolNames(["météo"])
    body = body.replace(b'"weather"', json.dumps(names.to_wire("météo")).encode())
    assert decoded(body, DecodeOptions(names=names))[1].tool_calls[0].name == "météo"


@pytest.mark.parametrize("name", ["streams/tool_calls_interleaved.txt", "whole/tool_calls.json"])
def test_a_single_call_where_only_one_was_allowed(name: str, decoded: Any, total: Any) -> None:
    kind = "text/event-stream" if name.startswith("streams") else "application/json"
    reading = DecodeOptions(single_call=True)
    chunks, answer = decoded((FOLDER / name).read_bytes(), reading, kind=kind)
    assert [(call.id, call.arguments) for call in answer.tool_calls] == [
        ("call-a", '{"city":"Oslo"}')
    ]
    assert total(chunks) == answer


def deltas(*said: dict[str, Any], finish: str | None = "stop") -> bytes:
    lines = []
    for number, delta in enumerate(said, 1):
        reason = finish if number == len(said) else None
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        lines.append(f"data: {json.dumps({'id': 'c', 'choices': [choice]})}\n\n")
    return "".join(lines).encode() + b"data: [DONE]\n\n"


def whole(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "c", "choices": [choice]}).encode()


def test_a_client_stop_cuts_a_stream_and_ends_it_at_once() -> None:
    reading = DecodeOptions(stops=("END",))
    headers = {"content-type": "text/event-stream"}
    decoder = decoder_for(Response(200, headers), reading)
    chunks = decoder.feed(deltas({"content": "one E"}, {"content": "ND two"}, {"content": "three"}))
    assert "".join(chunk.text for chunk in chunks) == "one "
    assert chunks[-1].last
    assert chunks[-1].finish_reason == "stop"
    assert decoder.stopped
    assert decoder.done
    assert decoder.feed(b"data: nonsense\n\n") == []
    assert list(decoder.flush()) == []


def test_a_client_stop_cuts_a_whole_answer_but_keeps_its_usage(decoded: Any) -> None:
    body = json.loads(whole({"content": "one END two"})) | {
        "usage": {"prompt_tokens": 1, "completion_tokens": 9}
    }
    body["choices"][0]["finish_reason"] = "length"
    data = json.dumps(body).encode()
    _, answer = decoded(data, DecodeOptions(stops=("END",)), kind="application/json")
    assert (answer.text, answer.finish_reason) == ("one ", "stop")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9


@pytest.mark.parametrize("form", ["stream", "whole"])
def test_a_client_stop_never_looks_into_reasoning_or_arguments(form: str, decoded: Any) -> None:
    calls = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":"END"}'}}]
    said = {"reasoning_content": "END of it", "content": "<think>END</think>yes"}
    if form == "stream":
        body, kind = deltas(said, {"tool_calls": calls}, {"content": "!"}), "text/event-stream"
    else:
        message = {**said, "content": said["content"] + "!", "tool_calls": calls}
        body, kind = whole(message), "application/json"
    _, answer = decoded(body, DecodeOptions(stops=("END",)), kind=kind)
    assert (answer.text, answer.reasoning) == ("yes!", "END of itEND")
    assert answer.tool_calls[0].arguments == '{"x":"END"}'


@pytest.mark.parametrize("form", ["stream", "whole"])
def test_calls_after_a_client_stop_are_left_out(form: str, decoded: Any) -> None:
    calls = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]
    message = {"content": "one END", "tool_calls": calls}
    body, kind = (
        (deltas(message), "text/event-stream")
        if form == "stream"
        else (whole(message), "application/json")
    )
    _, answer = decoded(body, DecodeOptions(stops=("END",)), kind=kind)
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ("one ", (), "stop")


def test_what_looks_like_a_stop_is_held_back_until_the_end(decoded: Any) -> None:
    chunks, answer = decoded(deltas({"content": "one EN"}), DecodeOptions(stops=("END",)))
    assert [chunk.text for chunk in chunks] == ["one ", "EN"]
    assert answer.text == "one EN"


LETTERS = st.text(alphabet="abE<th", max_size=30)


@given(LETTERS, st.lists(st.text("abE", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_a_stop_cuts_a_stream_as_it_cuts_the_whole(
    decoded: Any, text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    reading = DecodeOptions(stops=tuple(stops))
    _, streamed = decoded(deltas(*({"content": piece} for piece in pieces)), reading)
    _, at_once = decoded(whole({"content": text}), reading, kind="application/json")
    assert streamed.text == at_once.text
    assert streamed.finish_reason == at_once.finish_reason == "stop"
    ends = [(text.find(s) + len(s), text.find(s)) for s in stops if s in text]
    assert at_once.text == (text[: min(ends)[1]] if ends else text)


@pytest.mark.parametrize("field", ["choices", "usage", "id", "model", "finish_reason", "logprobs"])
@pytest.mark.parametrize("value", [5, True, "x", ["y"], {"z": 1}, 1.5], ids=repr)
@pytest.mark.parametrize("form", ["stream", "whole"])
def test_fields_of_any_type_end_in_an_answer_or_in_our_errors(
    form: str, field: str, value: Any, decoded: Any, total: Any
) -> None:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice["delta" if form == "stream" else "message"] = {"content": "a"}
    body: dict[str, Any] = {"id": "c", "model": "m", "choices": [choice]}
    (choice if field in choice or field == "logprobs" else body)[field] = value
    data = json.dumps(body).encode()
    kind = "application/json"
    if form == "stream":
        data, kind = b"data: %s\n\ndata: %s\n\ndata: [DONE]\n\n" % (data, data), "text/event-stream"
    try:
        chunks, answer = decoded(data, kind=kind)
    except (StreamInterruptedError, InvalidResponseError):
        assert field == "choices"
        return
    assert total(chunks) == answer
    assert isinstance(answer.id, str | None)
    assert isinstance(answer.model, str | None)
    assert isinstance(answer.finish_reason, str | None)
    assert isinstance(answer.logprobs, dict | None)


def test_nesting_that_no_parser_takes_ends_in_our_error(decoded: Any) -> None:
    deep = b'{"x":"\\ud800","choices":' + b"[" * 100_000
    with pytest.raises(StreamInterruptedError, match="not JSON"):
        decoded(b"data: " + deep + b"\n\n")
    with pytest.raises(InvalidResponseError, match="not JSON"):
        decoded(deep, kind="application/json")


def test_an_event_that_is_too_long(decoded: Any) -> None:
    start = deltas({"content": "Hel"}, finish=None)[:-14]
    with pytest.raises(StreamInterruptedError, match="longer than") as caught:
        decoded(start + b"data: " + b"x" * (33 << 20), cuts=[len(start)])
    assert caught.value.partial.text == "Hel"


def test_a_whole_answer_that_is_too_long() -> None:
    decoder = JSONBodyDecoder(Response(200, {}), DecodeOptions(), longest_document=100)
    assert decoder.feed(b"x" * 100) == []
    with pytest.raises(InvalidResponseError, match="longer than 100 bytes") as caught:
        decoder.feed(b"x")
    assert caught.value.body == b"x" * 101


def test_a_whole_answer_has_not_finished_before_its_end() -> None:
    decoder = JSONBodyDecoder(Response(200, {"nvcf-reqid": "r"}), DecodeOptions())
    data = whole({"content": "a"})
    assert decoder.feed(data[:-1]) == []
    assert not decoder.can_end
    assert decoder.feed(data[-1:] + b"  ") == []
    assert decoder.can_end, "should nothing more arrive"
    assert not decoder.done
    assert decoder.snapshot() == Chunk(request_id="r")
    decoder.flush()
    assert decoder.done
    assert decoder.snapshot().text == "a"


def test_logprobs_add_up() -> None:
    pieces = [
        None,
        {"content": [1], "x": 1},
        {"content": None, "x": None},
        {"content": [2], "x": 2},
    ]
    total = Chunk()
    for logprobs in pieces:
        total = total + Chunk(logprobs=logprobs)
    assert total.logprobs == {"content": [1, 2], "x": 2}
    assert pieces[1] == {"content": [1], "x": 1}
    assert (Chunk() + Chunk()).logprobs is None
    assert (Chunk(logprobs={}) + Chunk()).logprobs == {}


def test_an_answer_in_the_middle_of_a_stream() -> None:
    decoder = EventStreamDecoder(Response(200, {}), DecodeOptions())
    assert not decoder.can_end
    decoder.feed(deltas({"content": "a"}, {"content": "b"}, finish=None)[:-14])
    assert decoder.snapshot().text == "ab"
    assert not decoder.snapshot().last
    assert not decoder.can_end
    decoder.feed(deltas({}, finish="stop")[:-14])
    assert decoder.can_end
    assert not decoder.done
    assert [chunk.last for chunk in decoder.flush()] == [True]
    assert list(decoder.flush()) == []


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_an_answer_that_does_not_name_its_model_gets_the_name_that_was_asked(kind: str) -> None:
    body = b'{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}'
    decoder = decoder_for(Response(200, {"content-type": kind}), DecodeOptions(model="asked"))
    list(decoder.feed(b"data: " + body + b"\n\n" if "event" in kind else body))
    list(decoder.flush())
    assert decoder.snapshot().model == "asked"


@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["at once", "byte by byte"])
def test_an_error_before_anything_else_is_the_status_it_names(
    byte_by_byte: bool, decoded: Any
) -> None:
    name = "streams/error_before_any_content.txt"
    body, want = (FOLDER / name).read_bytes(), EXPECTED[name]
    with pytest.raises(ServerError, match=want["error"]) as caught:
        decoded(body, cuts=range(1, len(body)) if byte_by_byte else ())
    assert caught.value.status == want["status"]
    assert caught.value.request_id == "req-1"
    assert caught.value.retryable


@pytest.mark.parametrize(
    "odd",
    ["x", [1], {"content": "x"}, {"content": [1]}, {"content": [{"token": 5, "logprob": -1}]},
     {"content": [{"token": "a", "logprob": "b"}]}, {"refusal": {}}],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
def test_log_probabilities_of_an_odd_type_are_left_out(odd: Any, streamed: bool) -> None:
    place = {"delta" if streamed else "message": {"role": "assistant", "content": "hi"}}
    choice = {"index": 0, **place, "logprobs": odd, "finish_reason": "stop"}
    data = json.dumps({"id": "a", "choices": [choice]}).encode()
    kind = "text/event-stream" if streamed else "application/json"
    decoder = decoder_for(Response(200, {"content-type": kind}), DecodeOptions())
    decoder.feed(b"data: " + data + b"\n\ndata: [DONE]\n\n" if streamed else data)
    decoder.flush()
    assert (decoder.snapshot().text, decoder.snapshot().logprobs) == ("hi", None)


@pytest.mark.parametrize("cuts", [(), (1, 2, 7)])
@pytest.mark.parametrize("kind", ["", "text/plain", "application/json"])
def test_events_under_another_label(kind: str, cuts: tuple[int, ...], decoded: Any) -> None:
    body = b"\n" + deltas({"content": "a"}, {"content": "b"})
    chunks, answer = decoded(body, kind=kind, cuts=cuts)
    assert answer.text == "ab"
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize(("body_id", "expected"), [({"id": "chat-1"}, "chat-1"), ({}, "req-1")])
def test_a_whole_answer_has_its_own_id_or_that_of_its_request(
    body_id: dict[str, str], expected: str, decoded: Any
) -> None:
    choice = {"index": 0, "finish_reason": "tool_calls", "message": {"tool_calls": [
        {"function": {"name": "f", "arguments": "{}"}}
    ]}}  # fmt: skip
    body = json.dumps({**body_id, "choices": [choice]}).encode()
    _, answer = decoded(body, kind="application/json")
    (call,) = answer.tool_calls
    _, again = decoded(
        json.dumps({"id": expected, "choices": [choice]}).encode(), kind="application/json"
    )
    assert call.id == again.tool_calls[0].id
    assert (
        call.id
        != decoded(json.dumps({"id": "x", "choices": [choice]}).encode(), kind="application/json")[
            1
        ]
        .tool_calls[0]
        .id
    )


@pytest.mark.parametrize("said", [b"d", b"dat", b"\xef\xbb", b" \n re"])
def test_a_body_that_ends_before_it_tells_what_it_is(said: bytes, decoded: Any) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        decoded(said, kind="text/plain")
    assert caught.value.body == said
