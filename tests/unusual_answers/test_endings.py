"""Whether an answer is complete, cut or broken; and where its content is, if it is not where it should be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nvcf_core.errors import (
    APIStatusError,
    InvalidResponseError,
    NVCFError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from nvcf_emulator import Emulator

from .conftest import KIMI, SUPER, WAYS, Answer, name_of


def events(*deltas: dict[str, Any], finish: str | None = "stop") -> list[dict[str, Any]]:
    said = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return [*said, {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]


def body(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c", "choices": [choice], **more}


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("finish", ["abort", "error"])
def test_an_answer_that_the_service_gave_up_is_interrupted(
    finish: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer([*events({"content": "It is"}, finish=finish), DONE], body({"content": "It is"}, finish))
    with pytest.raises(StreamInterruptedError, match=finish) as caught:
        way.ask(server)
    assert caught.value.partial.text == "It is"


@pytest.mark.parametrize("finish", ["abort", "error"])
def test_so_is_one_with_a_call(finish: str, way: Any, server: Emulator, answer: Answer) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
    answer(
        [*events({"tool_calls": [call]}, finish=finish), DONE], body({"tool_calls": [call]}, finish)
    )
    with pytest.raises(StreamInterruptedError) as caught:
        way.ask(server)
    assert [each.name for each in caught.value.partial.tool_calls] == ["f"]


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("application/json", b""),
        ("text/plain; charset=utf-8", b""),
        ("", b""),
        ("", b": ping\n\n"),
        ("", b"event: message\n"),
        ("", b"\n"),
        ("", b"\xef\xbb\xbf"),
    ],
)
def test_events_under_another_label_or_none_are_read_as_events(
    kind: str, first: bytes, way: Any, server: Emulator, answer: Answer
) -> None:
    answer([first + b"da", b"ta: " + json.dumps(events({"content": "Rome"})[0]).encode() + b"\n\n",
            *events(), DONE], kind=kind)  # fmt: skip
    assert way.ask(server).text == "Rome"


@pytest.mark.parametrize("kind", ["application/json", ""])
def test_what_is_neither_events_nor_json_is_not_an_answer(
    kind: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer([b"data is what this is not"], kind=kind)
    with pytest.raises(InvalidResponseError):
        way.ask(server)


def test_data_without_content_is_a_sign_of_life(way: Any, server: Emulator, answer: Answer) -> None:
    pieces = events({"content": "Ro"}, {"content": "me"})
    answer([b"data:\n\n", pieces[0], b"data: \n\n", b"data\n\n", *pieces[1:], b"data:\n\n", DONE])
    assert way.ask(server).text == "Rome"


@pytest.mark.parametrize(
    "stream", [[DONE], [b""], [b": ping\n\n"], [{"id": "c", "choices": []}, DONE],
               [{"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}, DONE]],
    ids=["done alone", "empty", "comments", "no choice", "a role alone"],
)  # fmt: skip
def test_a_stream_with_nothing_in_it_is_interrupted_and_may_be_tried_again(
    stream: list[Any], way: Any, server: Emulator, answer: Answer
) -> None:
    answer(stream)
    with pytest.raises(StreamInterruptedError) as caught:
        way.ask(server)
    assert caught.value.retryable
    assert caught.value.partial.text == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "slow down", "code": 429}}, RateLimitError),
        ({"error": {"message": "slow down", "code": "429"}}, RateLimitError),
        ({"error": {"message": "slow down", "status": 503}}, ServerError),
        ({"error": "slow down", "status": 500}, ServerError),
        ({"object": "error", "message": "slow down", "code": 503}, ServerError),
        ({"message": "slow down", "code": 429}, RateLimitError),
    ],
)
def test_an_error_before_anything_else_is_the_status_it_names(
    error: dict[str, Any], kind: type[APIStatusError], way: Any, server: Emulator, answer: Answer
) -> None:
    answer([error], error)
    with pytest.raises(kind, match="slow down") as caught:
        way.ask(server)
    assert caught.value.retryable


def test_an_error_in_the_middle_is_an_interruption(
    way: Any, server: Emulator, answer: Answer
) -> None:
    answer([events({"content": "Ro"})[0], {"error": {"message": "slow down", "code": 429}}])
    with pytest.raises(NVCFError) as caught:
        way.ask(server)
    assert isinstance(caught.value, StreamInterruptedError)
    assert caught.value.partial.text == "Ro"
    assert not caught.value.retryable


def test_a_stream_without_a_label_and_with_nothing_in_it(
    way: Any, server: Emulator, answer: Answer
) -> None:
    answer([b""], kind="application/json")
    kind = InvalidResponseError if way.way == "whole" else StreamInterruptedError
    with pytest.raises(kind) as caught:
        way.ask(server)
    assert caught.value.retryable


OFF = {"reasoning_effort": "none"}


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_with_thinking_switched_off_reasoning_without_content_is_the_content(
    model: str, way: Any, server: Emulator, answer: Answer
) -> None:
    message = {"content": None, "reasoning_content": "Paris."}
    pieces = [{"content": None, "reasoning_content": part} for part in ("Par", "is.")]
    answer([*events(*pieces), DONE], body(message))
    said = way.ask(server, model, **OFF)
    assert said.text == "Paris."
    if way.way == "whole":
        assert said.reasoning == ""


def test_with_thinking_switched_off_by_the_template_too(
    way: Any, server: Emulator, answer: Answer
) -> None:
    message = {"content": "", "reasoning": "Paris."}
    answer([*events(message), DONE], body(message))
    assert way.ask(server, chat_template_kwargs={"thinking": False}).text == "Paris."


def test_with_thinking_on_it_stays_reasoning(way: Any, server: Emulator, answer: Answer) -> None:
    message = {"content": None, "reasoning_content": "Paris."}
    answer([*events(message), DONE], body(message))
    said = way.ask(server)
    assert (said.text, said.reasoning) == ("", "Paris.")


def test_content_and_calls_leave_the_reasoning_alone(
    way: Any, server: Emulator, answer: Answer
) -> None:
    message = {"content": "Rome.", "reasoning_content": "Paris?"}
    answer([*events(message), DONE], body(message))
    said = way.ask(server, **OFF)
    assert (said.text, said.reasoning) == ("Rome.", "Paris?")


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "thinking", "thinking": "Italy?"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "Italy?"}]},
        {"type": "reasoning", "reasoning": "Italy?"},
        {"type": "reasoning", "text": "Italy?"},
    ],
)
def test_content_in_parts_has_its_reasoning_apart(
    thought: dict[str, Any], way: Any, server: Emulator, answer: Answer
) -> None:
    message = {"content": [thought, {"type": "text", "text": "Rome."}]}
    answer([*events(message), DONE], body(message))
    said = way.ask(server)
    assert (said.text, said.reasoning) == ("Rome.", "Italy?")


@pytest.mark.parametrize(
    "way", [way for way in WAYS if way.way == "whole"], indirect=True, ids=name_of
)
def test_a_closing_tag_that_nothing_opened_ends_the_reasoning_of_a_whole_answer(
    way: Any, server: Emulator, answer: Answer
) -> None:
    answer([], body({"content": "It could be Bern.\n</think>\n\nRome."}))
    said = way.ask(server)
    assert (said.text, said.reasoning) == ("Rome.", "It could be Bern.\n")


@pytest.mark.parametrize(
    "way", [way for way in WAYS if way.way != "whole"], indirect=True, ids=name_of
)
def test_in_a_stream_what_was_handed_out_stays_text(
    way: Any, server: Emulator, answer: Answer
) -> None:
    text = "It could be Bern.\n</think>\n\nRome."
    answer([*events({"content": text}), DONE], body({}))
    said = way.ask(server)
    assert (said.text, said.reasoning) == (text, "")


def test_a_closing_tag_behind_an_opening_one_is_text(
    way: Any, server: Emulator, answer: Answer
) -> None:
    text = "Write <think>like this</think>."
    answer([*events({"content": text}), DONE], body({"content": text}))
    assert way.ask(server).text == text


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 12.0, "completion_tokens": 3.0, "total_tokens": 15.0}, (12, 3, 15)),
        ({"prompt_tokens": 12, "completion_tokens": None}, (12, 0, 12)),
        ({"prompt_tokens": "12", "completion_tokens": None}, None),
        ({"prompt_tokens": 12.5, "completion_tokens": 3}, None),
        ({"prompt_tokens": "12", "completion_tokens": 3}, None),
        ({"prompt_tokens": -1, "completion_tokens": 3}, None),
        ({"prompt_tokens": True, "completion_tokens": 3}, None),
        ({}, None),
    ],
)
def test_token_counts(usage: dict[str, Any], tokens: Any, server: Emulator) -> None:
    from langchain_nvcf import ChatNVCF

    headers = {"content-type": "application/json"}
    server.raw(headers=headers, chunks=[json.dumps(body({"content": "x"}, usage=usage)).encode()])
    with ChatNVCF(
        model=KIMI, base_url=server.base_url, nvcf_url=server.nvcf_url, api_key=server.api_key
    ) as chat:
        counted = chat.invoke("Hello").usage_metadata
    found = counted and (counted["input_tokens"], counted["output_tokens"], counted["total_tokens"])
    assert found == tokens
