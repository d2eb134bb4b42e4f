"""Tools on the wire: every form that may be bound, every choice among them, and what comes back in every shape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import BadRequestError, InvalidRequestError, NVCFWarning
from nvcf_emulator import SHAPES, Emulator

pytestmark = pytest.mark.filterwarnings("ignore:.*has no reasoning:nvcf_core.errors.NVCFWarning")
"""The emulator's kimi calls tools without a thought unless it is told to think; see test_history."""

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"


def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: where
    """
    return f"sunny in {city}"


class Weather(BaseModel):
    """The weather in a city."""

    city: str = Field(description="where")


class WeatherV1(BaseModelV1):
    """The weather in a city."""

    city: str


class WeatherDict(TypedDict):
    """The weather in a city."""

    city: Annotated[str, ..., "where"]


PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI = {
    "type": "function",
    "function": {"name": "weather", "description": "It.", "parameters": PARAMETERS},
}
FORMS: dict[str, Any] = {
    "function": weather,
    "tool": tool(weather),
    "structured tool": StructuredTool.from_function(weather),
    "pydantic": Weather,
    "pydantic v1": WeatherV1,
    "typed dict": WeatherDict,
    "json schema": {"title": "weather", "description": "It.", **PARAMETERS},
    "openai": OPENAI,
    "openai function": OPENAI["function"],
    "openai responses": {"type": "function", "name": "weather", "parameters": PARAMETERS},
    "anthropic": {
        "name": "weather",
        "input_schema": PARAMETERS,
        "cache_control": {"type": "ephemeral"},
    },
    "bedrock": {"toolSpec": {"name": "weather", "inputSchema": {"json": PARAMETERS}}},
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # langchain-core calls `as_tool` beta.
    FORMS["runnable"] = tool(weather).as_tool(name="weather", description="It.")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_tool(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, form: str
) -> None:
    answer = colour.invoke(chat().bind_tools([FORMS[form]], tool_choice="any"), "Paris")
    [sent] = nvcf_emulator.chats[0].body["tools"]
    assert sent["type"] == "function"
    assert set(sent["function"]) <= {"name", "description", "parameters"}
    assert sent["function"]["name"].lower().startswith("weather")
    assert list(sent["function"]["parameters"]["properties"]) == ["city"]
    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == (sent["function"]["name"], {"city": "Paris"})


NAMED = {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (False, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("weather", NAMED),
        (NAMED, NAMED),
        ({"function": {"name": "weather"}}, NAMED),
        ({"type": "function", "name": "weather"}, NAMED),
        ({"type": "tool", "name": "weather"}, NAMED),
        ({"name": "weather"}, NAMED),
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
    ],
)
def test_every_form_of_tool_choice(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, choice: Any, sent: Any
) -> None:
    chat().bind_tools([weather], tool_choice=choice).invoke("Hello")
    chat().bind_tools([weather]).invoke("Hello", tool_choice=choice)
    chat().invoke("Hello", tools=[weather], tool_choice=choice)
    assert [request.body.get("tool_choice") for request in nvcf_emulator.chats] == [sent] * 3


@pytest.mark.parametrize(
    "choice", ["forecast", {"type": "tool", "name": "forecast"}, {"type": "unknown"}, {}]
)
def test_a_choice_that_is_none_of_the_tools(chat: Callable[..., ChatNVCF], choice: Any) -> None:
    with pytest.raises(InvalidRequestError, match="tool_choice"):
        chat().bind_tools([weather], tool_choice=choice)
    with pytest.raises(InvalidRequestError, match="tool_choice"):
        chat().bind_tools([weather]).invoke("Hello", tool_choice=choice)


@pytest.mark.parametrize("bad", [1, {}, {"type": "web_search"}, {"description": "no name"}, "text"])
def test_what_is_no_tool_is_refused(chat: Callable[..., ChatNVCF], bad: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"tools\[1\]"):
        chat().bind_tools([weather, bad])


@pytest.mark.parametrize("tools", [5, None, "weather", OPENAI])
def test_what_is_no_list_of_tools_is_refused(chat: Callable[..., ChatNVCF], tools: Any) -> None:
    with pytest.raises(InvalidRequestError, match="list of tools"):
        chat().bind_tools(tools)


def test_no_tools_never_go_on_the_wire(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    chat().bind_tools([]).invoke("Hello")
    chat().bind_tools([], tool_choice="auto").invoke("Hello")
    chat().invoke("Hello", tools=[], tool_choice="none")
    for request in nvcf_emulator.chats:
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(request.body)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("form", [weather, OPENAI])
def test_strict(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, strict: bool, form: Any
) -> None:
    chat(SUPER).bind_tools([form], strict=strict).invoke("Hello")
    assert nvcf_emulator.chats[0].body["tools"][0]["function"]["strict"] is strict
    assert "strict" not in OPENAI["function"]


def test_parallel_calls_off(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    calls = [{"name": "weather", "arguments": {"city": city}} for city in ("Paris", "Rome")]
    nvcf_emulator.reply(tool_calls=calls)
    answer = ask(chat().bind_tools([weather], parallel_tool_calls=False), "both")
    assert [call["args"] for call in answer.tool_calls] == [{"city": "Paris"}]
    assert "parallel_tool_calls" not in nvcf_emulator.chats[0].body
    nvcf_emulator.reply(tool_calls=calls[:1])
    ask(chat(SUPER).bind_tools([weather], parallel_tool_calls=False), "both")
    assert nvcf_emulator.chats[1].body["parallel_tool_calls"] is False


def test_a_model_without_tools_is_asked_with_a_warning(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    model = chat(GEMMA)
    assert model.profile is not None
    assert model.profile["tool_calling"] is False
    with pytest.warns(NVCFWarning, match="tools"), pytest.raises(BadRequestError):
        model.bind_tools([weather]).invoke("Hello")
    assert "tools" in nvcf_emulator.chats[0].body  # The service judges.


def test_names_that_the_service_refuses_go_there_and_back(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    odd = StructuredTool.from_function(weather, name="get.weather (now)")
    bound = chat().bind_tools([odd], tool_choice="get.weather (now)")
    answer = ask(bound, "Paris")
    sent = nvcf_emulator.chats[0].body
    safe = sent["tools"][0]["function"]["name"]
    assert safe.replace("_", "").isalnum()
    assert sent["tool_choice"]["function"]["name"] == safe
    [call] = answer.tool_calls
    assert call["name"] == "get.weather (now)"
    ask(bound, [HumanMessage("Paris"), answer, ToolMessage("sunny", tool_call_id=call["id"])])
    assert nvcf_emulator.chats[1].body["messages"][1]["tool_calls"][0]["function"]["name"] == safe


BROKEN = {"abort", "cut", "done-only", "empty", "error-finish"}
"""Shapes that are no answers."""
NEMOTRON = {"tool-text-toolcall", "tool-text-toolcall-too"}
"""Shapes in the form of the Nemotron models."""


LEFT_IN_TEXT = {"think-tag-closed-only"}
"""A shape whose reasoning, in a stream, has been handed out as text before it can be known."""


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - BROKEN - LEFT_IN_TEXT))
def test_calls_come_through_in_every_shape(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, shape: str
) -> None:
    calls = [{"name": "weather", "arguments": {"city": city}} for city in ("Paris", "Köln")]
    nvcf_emulator.reply(reasoning="Two cities.", tool_calls=calls, shape=shape)
    model = chat(SUPER if shape in NEMOTRON else KIMI)
    first, *others = colour.stream(model.bind_tools([weather]), "both")
    answer = first + others
    assert [call["args"] for call in answer.tool_calls] == [call["arguments"] for call in calls]
    assert [call["name"] for call in answer.tool_calls] == ["weather"] * 2
    ids = [call["id"] for call in answer.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 2
    assert answer.additional_kwargs["reasoning_content"] == "Two cities."
    assert str(answer.text).strip() == ""


def test_a_call_that_was_cut_is_never_made(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    cut = {"name": "weather", "arguments": '{"city": "Par'}
    nvcf_emulator.reply(tool_calls=[cut], finish_reason="length")
    answer = ask(chat().bind_tools([weather]), "Paris")
    assert answer.tool_calls == []
    [invalid] = answer.invalid_tool_calls
    assert invalid["name"] == "weather"


def test_what_the_second_turn_sends(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, ask: Callable[..., Any]
) -> None:
    """After a whole answer as after a stream: calls, results and reasoning are complete."""
    nvcf_emulator.reply(
        text="I look.",
        reasoning="Which city?",
        tool_calls=[{"id": "c1", "name": "weather", "arguments": {"city": "Köln"}}],
    )
    bound = chat().bind_tools([weather])
    answer = ask(bound, "Weather?")
    results: list[Any] = [
        HumanMessage("Weather?"),
        answer,
        ToolMessage("sunny", tool_call_id="c1", name="weather"),
    ]
    ask(bound, results)
    assert nvcf_emulator.chats[1].body["messages"] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Which city?",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Köln"}'},
                }
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1", "name": "weather"},
    ]


def test_reasoning_goes_back_to_no_other_model(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    message = AIMessage("four", additional_kwargs={"reasoning_content": "hm"})
    chat(SUPER).invoke([HumanMessage("2+2?"), message, HumanMessage("sure?")])
    assert nvcf_emulator.chats[0].body["messages"][1] == {"role": "assistant", "content": "four"}


def test_results_with_lists_errors_and_pictures(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, image: SimpleNamespace
) -> None:
    calls = [{"name": "weather", "args": {"city": "x"}, "id": f"c{number}"} for number in range(3)]
    picture = {"type": "image", "base64": image.base64, "mime_type": image.mime}
    chat().invoke(
        [
            HumanMessage("Weather?"),
            AIMessage("", tool_calls=calls),
            ToolMessage([{"type": "text", "text": "sunny"}, "and warm"], tool_call_id="c0"),
            ToolMessage("no such city", tool_call_id="c1", status="error"),
            ToolMessage(
                [{"type": "text", "text": "a map"}, picture], tool_call_id="c2", artifact=object()
            ),
        ]
    )
    *_, first, second, third, after = nvcf_emulator.chats[0].body["messages"]
    assert first == {"role": "tool", "content": "sunny\nand warm", "tool_call_id": "c0"}
    assert second == {"role": "tool", "content": "no such city", "tool_call_id": "c1"}
    assert third == {"role": "tool", "content": "a map", "tool_call_id": "c2"}
    assert after["role"] == "user"
    assert after["content"] == [{"type": "image_url", "image_url": {"url": image.url}}]
