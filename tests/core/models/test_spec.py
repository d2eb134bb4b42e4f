"""What is known of one model, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core import ModelSpec, spec_for

KIMI, GEMMA = spec_for("moonshotai/kimi-k2.6"), spec_for("google/gemma-3n-e2b-it")
SUPER, UNKNOWN = spec_for("nvidia/nemotron-3-super-120b-a12b"), spec_for("some/model")
OWN = ModelSpec(
    id="my/model",
    reasoning_efforts={
        "none": {"chat_template_kwargs": {"ponder": False}},
        "high": {"chat_template_kwargs": {"ponder": True}},
    },
)


@pytest.mark.parametrize(
    ("spec", "fields", "off"),
    [
        (KIMI, {}, False),
        (KIMI, {"chat_template_kwargs": {"thinking": False}}, True),
        (KIMI, {"chat_template_kwargs": {"thinking": True}}, False),
        (KIMI, {"chat_template_kwargs": {"thinking": 0}}, False),
        (SUPER, {"chat_template_kwargs": {"enable_thinking": False}}, True),
        (SUPER, {"chat_template_kwargs": {"enable_thinking": True, "low_effort": True}}, False),
        (SUPER, {"reasoning_effort": "none"}, True),
        (OWN, {"chat_template_kwargs": {"ponder": False}}, True),
        (OWN, {"chat_template_kwargs": {"thinking": False}}, False),
        (UNKNOWN, {"chat_template_kwargs": {"thinking": False}}, True),
        (UNKNOWN, {"chat_template_kwargs": {"enable_thinking": False}}, True),
        (UNKNOWN, {"chat_template_kwargs": None}, False),
        (UNKNOWN, {"reasoning_effort": "none"}, True),
        (UNKNOWN, {"reasoning_effort": "low"}, False),
        (GEMMA, {"reasoning_effort": "none"}, False),
    ],
)
def test_whether_a_body_switches_thinking_off(
    spec: ModelSpec, fields: dict[str, Any], off: bool
) -> None:
    assert spec.thinking_is_off(fields) is off


def test_a_model_of_ones_own_says_what_switches_its_thinking() -> None:
    assert OWN.thinking_switches == ("ponder",)
