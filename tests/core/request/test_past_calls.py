"""Tool calls of the history: one rule for their arguments, and ids that stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import ToolCall
from nvcf_core.request.past_calls import arguments_text, past_calls


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, "{}"),
        ("", "{}"),
        ({}, "{}"),
        ({"ü": [1, None]}, '{"ü": [1, null]}'),
        ('{"x":  1}', '{"x":  1}'),  # Letter for letter: the model's own tokens.
        ('{"a": "line\nbreak"}', '{"a": "line\\nbreak"}'),
        ('{"a": ', '{"INVALID_JSON": "{\\"a\\": "}'),
        ("[1]", '{"INVALID_JSON": "[1]"}'),
        ([1], '{"INVALID_JSON": "[1]"}'),
        ('"text"', '{"INVALID_JSON": "\\"text\\""}'),
        ('{"a": NaN}', '{"INVALID_JSON": "{\\"a\\": NaN}"}'),
        *((nothing, "{}") for nothing in (" ", "null", "None", "{}", '""', "[]", [], '"{}"')),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
    ],
)
def test_arguments_are_the_text_of_an_object(value: Any, sent: str) -> None:
    assert arguments_text(value, field="messages[0]") == sent


@given(st.text() | st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_whatever_came_the_service_reads_an_object(value: Any) -> None:
    found = json.loads(arguments_text(value, field="messages[0]"))
    assert isinstance(found, dict)
    if isinstance(value, dict):
        assert found == value


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_what_cannot_be_json_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[3\]\.tool_calls\[1\]") as raised:
        past_calls([("a", "f", {}), ("b", "f", value)], 3)
    assert raised.value.field == "messages[3].tool_calls[1]"


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": [-Infinity]}', '{"a": 1e999}'])
def test_numbers_that_json_does_not_have_are_shown_to_the_model(text: str) -> None:
    assert json.loads(arguments_text(text, field="messages[0]")) == {"INVALID_JSON": text}


def test_half_of_a_character_that_a_model_wrote_does_not_end_the_thread() -> None:
    [call] = past_calls([("a", "f", {"text": "smile \ud83d", "half \udc00": "\U0001f600"})], 1)
    call.arguments.encode()
    assert json.loads(call.arguments) == {"text": "smile \ufffd", "half \ufffd": "\U0001f600"}


def test_a_call_without_an_id_gets_one_by_its_place() -> None:
    assert past_calls([(None, "f", "{}"), ("b", None, None)], 4) == (
        ToolCall(0, "call_4_0", "f", "{}"),
        ToolCall(1, "b", "", "{}"),
    )
