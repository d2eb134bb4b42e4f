"""JSON values in a text: whole, and as far as they have arrived."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.response.json_text import (
    find_answer,
    find_json,
    find_value,
    partial_answer,
    partial_json,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
CONTAINERS = st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, max_size=3)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("no JSON at all", []),
        ('{"a": 1}', [{"a": 1}]),
        ('```json\n{"a": 1}\n```', [{"a": 1}]),
        ('First {"a": {"b": 1}}, then {"c": [{}]}.', [{"a": {"b": 1}}, {"c": [{}]}]),
        ('{x} is a set; {"a": 1}', [{"a": 1}]),
        ('[1] and {"a": 1}', [[1], {"a": 1}]),
        ('[{"a": 1}, {"b": 2}]', [[{"a": 1}, {"b": 2}]]),
        ('{"a": "one\ntwo"}', [{"a": "one\ntwo"}]),
        ('{"a": 1', []),
        ('{"a": "breaks off {"b": 1}', []),
        ('{"a": "never closed', []),
        ('{"a": 1,} {"b": 2}', [{"b": 2}]),
    ],
)
def test_values_among_words(text: str, found: list[Any]) -> None:
    assert list(find_json(text)) == found


def test_objects_in_a_list_are_found_where_lists_do_not_count() -> None:
    assert list(find_json('[{"a": 1}, {"b": 2}]', objects_only=True)) == [{"a": 1}, {"b": 2}]


@given(st.text(alphabet="abc \n", max_size=5), CONTAINERS, st.text(alphabet="abc \n", max_size=5))
def test_every_value_is_found_and_is_whole_at_its_end(before: str, value: Any, after: str) -> None:
    text = json.dumps(value)
    assert list(find_json(before + text + after)) == [value]
    assert partial_json(before + text + after) == value


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{" * 100_000, "[" * 999 + "x"])
def test_texts_made_to_cost_time_hold_nothing(text: str) -> None:
    assert list(find_json(text)) == []
    partial_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("words", None),
        ("{", {}),
        ("[", []),
        ('{"a', {}),
        ('{"a": tr', {}),
        ('{"a": "x', {"a": "x"}),
        ('Here: {"a": 1, "b": [1, 2', {"a": 1, "b": [1, 2]}),
        ('{"a": "one\ntw', {"a": "one\ntw"}),
        ('{"a": "x\\', {"a": "x"}),
        ('{"a": 1} and words', {"a": 1}),
        ("{nonsense", None),
    ],
)
def test_as_far_as_it_has_arrived(text: str, value: Any) -> None:
    assert partial_json(text) == value


def test_a_list_of_which_only_objects_count() -> None:
    assert partial_json('[{"a": "x', objects_only=True) == {"a": "x"}
    assert partial_json("[1, 2", objects_only=True) is None


@given(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=3), st.data())
def test_no_beginning_of_an_object_is_anything_but_an_object(
    value: Any, data: st.DataObject
) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(1, len(text)))
    assert isinstance(partial_json(text[:cut]), dict)


def test_the_answer_begins_behind_a_closing_tag() -> None:
    thought = 'Perhaps {"a": 1}.\n</think>\n\n'
    assert list(find_answer(thought + '{"a": 2}')) == [{"a": 2}, {"a": 1}, {"a": 2}]
    assert list(find_answer('{"a": "</think>"}')) == [{"a": "</think>"}]
    assert partial_answer(thought) == {"a": 1}
    assert partial_answer(thought + '{"a": 2, "b": "x') == {"a": 2, "b": "x"}
    assert partial_answer('{"a": "</think> x') == {"a": "</think> x"}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"value": 3}', [{"value": 3}, {"value": 3}]),
        ("[1, 2]", [[1, 2], [1, 2]]),
        ('"good"', ["good"]),
        ("3", [3]),
        ("null", [None]),
        (" good\n", ["good"]),
        ('```json\n"good"\n```', ["good"]),
        ("It is bad.\n</think>\n\ngood", ["good"]),
        ("It is good.", []),
        ("", []),
        ("[" * 100_000, ["[" * 100_000]),
    ],
)
def test_a_value_that_is_written_alone(text: str, values: list[Any]) -> None:
    assert list(find_value(text)) == values
