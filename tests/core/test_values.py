"""Classes of values: made as fast as any class, compared and copied as frozen dataclasses are."""

from __future__ import annotations

import pickle
from dataclasses import field, replace
from typing import TYPE_CHECKING

import pytest

from nvcf_core.values import value_class


@value_class
class Place:
    """A value."""

    row: int
    note: str = field(default="", compare=False, repr=False)


@value_class(kw_only=True)
class Named:
    """A value whose fields are given by name."""

    place: Place
    name: str = ""


def test_values_are_equal_and_hashed_by_what_is_compared() -> None:
    assert Place(1, "a") == Place(1, "b")
    assert {Place(1, "a"): "there"}[Place(1)] == "there"
    assert Named(place=Place(1)) != Named(place=Place(2))
    assert repr(Place(1, "a")) == "Place(row=1)"


def test_fields_by_name_alone() -> None:
    with pytest.raises(TypeError, match="positional"):
        Named(Place(1))  # type: ignore[call-arg]


def test_a_copy_with_other_fields_and_one_by_pickle() -> None:
    value = Named(place=Place(1, "a"), name="x")
    assert replace(value, name="y") == Named(place=Place(1), name="y")
    assert pickle.loads(pickle.dumps(value)) == value
    assert pickle.loads(pickle.dumps(value)).place.note == "a"


def test_there_is_no_room_for_other_fields() -> None:
    with pytest.raises(AttributeError, match="other"):
        Place(1).other = 2  # type: ignore[attr-defined]


if TYPE_CHECKING:
    # `make check` fails on an ignored error that is none: should a type checker take this for allowed.
    Place(1).row = 2  # type: ignore[misc]
