"""What follows for an answer from the model's row and from what was asked."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core import spec_for
from nvcf_core.response.options import options_for

KIMI, GEMMA = spec_for("moonshotai/kimi-k2.6"), spec_for("google/gemma-3n-e2b-it")
SUPER, UNKNOWN = spec_for("nvidia/nemotron-3-super-120b-a12b"), spec_for("some/model")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def test_nothing_but_the_model_is_known_of_a_plain_request() -> None:
    options = options_for(KIMI, {})
    assert options.model == KIMI.id
    assert not options.single_call
    assert not options.no_calls
    assert options.schemas == {}
    assert options.text_tool_calls is None
    assert not options.reasoning_is_content


def test_tools() -> None:
    odd: list[Any] = [None, {"type": "web_search"}, {"function": {"name": "g", "parameters": None}}]
    options = options_for(KIMI, {"tools": [TOOL, *odd]})
    assert options.schemas["f"] == {"type": "object"}
    assert options.schemas["g"] == {}
    assert options.text_tool_calls == "kimi"
    assert options_for(SUPER, {"tools": [TOOL]}).text_tool_calls == "nemotron"
    assert options_for(UNKNOWN, {"tools": [TOOL]}).text_tool_calls is None


def test_which_calls_are_allowed() -> None:
    assert options_for(SUPER, {"parallel_tool_calls": False}).single_call
    assert not options_for(SUPER, {"parallel_tool_calls": True}).single_call
    assert options_for(SUPER, {"tool_choice": "none"}).no_calls
    assert not options_for(SUPER, {"tool_choice": "auto"}).no_calls


@pytest.mark.parametrize(
    ("spec", "fields", "off"),
    [
        (KIMI, {"chat_template_kwargs": {"thinking": False}}, True),
        (KIMI, {"chat_template_kwargs": {"thinking": True}}, False),
        (SUPER, {"chat_template_kwargs": {"enable_thinking": False}}, True),
        (UNKNOWN, {"reasoning_effort": "none"}, True),
        (UNKNOWN, {"reasoning_effort": "low"}, False),
        (UNKNOWN, {"chat_template_kwargs": None}, False),
        (GEMMA, {}, False),
    ],
)
def test_whether_thinking_is_switched_off(spec: Any, fields: dict[str, Any], off: bool) -> None:
    assert options_for(spec, fields).reasoning_is_content == off


def test_models_that_reason() -> None:
    assert options_for(KIMI, {}).splits_unopened_think
    assert options_for(UNKNOWN, {}).splits_unopened_think
    assert not options_for(GEMMA, {}).splits_unopened_think
