"""Copies of a validated object are what its constructor would have made, and share nothing with it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr

from nvcf_core.response.prototype import Prototype


class Said(BaseModel):
    text: str = ""
    parts: list[str] = []
    facts: dict[str, Any] = {}


class Open(Said):
    model_config = ConfigDict(extra="allow")


class Closed(Said):
    _secret: int = PrivateAttr(default=1)


@pytest.mark.parametrize("kind", [Said, Open])
def test_a_copy_is_what_the_constructor_makes(kind: type[Said]) -> None:
    prototype = Prototype(kind(text="a", parts=["b"]))
    copied, made = prototype.copy({"text": "other"}), kind(text="other", parts=["b"])
    assert copied == made
    assert type(copied) is kind
    assert copied.model_dump(exclude_unset=True) == {"text": "other", "parts": ["b"]}
    assert (copied.__pydantic_extra__, copied.__pydantic_private__) == (
        made.__pydantic_extra__,
        None,
    )


def test_a_copy_shares_nothing_with_another() -> None:
    prototype = Prototype(Said(parts=["b"], facts={"c": 1}))
    first, second = prototype.copy({}), prototype.copy({})
    first.parts.append("more")
    first.facts["more"] = 2
    first.text = "set"
    assert second == Said(parts=["b"], facts={"c": 1})
    assert "text" not in second.model_fields_set
    assert prototype.copy({}) == second


def test_what_holds_more_than_its_fields_is_refused() -> None:
    for sample in (Open(text="a", other=5), Closed()):
        with pytest.raises(TypeError, match="holds more than its fields"):
            Prototype(sample)
