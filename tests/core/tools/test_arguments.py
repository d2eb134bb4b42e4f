"""The arguments of one call as they arrive, with what is certainly meant otherwise put right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.tools.arguments import ArgumentsDecoder, decode_arguments

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "flag": {"type": "boolean"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "text": {"type": "string"},
        "unknown": {},
        "list": {"type": "array", "items": {"type": "integer"}},
        "place": {"$ref": "#/$defs/Place"},
        "places": {
            "anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Place"}}, {"type": "null"}]
        },
        "choice": {"$ref": "#/$defs/Choice"},
    },
    "additionalProperties": {"type": "boolean"},
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "name": {"type": "string"}},
        },
        "Choice": {"type": "boolean"},
    },
}


def decoded(pieces: list[str], schema: Any = None) -> str:
    decoder = ArgumentsDecoder(schema)
    return "".join([decoder.feed(piece) for piece in pieces]) + decoder.flush()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@given(OBJECTS, st.booleans(), st.data())
def test_an_object_passes_letter_for_letter_however_it_is_cut(
    value: Any, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=data.draw(st.none() | st.just(1)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    decoder = ArgumentsDecoder()
    passed = [decoder.feed(piece) for piece in pieces]
    assert decoder.complete
    assert "".join(passed) + decoder.flush() == text
    assert decoder.flush() == ""


@given(st.text(alphabet='{}[]",:\\a1 \n', max_size=40), st.data())
def test_no_text_is_read_differently_for_being_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert decoded(pieces, SCHEMA) == decode_arguments(text, SCHEMA)


@pytest.mark.parametrize(
    ("given_value", "value"),
    [
        ({"count": "3"}, {"count": 3}),
        ({"count": "-12"}, {"count": -12}),
        ({"count": "3.0"}, {"count": "3.0"}),
        ({"count": "03"}, {"count": "03"}),
        ({"count": " 3"}, {"count": " 3"}),
        ({"count": "three"}, {"count": "three"}),
        ({"count": "True"}, {"count": "True"}),
        ({"share": "0.5"}, {"share": 0.5}),
        ({"share": "1e3"}, {"share": 1000.0}),
        ({"share": "NaN"}, {"share": "NaN"}),
        ({"flag": "True"}, {"flag": True}),
        ({"flag": "false"}, {"flag": False}),
        ({"flag": "yes"}, {"flag": "yes"}),
        ({"flag": "1"}, {"flag": "1"}),
        ({"maybe": "None"}, {"maybe": None}),
        ({"maybe": "null"}, {"maybe": None}),
        ({"maybe": "7"}, {"maybe": 7}),
        (
            {"either": "7", "text": "True", "unknown": "7"},
            {"either": "7", "text": "True", "unknown": "7"},
        ),
        ({"list": "[1, 2]"}, {"list": [1, 2]}),
        ({"list": ["1", "2"]}, {"list": [1, 2]}),
        ({"list": '{"a": 1}'}, {"list": '{"a": 1}'}),
        ({"place": {"x": "1", "name": "1"}}, {"place": {"x": 1, "name": "1"}}),
        ({"place": '{"x": 1}'}, {"place": {"x": 1}}),
        ({"places": [{"x": "1"}, {"x": "2"}]}, {"places": [{"x": 1}, {"x": 2}]}),
        ({"choice": "True"}, {"choice": True}),
        ({"another": "True"}, {"another": True}),
    ],
)
def test_a_string_becomes_what_the_schema_wants_where_it_is_exactly_that(
    given_value: Any, value: Any
) -> None:
    text = json.dumps(given_value)
    assert json.loads(decode_arguments(text, SCHEMA)) == value
    assert json.loads(decoded(list(text), SCHEMA)) == value
    assert decode_arguments(text) == text


def test_what_needs_no_change_streams_and_what_may_need_one_waits() -> None:
    decoder = ArgumentsDecoder(SCHEMA)
    assert decoder.feed('{"text": "a lo') == '{"text": "a lo'
    assert decoder.feed("ng one") == "ng one"
    assert decoder.feed('", "co') == '", '
    assert decoder.feed('unt": "1') == '"count": '
    assert decoder.feed('2"') == "12"
    assert decoder.feed("}") == "}"


def test_a_string_longer_than_any_value_streams_even_so() -> None:
    decoder = ArgumentsDecoder(SCHEMA)
    decoder.feed('{"count": "')
    long = "x" * 100_000
    assert long in decoder.feed(long)


@pytest.mark.parametrize(
    "text",
    ["", " ", "null", "None", "NULL", "[]", "{}", '""', '"{}"', '"null"', '"\\"\\""', "undefined"],
)
def test_every_spelling_of_nothing(text: str) -> None:
    assert decode_arguments(text) in ("", "{}")
    assert decoded(list(text)) in ("", "{}")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_object_that_was_encoded_several_times(times: int) -> None:
    text = json.dumps({"count": "3", "text": 'a "b"'})
    for _ in range(times):
        text = json.dumps(text)
    assert json.loads(decoded(list(text), SCHEMA)) == {"count": 3, "text": 'a "b"'}


@pytest.mark.parametrize("text", ["[1]", '"text"', "5", "true", "words", '"[1]"', "0", "false"])
def test_what_is_no_object_comes_out_as_it_came(text: str) -> None:
    assert decoded(list(text)) == text


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ('{"a":1}{"a":1}', '{"a":1}'),
        ('{"a":1}\n{"a": 1} {"a":1}', '{"a":1}'),
        ('{"a":1}{"a":2}', '{"a":1}{"a":2}'),
        ('{"a":1}{"a":1', '{"a":1}{"a":1'),
        ('{"a":1}}', '{"a":1}}'),
        ('{"a":1} and words', '{"a":1} and words'),
        ('{"a":1}\n', '{"a":1}\n'),
    ],
)
def test_copies_behind_the_object_are_left_out(text: str, passed: str) -> None:
    assert decoded(list(text)) == passed


@pytest.mark.parametrize("schema", [
    {"$ref": "#"}, {"properties": {"a": {"$ref": "#/properties/a"}}}, {"properties": []}, {"properties": {"a": 5}},
    {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}, {"$ref": "#/nowhere"}, {"anyOf": [5, None]},
])  # fmt: skip
def test_a_schema_that_makes_no_sense_changes_nothing(schema: Any) -> None:
    text = '{"a": "1", "b": {"a": "True"}}'
    assert decode_arguments(text, schema) == text


def test_objects_nested_without_end() -> None:
    text = '{"a":' * 100_000
    assert decode_arguments(text, SCHEMA) == text
