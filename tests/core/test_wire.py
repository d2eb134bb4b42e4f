"""Checked access to the fields of JSON values."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core.wire import get_int, get_list, get_object, get_text

NO_OBJECTS = [None, 5, "text", ["list"], True]


@pytest.mark.parametrize("value", [*NO_OBJECTS, {}, {"other": 1}])
def test_a_field_that_is_not_there(value: Any) -> None:
    assert (get_text(value, "a"), get_int(value, "a")) == ("", None)
    assert (get_object(value, "a"), get_list(value, "a")) == ({}, [])


@pytest.mark.parametrize(
    ("value", "text", "number", "fields", "items"),
    [
        ("x", "x", None, {}, []),
        (12, "", 12, {}, []),
        (12.0, "", 12, {}, []),
        (12.5, "", None, {}, []),
        (float("inf"), "", None, {}, []),
        (True, "", None, {}, []),
        (None, "", None, {}, []),
        ({"b": 1}, "", None, {"b": 1}, []),
        ([1], "", None, {}, [1]),
    ],
)
def test_a_field_by_its_type(value: Any, text: str, number: Any, fields: Any, items: Any) -> None:
    holder = {"a": value}
    assert get_text(holder, "a") == text
    assert get_int(holder, "a") == number
    assert get_object(holder, "a") == fields
    assert get_list(holder, "a") == items
