"""The body but for the messages: what is sent, what is refused, what is enforced by the client."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core import BaseNVCF, ModelSpec, register, spec_for
from nvcf_core.errors import InvalidRequestError
from nvcf_core.models.catalog import known_models
from nvcf_core.request.parameters import body_fields, check_settings

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
UNKNOWN = "someone/new-model"

BOUNDS = [(row.id, name, bound) for row in known_models() for name, bound in row.bounds.items()]


WHOLE_NUMBERS = ("max_tokens", "seed", "reasoning_budget")


@pytest.fixture
def come_to(judge_of: Any) -> Any:
    """What settings and keywords come to: the result, and the warnings."""

    def run(model: str, *, stream: bool = False, validation: str = "error", **given: Any) -> Any:
        judge, said = judge_of(model, validation)
        values, extra = BaseNVCF(model=model).for_call(given)
        return body_fields(values, extra, judge, stream=stream), said

    return run


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI, SUPER, UNKNOWN])
def test_only_what_was_set_is_sent(model: str, come_to: Any) -> None:
    result, said = come_to(model)
    assert result.body == {}
    assert result.stops == ()
    assert not result.single_call
    assert said == []


@pytest.mark.parametrize(("model", "name", "bound"), BOUNDS, ids=lambda x: str(x).split("/")[-1])
def test_the_ends_of_a_bound_are_inside_it(model: str, name: str, bound: Any, come_to: Any) -> None:
    for value in (bound.low, bound.high):
        assert come_to(model, **{name: value})[0].body == {name: value}


@pytest.mark.parametrize(("model", "name", "bound"), BOUNDS, ids=lambda x: str(x).split("/")[-1])
def test_past_its_ends_a_value_is_refused(
    model: str, name: str, bound: Any, come_to: Any, judge_of: Any
) -> None:
    step = 1 if name in WHOLE_NUMBERS else 0.001
    for value in (bound.low - step, bound.high + step):
        with pytest.raises(InvalidRequestError) as caught:
            come_to(model, **{name: value})
        assert (caught.value.field, caught.value.model) == (name, model)
        for part in (name, repr(value), model, f"{bound.low} to {bound.high}"):
            assert part in str(caught.value)
        with pytest.raises(InvalidRequestError, match=name):
            BaseNVCF(model=model, **{name: value})
        result, said = come_to(model, validation="warn", **{name: value})
        assert result.body == {name: value}
        assert len(said) == 1
        assert name in said[0]
        result, said = come_to(model, validation="off", **{name: value})
        assert result.body == {name: value}
        assert said == []


@pytest.mark.parametrize("validation", ["error", "warn", "off"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_whatever_validation_says(
    value: float, validation: str, come_to: Any
) -> None:
    with pytest.raises(InvalidRequestError, match="temperature must be finite"):
        come_to(UNKNOWN, validation=validation, temperature=value)


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "reasoning_budget",
    ],
)
@pytest.mark.parametrize(
    "value", ["hot", [1], {"a": 1}, object()], ids=["text", "list", "dict", "object"]
)
def test_a_setting_of_another_type_is_refused(name: str, value: Any, come_to: Any) -> None:
    with pytest.raises(InvalidRequestError, match=name) as caught:
        come_to(SUPER, **{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("name", ["max_tokens", "seed", "reasoning_budget"])
def test_whole_numbers_are_whole(name: str, come_to: Any) -> None:
    with pytest.raises(InvalidRequestError, match=name):
        come_to(SUPER, **{name: 1.5})


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (PALI, "seed", 7),
        (KIMI, "frequency_penalty", 0.5),
        (KIMI, "reasoning_budget", 100),
        (GEMMA, "chat_template_kwargs", {"x": 1}),
        (GEMMA, "tools", [{"type": "function", "function": {"name": "f"}}]),
        (GEMMA, "top_k", 5),
        (NANO, "response_format", {"type": "json_object"}),
    ],
)
def test_what_the_page_lacks_is_sent_with_one_warning(
    model: str, name: str, value: Any, come_to: Any
) -> None:
    result, said = come_to(model, **{name: value})
    assert result.body == {name: value}
    assert said == [f"{name} is sent, but the documentation of {model} does not have it"]


def test_an_unknown_model_is_sent_anything_without_a_warning(come_to: Any) -> None:
    given = {"seed": 1, "top_k": 5, "stop": "x", "n": 2, "reasoning_budget": 4, "anything": [1]}
    result, said = come_to(UNKNOWN, **given)
    assert result.body == given
    assert said == []


@pytest.mark.parametrize("stop", ["END", ["END"], ["A", "B"], ("A",)])
@pytest.mark.parametrize("model", [GEMMA, SUPER, UNKNOWN])
def test_stop_goes_where_the_page_has_it(model: str, stop: Any, come_to: Any) -> None:
    result, said = come_to(model, stop=stop)
    assert result.body == {"stop": stop if isinstance(stop, str) else list(stop)}
    assert (result.stops, said) == ((), [])


@pytest.mark.parametrize("stop", ["END", ["A", "B"]])
@pytest.mark.parametrize("model", [NANO, PALI, KIMI])
def test_elsewhere_the_client_stops(model: str, stop: Any, come_to: Any) -> None:
    result, said = come_to(model, stop=stop)
    assert result.body == {}
    assert result.stops == ((stop,) if isinstance(stop, str) else tuple(stop))
    assert said == []


@pytest.mark.parametrize("stop", ["", [""], ["a", ""], [5], 5, {"a": 1}])
def test_a_stop_that_is_none(stop: Any, come_to: Any) -> None:
    with pytest.raises(InvalidRequestError, match="stop") as caught:
        come_to(KIMI, stop=stop)
    assert caught.value.field == "stop"


def test_an_empty_list_of_stops_is_none(come_to: Any) -> None:
    assert come_to(GEMMA, stop=[])[0].body == {}


@pytest.mark.parametrize(
    ("model", "effort", "body"),
    [
        (KIMI, "none", {"chat_template_kwargs": {"thinking": False}}),
        (KIMI, "low", {"chat_template_kwargs": {"thinking": True}}),
        (NANO, "high", {"chat_template_kwargs": {"enable_thinking": True}}),
        (SUPER, "low", {"chat_template_kwargs": {"enable_thinking": True, "low_effort": True}}),
        (SUPER, "high", {"chat_template_kwargs": {"enable_thinking": True}}),
        (UNKNOWN, "low", {"reasoning_effort": "low"}),
    ],
)
def test_one_switch_for_thinking(model: str, effort: str, body: Any, come_to: Any) -> None:
    result, said = come_to(model, reasoning_effort=effort)
    assert result.body == body
    assert said == []


@pytest.mark.parametrize("model", [GEMMA, PALI])
def test_models_that_do_not_reason_are_not_told_to(model: str, come_to: Any) -> None:
    result, said = come_to(model, reasoning_effort="high")
    assert result.body == {}
    assert said == [f"{model} does not reason: reasoning_effort is not sent"]


@pytest.mark.parametrize("model", [KIMI, NANO, SUPER, GEMMA])
@pytest.mark.parametrize("effort", ["xhigh", "", "High"])
def test_an_effort_nobody_knows(model: str, effort: str, come_to: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"is not one of none, .*high") as caught:
        come_to(model, reasoning_effort=effort)
    assert caught.value.field == "reasoning_effort"
    with pytest.raises(InvalidRequestError, match="is not one of"):
        BaseNVCF(model=model, reasoning_effort=effort)


@pytest.mark.parametrize("model", [KIMI, NANO, SUPER])
@pytest.mark.parametrize(("effort", "nearest"), [("minimal", "low"), ("medium", "high")])
def test_an_effort_between_those_of_a_row(
    model: str, effort: str, nearest: str, come_to: Any
) -> None:
    result, said = come_to(model, reasoning_effort=effort)
    assert result.body == come_to(model, reasoning_effort=nearest)[0].body
    assert said == [f'{model} has no reasoning_effort="{effort}": "{nearest}" is sent in its place']


@pytest.mark.parametrize("effort", ["minimal", "medium", "xhigh", "anything"])
def test_an_unknown_model_gets_any_effort_as_it_is(effort: str, come_to: Any) -> None:
    assert come_to(UNKNOWN, reasoning_effort=effort)[0].body == {"reasoning_effort": effort}


DEFAULTS: dict[str, Any] = {
    "n": 1,
    "parallel_tool_calls": True,
    "store": False,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "response_format": {"type": "text"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [GEMMA, NANO, PALI, KIMI])
def test_values_that_mean_the_default_are_left_out(model: str, stream: bool, come_to: Any) -> None:
    result, said = come_to(model, stream=stream, tools=[{}], **DEFAULTS)
    documented = {name for name in DEFAULTS if spec_for(model).documents(name)}
    assert set(DEFAULTS) & set(result.body) == documented
    assert documented <= {"frequency_penalty", "presence_penalty"}
    assert [text for text in said if not text.startswith("tools is")] == []


@pytest.mark.parametrize("logprobs", [{}, {"logprobs": False}])
def test_no_top_logprobs_without_logprobs(come_to: Any, logprobs: dict[str, bool]) -> None:
    assert come_to(SUPER, top_logprobs=0, **logprobs)[0].body == logprobs
    given = {"logprobs": True, "top_logprobs": 0}
    assert come_to(SUPER, **given)[0].body == given


def test_they_are_sent_where_the_field_is_documented(come_to: Any) -> None:
    assert come_to(UNKNOWN, tools=[{}], **DEFAULTS)[0].body == {"tools": [{}], **DEFAULTS}
    assert come_to(SUPER, n=1, logprobs=False)[0].body == {"n": 1, "logprobs": False}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", True),
        ("n", 2),
        ("logprobs", 0),
        ("store", True),
        ("top_logprobs", False),
        ("frequency_penalty", 0.1),
        ("presence_penalty", -1),
        ("response_format", {"type": "json_object"}),
        ("service_tier", "auto"),
    ],
)
def test_values_that_only_look_like_the_default_are_sent(
    name: str, value: Any, come_to: Any
) -> None:
    result, said = come_to(KIMI, **{name: value})
    assert result.body == {name: value}
    assert len(said) == 1


@pytest.mark.parametrize(("name", "value"), [("n", 1.0), ("presence_penalty", 0.0)])
def test_a_default_written_as_a_float_is_left_out(name: str, value: float, come_to: Any) -> None:
    result, said = come_to(KIMI, **{name: value})
    assert (result.body, said) == ({}, [])


@pytest.mark.parametrize("model", [GEMMA, KIMI, SUPER, UNKNOWN])
@pytest.mark.parametrize("way", ["keyword", "extra_body"])
def test_stream_options_go_only_with_a_stream(model: str, way: str, come_to: Any) -> None:
    options = {"stream_options": {"include_usage": False}}
    given = options if way == "keyword" else {"extra_body": options}
    whole, said = come_to(model, **given)
    assert "stream_options" not in whole.body
    assert not said, "what is not sent is not warned of"
    assert come_to(model, stream=True, **given)[0].body["stream_options"] == {
        "include_usage": False
    }


@pytest.mark.usefixtures("restored_catalog")
def test_an_effort_that_a_row_lacks(come_to: Any) -> None:
    efforts = {"none": {"quiet": True}}
    register(ModelSpec(id="me/mine", reasoning_efforts=efforts))
    assert come_to("me/mine", reasoning_effort="none")[0].body == {"quiet": True}
    with pytest.raises(InvalidRequestError, match="'low' is not one of none"):
        come_to("me/mine", reasoning_effort="low")


def test_template_arguments_are_merged_last(come_to: Any) -> None:
    mine = {"thinking": True, "x": 1}
    result, _ = come_to(KIMI, reasoning_effort="none", chat_template_kwargs=mine)
    assert result.body == {"chat_template_kwargs": {"thinking": True, "x": 1}}
    assert mine == {"thinking": True, "x": 1}
    row = spec_for(KIMI).reasoning_efforts
    assert row is not None
    assert row["none"] == {"chat_template_kwargs": {"thinking": False}}


def test_budget_and_effort_go_together(come_to: Any) -> None:
    result, said = come_to(SUPER, reasoning_effort="high", reasoning_budget=-1)
    assert result.body == {
        "chat_template_kwargs": {"enable_thinking": True},
        "reasoning_budget": -1,
    }
    assert said == []


@pytest.mark.parametrize("empty", [{"tools": []}, {"tools": None}, {}])
def test_no_tools_no_choice(empty: Any, come_to: Any) -> None:
    result, said = come_to(KIMI, tool_choice="auto", parallel_tool_calls=False, **empty)
    assert result.body == {}
    assert not result.single_call
    assert said == []


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def test_parallel_calls_are_trimmed_where_the_page_lacks_the_switch(come_to: Any) -> None:
    result, said = come_to(KIMI, tools=[TOOL], parallel_tool_calls=False)
    assert result.body == {"tools": [TOOL]}
    assert result.single_call
    assert said == []
    result, _ = come_to(KIMI, tools=[TOOL], parallel_tool_calls=True)
    assert (result.body, result.single_call) == ({"tools": [TOOL]}, False)
    result, _ = come_to(SUPER, tools=[TOOL], parallel_tool_calls=False)
    assert (result.body["parallel_tool_calls"], result.single_call) == (False, False)


def test_a_stream_has_one_answer(come_to: Any) -> None:
    assert come_to(SUPER, n=2)[0].body == {"n": 2}
    assert come_to(SUPER, n=1, stream=True)[0].body["n"] == 1
    with pytest.raises(InvalidRequestError, match="one answer"):
        come_to(SUPER, n=2, stream=True)


@pytest.mark.parametrize("model", [KIMI, SUPER, UNKNOWN])
def test_usage_is_asked_for_in_streams(model: str, come_to: Any) -> None:
    assert come_to(model, stream=True)[0].body == {"stream_options": {"include_usage": True}}
    assert come_to(model, stream=False)[0].body == {}
    assert come_to(model, stream=True, stream_usage=False)[0].body == {}
    mine = {"include_usage": False}
    assert come_to(model, stream=True, stream_options=mine)[0].body == {"stream_options": mine}


@pytest.mark.parametrize("model", [GEMMA, NANO, PALI])
def test_usage_is_not_asked_for_where_the_page_cannot(model: str, come_to: Any) -> None:
    assert come_to(model, stream=True)[0].body == {}


def test_the_extra_body_is_merged_last_and_never_checked(come_to: Any) -> None:
    extra = {"temperature": 9, "nvext": {"a": 1}}
    result, said = come_to(KIMI, temperature=0.5, extra_body=extra)
    assert result.body == {"temperature": 9, "nvext": {"a": 1}}
    assert said == []


def test_the_extra_bodys_template_stands_beside_that_of_the_settings(come_to: Any) -> None:
    extra = {"chat_template_kwargs": {"force_nonempty_content": True}}
    result, _ = come_to(SUPER, reasoning_effort="none", extra_body=extra)
    template = {"enable_thinking": False, "force_nonempty_content": True}
    assert result.body == {"chat_template_kwargs": template}
    mine = {"chat_template_kwargs": {"enable_thinking": True}}
    assert come_to(SUPER, reasoning_effort="none", extra_body=mine)[0].body == mine


def test_the_keyword_stream_of_a_framework_is_no_body_field(judge_of: Any) -> None:
    judge, said = judge_of(KIMI)
    assert body_fields(BaseNVCF(model=KIMI), {"stream": True}, judge, stream=False).body == {}
    assert said == []


@given(st.sampled_from(BOUNDS), st.floats() | st.integers())
def test_a_number_is_sent_as_it_is_or_refused(judge_of: Any, where: Any, value: Any) -> None:
    model, name, bound = where
    judge, _ = judge_of(model)
    values = BaseNVCF(model=model).model_copy(update={name: value})
    fits = (
        isinstance(value, int) or name not in WHOLE_NUMBERS
    ) and bound.low <= value <= bound.high
    if fits:
        assert body_fields(values, {}, judge, stream=False).body == {name: value}
        check_settings(values, judge)
    else:
        with pytest.raises(InvalidRequestError):
            body_fields(values, {}, judge, stream=False)
        with pytest.raises(InvalidRequestError):
            check_settings(values, judge)
