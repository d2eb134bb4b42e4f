"""Tool calls that a server left in the text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.response.text_tool_calls import TextToolCall, TextToolCallFilter

KIMI = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    '<|tool_call_argument_begin|>{"city": "Rome"}<|tool_call_end|>'
    "<|tool_call_begin|> functions.a.b:12 <|tool_call_argument_begin|> {} <|tool_call_end|>"
    "<|tool_calls_section_end|>"
)
KIMI_CALLS = [
    TextToolCall("get_weather", '{"city": "Rome"}', "functions.get_weather:0"),
    TextToolCall("a.b", "{}", "functions.a.b:12"),
]
NEMOTRON = (
    '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Rome"}}, {"name": "f"}]</TOOLCALL>'
)
NEMOTRON_CALLS = [TextToolCall("get_weather", '{"city": "Rome"}'), TextToolCall("f", "")]


def filtered(form: Any, pieces: list[str]) -> tuple[str, list[TextToolCall]]:
    reader = TextToolCallFilter(form)
    text = "".join([reader.feed(piece) for piece in pieces]) + reader.flush()
    return text, reader.calls()


@pytest.mark.parametrize(
    ("form", "section", "calls"),
    [("kimi", KIMI, KIMI_CALLS), ("nemotron", NEMOTRON, NEMOTRON_CALLS)],
)
@given(data=st.data())
def test_calls_are_found_however_the_text_is_cut(
    form: str, section: str, calls: list[TextToolCall], data: st.DataObject
) -> None:
    text = f"One < two.{section} And <| so on{section}."
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert filtered(form, pieces) == ("One < two. And <| so on.", calls + calls)


def has_no_mark(text: str) -> bool:
    return not re.search(r"<\|tool_calls?_(section_)?(begin|end)\|>|</?TOOLCALL>", text)


@pytest.mark.parametrize("form", ["kimi", "nemotron"])
@given(text=st.text(alphabet="<|TO>_toolcasi begn", max_size=60).filter(has_no_mark))
def test_text_without_calls_stays_as_it_is(form: str, text: str) -> None:
    assert filtered(form, [text]) == filtered(form, list(text)) == (text, [])


@pytest.mark.parametrize(
    ("form", "text", "calls"),
    [
        ("kimi", KIMI.partition("{")[0], [TextToolCall("get_weather", "", "functions.get_weather:0")]),
        ("kimi", KIMI.partition('"Rome')[0], [TextToolCall("get_weather", '{"city":', "functions.get_weather:0")]),
        ("kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.get", []),
        ("kimi", KIMI.partition("section_begin|>")[2].partition("<|tool_calls_section_end")[0], KIMI_CALLS),
        ("nemotron", '<TOOLCALL>{"name": "f", "parameters": "{}"}</TOOLCALL>', [TextToolCall("f", "{}")]),
        ("nemotron", "<TOOLCALL>nothing to read</TOOLCALL>", []),
        ("nemotron", "<TOOLCALL>[{'name': 'f', 'arguments': {'a': None}}]</TOOLCALL>",
         [TextToolCall("f", "<TOOLCALL>[{'name': 'f', 'arguments': {'a': None}}]</TOOLCALL>")]),
        ("nemotron", '<TOOLCALL>[{"name": "f", "arguments": {"a": 1',
         [TextToolCall("f", '<TOOLCALL>[{"name": "f", "arguments": {"a": 1')]),
    ],
)  # fmt: skip
def test_odd_sections(form: str, text: str, calls: list[TextToolCall]) -> None:
    assert filtered(form, [text])[1] == calls
