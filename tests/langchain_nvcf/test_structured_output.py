"""Structured answers: three methods, every kind of schema, whole and growing, raw and parsed, by `create_agent` too."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from itertools import pairwise
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError, OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field, RootModel
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import InvalidRequestError, RefusalError
from langchain_nvcf.output_parsers import parser_for
from nvcf_emulator import Emulator

pytestmark = pytest.mark.filterwarnings("ignore:.*has no reasoning:nvcf_core.errors.NVCFWarning")
"""The emulator's kimi calls tools without a thought unless it is told to think; see test_history."""

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"
PALI = "google/paligemma"


class Person(BaseModel):
    """A person."""

    name: str = Field(description="the name")
    age: int


class PersonV1(BaseModelV1):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: Annotated[str, ..., "the name"]
    age: int


SCHEMA = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
SCHEMAS: dict[str, Any] = {
    "pydantic": Person,
    "pydantic v1": PersonV1,
    "typed dict": PersonDict,
    "json schema": SCHEMA,
    "tool": {"type": "function", "function": {"name": "Person", "parameters": SCHEMA}},
}
ANN = {"name": "Ann", "age": 7}
METHODS = ["function_calling", "json_schema", "json_mode"]


def queue(server: Emulator, method: str, text: str | None = None, name: str = "Person") -> None:
    """Have the model answer with Ann."""
    if method == "function_calling":
        calls = [{"name": name, "arguments": text or json.dumps(ANN)}]
        server.reply(tool_calls=calls, unchecked=True)
    else:
        server.reply(text=text or json.dumps(ANN))


def plain(found: Any) -> Any:
    return found.dict() if isinstance(found, BaseModelV1) else dict(found)


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_every_method_with_every_schema(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    model: str,
    method: Any,
    schema: str,
) -> None:
    runnable = chat(model).with_structured_output(SCHEMAS[schema], method=method)
    name = getattr(SCHEMAS[schema], "__name__", "Person")
    queue(nvcf_emulator, method, name=name)
    found = colour.invoke(runnable, "Ann is 7")
    assert plain(found) == ANN
    assert isinstance(found, SCHEMAS[schema] if schema.startswith("pydantic") else dict)
    queue(nvcf_emulator, method, name=name)
    *_, last = colour.stream(runnable, "Ann is 7")
    assert plain(last) == ANN
    body = nvcf_emulator.chats[0].body
    assert not {"ls_structured_output_format", "schema_in_prompt"} & set(body)
    if method == "function_calling":
        assert body["tool_choice"] == {"type": "function", "function": {"name": name}}
    elif model == KIMI:
        assert "response_format" not in body
        system, _ = body["messages"]
        assert '"age"' in system["content"]
    else:
        kind = "json_schema" if method == "json_schema" else "json_object"
        assert body["response_format"]["type"] == kind
        assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("model", "sent"),
    [(SUPER, "response_format"), (KIMI, "tools"), (GEMMA, "system"), (PALI, "user")],
)
def test_the_default_method_is_what_the_page_has(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, model: str, sent: str
) -> None:
    runnable = chat(model).with_structured_output(Person)
    queue(nvcf_emulator, "function_calling" if sent == "tools" else "json_schema")
    assert runnable.invoke("Ann is 7") == Person(**ANN)
    body = nvcf_emulator.chats[0].body
    if sent in body:
        return
    assert not {"response_format", "tools"} & set(body)
    first = body["messages"][0]
    assert first["role"] == sent
    assert '"title": "Person"' in first["content"]


@pytest.mark.parametrize("strict", [True, False])
def test_strict(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, strict: bool) -> None:
    for method in ("json_schema", "function_calling"):
        queue(nvcf_emulator, method)
        chat(SUPER).with_structured_output(Person, method=method, strict=strict).invoke("Ann")
    by_schema, by_tool = [request.body for request in nvcf_emulator.chats]
    about = by_schema["response_format"]["json_schema"]
    assert (about["name"], about["strict"]) == ("Person", strict)
    assert about["schema"].get("additionalProperties", True) is not strict
    assert by_tool["tools"][0]["function"]["strict"] is strict


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_growing_objects(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, model: str
) -> None:
    nvcf_emulator.reply(text=['Sure: {"na', 'me": "A', "nn", '", "age"', ": 7}", " Done."])
    found = colour.stream(chat(model).with_structured_output(SCHEMA, method="json_schema"), "Ann")
    assert found == [{}, {"name": "A"}, {"name": "Ann"}, ANN]


def test_growing_arguments(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    long = {"name": "Ann " * 20, "age": 7}
    nvcf_emulator.reply(tool_calls=[{"name": "Person", "arguments": long}])
    found = colour.stream(chat().with_structured_output(SCHEMA), "Ann")
    assert found[-1] == long
    names = [grown.get("name", "") for grown in found]
    assert len(names) > 2
    assert all(later.startswith(earlier) for earlier, later in pairwise(names))


TEXTS = {
    "bare": json.dumps(ANN),
    "fence": f"```json\n{json.dumps(ANN, indent=2)}\n```",
    "nameless fence": f"```\n{json.dumps(ANN)}\n```",
    "words around": f"Here you are: {json.dumps(ANN)} I hope {{that}} helps.",
    "braces before": f"With {{placeholders}} and {{}} filled in: {json.dumps(ANN)}",
    "an example first": f'Like {{"name": "X"}}, so: {json.dumps(ANN)}',
    "line breaks in strings": '{"name": "Ann", "age": 7, "note": "a\nb"}',
}


@pytest.mark.parametrize("text", TEXTS)
def test_the_parser_is_tolerant(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, text: str
) -> None:
    runnable = chat(GEMMA).with_structured_output(Person)
    nvcf_emulator.reply(text=TEXTS[text], times=2)
    assert colour.invoke(runnable, "Ann") == Person(**ANN)
    assert colour.stream(runnable, "Ann")[-1] == Person(**ANN)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I would rather not.", "there is no JSON object in it. It says: I would rather not."),
        ('{"name": "Ann"}', "age"),
        ('{"items": [{"name": "Ann", "age": 7}, {"na', "there is no JSON object in it"),
        ("", r"It says: \(nothing\)"),
    ],
)
@pytest.mark.parametrize("schema", [Person, SCHEMA])
def test_the_error_shows_what_came(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    schema: Any,
    text: str,
    words: str,
) -> None:
    runnable = chat(GEMMA).with_structured_output(schema)
    nvcf_emulator.reply(text=text, times=2)
    with pytest.raises(OutputParserException, match=words) as raised:
        colour.invoke(runnable, "Ann")
    assert raised.value.llm_output == text
    with pytest.raises(OutputParserException, match=words):
        colour.stream(runnable, "Ann")


def test_the_error_of_a_call_that_does_not_fit(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    runnable = chat().with_structured_output(Person)
    for arguments in ('{"name": "Ann"}', '{"name": '):
        calls = [{"name": "Person", "arguments": arguments}]
        nvcf_emulator.reply(tool_calls=calls, times=2, unchecked=True)
        with pytest.raises(OutputParserException, match="name"):
            colour.invoke(runnable, "Ann")
        with pytest.raises(OutputParserException, match="name"):
            colour.stream(runnable, "Ann")
    nvcf_emulator.reply(text="No.")
    with pytest.raises(
        OutputParserException, match=r"hold Person: the tool is not called\. It says: No\."
    ):
        colour.invoke(runnable, "Ann")


def test_reasoning_that_used_up_the_tokens_is_named(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.reply(reasoning="hm", finish_reason="length")
    with pytest.raises(
        OutputParserException, match="cut off at max_tokens, all of them spent on reasoning"
    ):
        colour.invoke(chat(SUPER).with_structured_output(Person), "Ann")


@pytest.mark.parametrize(
    ("finish_reason", "said"),
    [
        ("length", r"cut off at max_tokens \(finish_reason 'length'\)"),
        ("content_filter", "the service's content filter"),
    ],
)
def test_an_answer_that_breaks_off_says_why(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    finish_reason: str,
    said: str,
) -> None:
    nvcf_emulator.reply(text='{"name": "An', finish_reason=finish_reason)
    with pytest.raises(OutputParserException, match=said):
        colour.invoke(chat(SUPER).with_structured_output(Person, method="json_schema"), "Ann")


def test_a_refusal_is_named(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    runnable = chat(SUPER).with_structured_output(Person)
    nvcf_emulator.reply(message={"refusal": "I won't."}, times=2)
    with pytest.raises(RefusalError, match=r"I won't\.") as raised:
        colour.invoke(runnable, "Ann")
    assert isinstance(raised.value, ModelError)
    assert raised.value.refusal == "I won't."


THOUGHT = 'It could be {"name": "Bern", "age": 1}.\n</think>\n\n'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (THOUGHT + '{"name": "Rome", "age": 2}', "Rome"),
        ('{"name": "</think>", "age": 2}', "</think>"),
    ],
)
@pytest.mark.parametrize("model", [SUPER, GEMMA])
def test_the_answer_begins_behind_a_closing_tag_that_nothing_opened(
    model: str, text: str, name: str, chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator, colour: SimpleNamespace,
) -> None:  # fmt: skip
    runnable = chat(model).with_structured_output(Person)
    nvcf_emulator.reply(text=text, times=2)
    assert colour.invoke(runnable, "Ann") == Person(name=name, age=2)
    assert colour.stream(runnable, "Ann")[-1] == Person(name=name, age=2)


@pytest.mark.parametrize("method", METHODS)
def test_raw_and_parsed(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, method: Any
) -> None:
    runnable = chat().with_structured_output(Person, method=method, include_raw=True)
    queue(nvcf_emulator, method)
    good = colour.invoke(runnable, "Ann")
    assert isinstance(good["raw"], AIMessage)
    assert (good["parsed"], good["parsing_error"]) == (Person(**ANN), None)
    queue(nvcf_emulator, method, '{"name": "Ann"}')
    bad = colour.invoke(runnable, "Ann")
    assert isinstance(bad["raw"], AIMessage)
    assert bad["parsed"] is None
    assert isinstance(bad["parsing_error"], OutputParserException)


def test_json_mode_without_a_schema(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator) -> None:
    for model in (SUPER, GEMMA):
        nvcf_emulator.reply(text='{"any": "thing"}')
        assert chat(model).with_structured_output(None, method="json_mode").invoke("x") == {
            "any": "thing"
        }
    by_format, by_prompt = [request.body for request in nvcf_emulator.chats]
    assert by_format["response_format"] == {"type": "json_object"}
    assert "JSON object" in by_prompt["messages"][0]["content"]


def test_the_instruction_joins_a_system_message(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.reply(text=json.dumps(ANN))
    chat(GEMMA).with_structured_output(Person).invoke([("system", "Be brief."), ("user", "Ann")])
    system, user = nvcf_emulator.chats[0].body["messages"]
    assert system["content"].startswith("Be brief.\nAnswer with one JSON object")
    assert user == {"role": "user", "content": "Ann"}


@pytest.mark.parametrize(
    ("schema", "keywords"),
    [
        (Person, {"method": "magic"}),
        (None, {}),
        (None, {"method": "function_calling"}),
        (Person, {"method": "json_mode", "strict": True}),
        (1, {}),
        ({"no": "schema"}, {}),
    ],
)
def test_what_makes_no_sense_is_refused(
    chat: Callable[..., ChatNVCF], schema: Any, keywords: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError):
        chat().with_structured_output(schema, **keywords)


def test_tracers_see_the_schema(chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator) -> None:
    class Tracer(BaseCallbackHandler):
        seen: dict[str, Any]

        def on_chat_model_start(self, *_: Any, **keywords: Any) -> None:
            self.seen = keywords["options"]

    for method in METHODS:
        tracer = Tracer()
        queue(nvcf_emulator, method)
        runnable = chat(SUPER).with_structured_output(Person, method=method)  # type: ignore[arg-type]
        runnable.invoke("Ann", config={"callbacks": [tracer]})
        found = tracer.seen["ls_structured_output_format"]
        assert found["kwargs"]["method"] == method
        assert found["schema"]["title"] == "Person"


def test_events_of_a_structured_model(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    """`ls_structured_output_format` stays out of the body on this road too."""
    queue(nvcf_emulator, "json_schema")
    runnable = chat(SUPER).with_structured_output(Person)
    model: Any = runnable.first  # type: ignore[attr-defined]
    assert model.stream_events("Ann", version="v3").output.text == json.dumps(ANN)
    assert set(nvcf_emulator.chats[0].body) == {
        "model", "messages", "stream", "stream_options", "response_format",
    }  # fmt: skip


@pytest.mark.parametrize("schema", [Person, PersonDict, SCHEMA])
@pytest.mark.parametrize(
    ("model", "strategy"),
    [
        (SUPER, None),
        (SUPER, ProviderStrategy),
        (KIMI, ProviderStrategy),
        (
            GEMMA,
            None,
        ),  # No tools: left to choose, the agent takes the format, which goes into the prompt.
        (PALI, None),
    ],
)
def test_agents_by_the_models_own_format(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    model: str,
    strategy: Any,
    schema: Any,
) -> None:
    wanted = strategy(schema) if strategy else schema
    agent: Any = create_agent(chat(model), response_format=wanted)
    queue(nvcf_emulator, "json_schema")
    state = colour.invoke(agent, {"messages": [("user", "Ann is 7")]})
    assert plain(state["structured_response"]) == ANN
    [request] = nvcf_emulator.chats
    assert "tools" not in request.body
    if model == SUPER:
        about = request.body["response_format"]
        assert (about["type"], about["json_schema"]["name"]) == (
            "json_schema",
            "PersonDict" if schema is PersonDict else "Person",
        )
    else:
        assert "response_format" not in request.body
        assert '"age"' in request.body["messages"][0]["content"]


@pytest.mark.parametrize("strategy", [None, ToolStrategy])
def test_agents_by_a_tool(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, strategy: Any
) -> None:
    """kimi-k2.6 has no format of its own: left to choose, the agent takes a tool."""
    agent: Any = create_agent(chat(KIMI), response_format=strategy(Person) if strategy else Person)
    incomplete = [{"name": "Person", "arguments": {"name": "Ann"}}]
    nvcf_emulator.reply(tool_calls=incomplete, unchecked=True)
    queue(nvcf_emulator, "function_calling")
    state = colour.invoke(agent, {"messages": [("user", "Ann is 7")]})
    assert state["structured_response"] == Person(**ANN)
    first, second = [request.body for request in nvcf_emulator.chats]
    assert first["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in first["tools"]] == ["Person"]
    assert second["messages"][-1]["role"] == "tool"
    assert "age" in second["messages"][-1]["content"]


def test_bound_formats_of_every_form(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "Person", "schema": SCHEMA}}
    for wanted in (Person, schema, {"type": "json_object"}):
        chat(SUPER).bind_tools([], response_format=wanted).invoke("Ann")
        chat(SUPER).invoke("Ann", response_format=wanted)
    kinds = [request.body["response_format"]["type"] for request in nvcf_emulator.chats]
    assert kinds == ["json_schema"] * 4 + ["json_object"] * 2


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": SCHEMA["properties"]},
        {"name": "Person", "schema": SCHEMA, "strict": True},
        {"type": "json_schema", "json_schema": {"name": "Person", "schema": SCHEMA}},
        {"name": "Person", "parameters": SCHEMA},
    ],
)
def test_schemas_in_other_dialects(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, schema: Any
) -> None:
    queue(nvcf_emulator, "json_schema")
    assert chat(SUPER).with_structured_output(schema).invoke("Ann") == ANN
    sent = nvcf_emulator.chats[0].body["response_format"]["json_schema"]
    assert sent["schema"]["properties"].keys() == {"name", "age"}


def test_a_model_that_does_not_stream_gives_one_object(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    queue(nvcf_emulator, "json_schema")
    runnable = chat(SUPER, disable_streaming=True).with_structured_output(Person)
    assert colour.stream(runnable, "Ann") == [Person(**ANN)]


def test_parsing_is_linear_in_the_text() -> None:
    parser = parser_for(None, None)
    for text in ("{" * 100_000, '{"a":' * 100_000, "{x} " * 100_000):
        with pytest.raises(OutputParserException):
            parser.parse(text)


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Words(RootModel[list[str]]):
    """Some words."""


VALUES: dict[str, tuple[Any, Any, Any]] = {
    "enum": (Mood, "good", Mood.GOOD),
    "literal": (Literal["good", "bad"], "bad", "bad"),
    "models": (list[Person], [ANN, ANN], [Person(**ANN), Person(**ANN)]),
    "texts": (list[str], ["a", "b"], ["a", "b"]),
    "union": (int | None, None, None),
    "plain": (int, 7, 7),
    "root": (Words, ["a", "b"], Words(["a", "b"])),
}


@pytest.mark.parametrize("model", [KIMI, SUPER, GEMMA])
@pytest.mark.parametrize("kind", VALUES)
def test_what_is_not_an_object(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    kind: str,
    model: str,
) -> None:
    schema, written, value = VALUES[kind]
    runnable = chat(model).with_structured_output(schema)
    name = str(getattr(schema, "__name__", "Answer"))
    text = json.dumps({"value": written})
    for _ in range(2):
        queue(nvcf_emulator, "function_calling" if model == KIMI else "json_schema", text, name)
    assert colour.invoke(runnable, "How?") == value
    streamed = colour.stream(runnable, "How?")
    assert streamed[-1:] == ([] if value is None else [value])


def test_a_value_that_is_written_alone(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.reply(text=f"```json\n{json.dumps([ANN])}\n```")
    assert chat(GEMMA).with_structured_output(list[Person]).invoke("Who?") == [Person(**ANN)]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (Mood, '"good"', Mood.GOOD),
        (Mood, "good", Mood.GOOD),
        (Mood, "I am not sure.\n</think>\n\ngood\n", Mood.GOOD),
        (Literal["good", "bad"], '```json\n"bad"\n```', "bad"),
        (bool, "true", True),
        (int, "7", 7),
        (Words, '["a", "b"]', Words(["a", "b"])),
    ],
)
def test_a_plain_value_that_is_written_alone(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    colour: SimpleNamespace,
    schema: Any,
    text: str,
    value: Any,
) -> None:
    runnable = chat(GEMMA).with_structured_output(schema)
    nvcf_emulator.reply(text=text, times=2)
    assert colour.invoke(runnable, "How?") == value
    assert colour.stream(runnable, "How?")[-1] == value


def test_a_value_that_does_not_fit(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    nvcf_emulator.reply(text='{"value": "so so"}', times=2)
    runnable = chat(SUPER).with_structured_output(Mood)
    with pytest.raises(OutputParserException, match="so so"):
        colour.invoke(runnable, "How?")
    with pytest.raises(OutputParserException, match="so so"):
        colour.stream(runnable, "How?")


def population(city: str) -> int:
    """How many people live in a city."""
    return len(city)


CALL = {"name": "population", "arguments": {"city": "Rome"}}


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_tools_beside_the_schema(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, model: str
) -> None:
    runnable = chat(model).with_structured_output(Person, tools=[population])
    nvcf_emulator.reply(tool_calls=[CALL])
    nvcf_emulator.reply(text=json.dumps(ANN))
    assert colour.invoke(runnable, "How many?") is None
    assert colour.invoke(runnable, "Who?") == Person(**ANN)
    nvcf_emulator.reply(tool_calls=[CALL])
    assert colour.stream(runnable, "How many?") == []
    for request in nvcf_emulator.chats:
        assert [tool["function"]["name"] for tool in request.body["tools"]] == ["population"]
        assert "tool_choice" not in request.body
        in_prompt = "JSON schema" in str(request.body["messages"][0]["content"])
        assert ("response_format" in request.body, in_prompt) == (model == SUPER, model == KIMI)


def test_tools_beside_the_schemas_own(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    runnable = chat().with_structured_output(
        Person, method="function_calling", tools=[population], include_raw=True
    )
    nvcf_emulator.reply(tool_calls=[CALL])
    queue(nvcf_emulator, "function_calling")
    first, second = (colour.invoke(runnable, "Who?") for _ in range(2))
    assert (first["parsed"], first["parsing_error"]) == (None, None)
    assert first["raw"].tool_calls[0]["name"] == "population"
    assert second["parsed"] == Person(**ANN)
    for request in nvcf_emulator.chats:
        names = [tool["function"]["name"] for tool in request.body["tools"]]
        assert (names, request.body["tool_choice"]) == (["population", "Person"], "required")


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_tools_of_the_constructor_beside_the_schema(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, model: str
) -> None:
    runnable = chat(model, tools=[population]).with_structured_output(Person)
    nvcf_emulator.reply(text=json.dumps(ANN))
    assert colour.invoke(runnable, "Who?") == Person(**ANN)
    [tool] = nvcf_emulator.chats[0].body["tools"]
    assert tool["function"]["name"] == "population"


@pytest.mark.parametrize("model", [KIMI, SUPER, GEMMA])
def test_what_asks_for_the_object_anyway(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace, model: str
) -> None:
    runnable = chat(model).with_structured_output(Person, tool_choice="any")
    queue(nvcf_emulator, "function_calling" if model == KIMI else "json_schema")
    assert colour.invoke(runnable, "Who?") == Person(**ANN)
    sent = nvcf_emulator.chats[0].body.get("tool_choice")
    assert sent == ("required" if model == KIMI else None)


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (KIMI, {"tool_choice": "bread"}, "not one of the tools: Person"),
        (SUPER, {"tool_choice": "bread"}, "not one of the tools"),
        (SUPER, {"response_format": {"type": "json_object"}}, "two formats of one answer"),
        (GEMMA, {"response_format": {"type": "text"}}, "two formats of one answer"),
    ],
)
def test_what_contradicts_the_schema_is_refused(
    chat: Callable[..., ChatNVCF], model: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        chat(model).with_structured_output(Person, **given).invoke("Who?")
    if "response_format" in given:
        with pytest.raises(InvalidRequestError, match=words):
            chat(model, **given).with_structured_output(Person)
