"""No tool runs on arguments that the model did not finish; what is certainly meant is made of the others."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_emulator import Emulator

from .conftest import KIMI, SUPER, Answer
from .tool_calls import CASES, TOOLS, Case, piece


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_calls(case: Case, way: Any, server: Emulator, answer: Answer) -> None:
    answer([*case.events(), b"data: [DONE]\n\n"], case.body())
    said = way.ask(server, tools=TOOLS)
    if case.cut:
        assert said.calls == []
        assert said.bad == ["pay"]
    else:
        assert said.calls == list(case.calls)
        assert said.bad == list(case.bad)
    assert said.finish_reason == case.finish_reason
    assert server.pending == []


def test_calls_that_were_not_allowed_are_left_out_with_one_warning(
    way: Any, server: Emulator, answer: Answer
) -> None:
    case = Case("", ((piece('{"amount": 1}'),),))
    answer([*case.events(), b"data: [DONE]\n\n"], case.body())
    with pytest.warns(match='tool_choice is "none"') as warned:
        said = way.ask(server, tools=TOOLS, tool_choice="none")
    assert (said.calls, said.bad) == ([], [])
    assert len(warned) == 1
    assert server.chats[0].body["tool_choice"] == "none"


KIMI_TEXT = (
    "Let me see.<|tool_calls_section_begin|><|tool_call_begin|>functions.pay:0"
    '<|tool_call_argument_begin|>{"amount": "3"}<|tool_call_end|><|tool_call_begin|>functions.ping:1'
    "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>"
)
NEMOTRON_TEXT = (
    'Let me see.<TOOLCALL>[{"name": "pay", "arguments": {"amount": "3"}}, '
    '{"name": "ping", "arguments": {}}]</TOOLCALL>'
)
BOTH = [("pay", {"amount": 3}), ("ping", {})]


def in_text(text: str, *calls: Any, key: str = "content") -> tuple[list[Any], dict[str, Any]]:
    """An answer whose calls stand in its text, cut into small pieces, beside structured ones."""
    deltas: list[dict[str, Any]] = [{key: text[at : at + 7]} for at in range(0, len(text), 7)]
    deltas += [{"tool_calls": [call]} for call in calls]
    events = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    message = {"role": "assistant", "content": None, key: text, "tool_calls": list(calls)}
    return events, {
        "id": "c",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


@pytest.mark.parametrize(("model", "text"), [(KIMI, KIMI_TEXT), (SUPER, NEMOTRON_TEXT)])
def test_calls_in_the_text_are_calls(
    model: str, text: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer(*in_text(text))
    said = way.ask(server, model, tools=TOOLS)
    assert said.text == "Let me see."
    assert said.calls == BOTH


@pytest.mark.parametrize(("model", "text"), [(KIMI, KIMI_TEXT), (SUPER, NEMOTRON_TEXT)])
def test_calls_in_the_text_beside_the_same_calls_are_there_once(
    model: str, text: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer(*in_text(text, piece('{"amount": 3}', "pay", "functions.pay:0")))
    said = way.ask(server, model, tools=TOOLS)
    assert said.text == "Let me see."
    # In the text the number is a string: it is the same call all the same, and only "ping" is new.
    assert said.calls == BOTH


@pytest.mark.parametrize(("model", "text"), [(KIMI, KIMI_TEXT), (SUPER, NEMOTRON_TEXT)])
def test_calls_in_the_reasoning_are_calls(
    model: str, text: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer(*in_text(text, key="reasoning_content"))
    said = way.ask(server, model, tools=TOOLS)
    assert (said.text, said.reasoning) == ("", "Let me see.")
    assert said.calls == BOTH


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_only_one_call_where_only_one_is_wanted(
    model: str, way: Any, server: Emulator, answer: Answer
) -> None:
    case = Case("", ((piece('{"amount": 1}'),), (piece("{}", "ping", "c2", 1),)))
    answer([*case.events(), b"data: [DONE]\n\n"], case.body())
    said = way.ask(server, model, tools=TOOLS, parallel_tool_calls=False)
    assert said.calls == [("pay", {"amount": 1})]


@pytest.mark.parametrize(("model", "text"), [(KIMI, KIMI_TEXT), (SUPER, NEMOTRON_TEXT)])
def test_without_tools_the_same_text_is_text(
    model: str, text: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer(*in_text(text))
    said = way.ask(server, model)
    assert (said.text, said.calls) == (text, [])


@pytest.mark.parametrize(("model", "text"), [(KIMI, KIMI_TEXT), (SUPER, NEMOTRON_TEXT)])
def test_a_call_in_the_text_that_breaks_off_is_never_made_and_never_shown(
    model: str, text: str, way: Any, server: Emulator, answer: Answer
) -> None:
    answer(*in_text(text[: text.index('"3"')]))
    said = way.ask(server, model, tools=TOOLS)
    assert said.text == "Let me see."
    assert (said.calls, said.bad) == ([], ["pay"])
