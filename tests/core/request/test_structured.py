"""How an object is asked for: one decision, one wording, one place, whichever framework asks."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from nvcf_core import Media, Message, spec_for
from nvcf_core.request.structured import (
    SCHEMA_IN_PROMPT,
    AnswerSchema,
    move_schema_into_prompt,
    response_format,
    schema_prompt,
    structured_fields,
    structured_method,
)

SCHEMA = {"type": "object", "description": "Where.", "properties": {"city": {"type": "string"}}}
CITY = AnswerSchema("the city", SCHEMA)


@pytest.mark.parametrize(
    ("model", "calls_tools", "method"),
    [
        ("super", None, "response_format"),
        ("kimi", None, "tool"),
        ("kimi", False, "prompt"),
        ("gemma", None, "prompt"),
        ("gemma", True, "tool"),
        ("pali", None, "prompt"),
    ],
)
def test_the_row_decides(
    models: SimpleNamespace, model: str, calls_tools: bool | None, method: str
) -> None:
    assert structured_method(spec_for(getattr(models, model)), calls_tools) == method


def test_a_model_without_a_row_is_asked_by_response_format() -> None:
    assert structured_method(spec_for("someone/else")) == "response_format"


def test_the_fields_of_each_method() -> None:
    described = {"name": "the_city", "schema": SCHEMA, "strict": True}
    assert structured_fields("response_format", AnswerSchema("the city", SCHEMA, strict=True)) == {
        "response_format": {"type": "json_schema", "json_schema": described}
    }
    function = {"name": "the city", "description": "Where.", "parameters": SCHEMA}
    assert structured_fields("tool", CITY) == {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "the city"}},
        "parallel_tool_calls": False,
    }
    assert structured_fields("prompt", CITY) == {SCHEMA_IN_PROMPT: SCHEMA}


@pytest.mark.parametrize(
    ("wanted", "in_prompt"),
    [
        (CITY, {SCHEMA_IN_PROMPT: SCHEMA}),
        ({"type": "json_object"}, {SCHEMA_IN_PROMPT: {}}),
        ({"type": "text"}, {}),
    ],
)
def test_a_format_goes_where_the_model_has_a_place_for_it(
    models: SimpleNamespace, wanted: Any, in_prompt: dict[str, Any]
) -> None:
    assert response_format(spec_for(models.gemma), wanted) == in_prompt
    assert set(response_format(spec_for(models.super), wanted)) == {"response_format"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [(SCHEMA, "object"), ({"type": "array"}, "value"), ({"$ref": "#/$defs/A"}, "object")],
)
def test_the_words(schema: dict[str, Any], value: str) -> None:
    words = schema_prompt(schema)
    assert words.startswith(f"Answer with one JSON {value} and nothing else")
    assert words.endswith(json.dumps(schema))


def test_the_words_without_a_schema() -> None:
    assert schema_prompt({}) == (
        "Answer with one JSON object and nothing else: no code fence, no words around it."
    )


USER = Message(role="user", parts=("Where?", Media(kind="image", url="https://x.example/a.png")))
SYSTEM = Message(role="system", parts=("Be brief.",))


def test_the_words_end_the_system_message() -> None:
    asked = {SCHEMA_IN_PROMPT: SCHEMA, "seed": 1}
    messages, rest = move_schema_into_prompt([SYSTEM, USER], asked)
    assert rest == {"seed": 1}
    assert messages[0].parts == ("Be brief.", schema_prompt(SCHEMA))
    assert messages[1] is USER
    assert SCHEMA_IN_PROMPT in asked


def test_a_system_message_is_made_where_there_is_none() -> None:
    messages, _ = move_schema_into_prompt([USER], {SCHEMA_IN_PROMPT: {}})
    assert messages == [Message(role="system", parts=(schema_prompt({}),)), USER]


@pytest.mark.parametrize("given", [{"seed": 1}, {"seed": 1, SCHEMA_IN_PROMPT: None}])
def test_without_a_schema_all_stays(given: dict[str, Any]) -> None:
    messages, rest = move_schema_into_prompt([USER], given)
    assert (list(messages), rest) == ([USER], {"seed": 1})


def test_no_messages_stay_none() -> None:
    assert move_schema_into_prompt([], {SCHEMA_IN_PROMPT: SCHEMA}) == ([], {})
