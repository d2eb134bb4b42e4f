"""Objects instead of text: asked for by the model's row, read out of whatever came."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Literal

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field, RootModel

from llamaindex_nvcf import InvalidRequestError, RefusalError
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
GEMMA = "google/gemma-3n-e2b-it"
PALI = "google/paligemma"


class Person(BaseModel):
    """Somebody."""

    name: str = Field(description="first name")
    age: int


class Family(BaseModel):
    people: list[Person]
    town: str | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Names(RootModel[list[str]]):
    pass


ANN = '{"name": "Ann", "age": 33}'
PROMPT = PromptTemplate("Who is {who}?")


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}], "unchecked": True}


@pytest.mark.parametrize(
    ("model", "mode", "reply"),
    [
        (SUPER, "default", {"text": ANN}),
        (KIMI, "default", call("Person", ANN)),
        (GEMMA, "default", {"text": ANN}),
        (PALI, "default", {"text": ANN}),
        (SUPER, "function", call("Person", ANN)),
        (KIMI, "llm", {"text": ANN}),
    ],
)
def test_an_object_by_every_road(make, server: Emulator, colour, model: str, mode: str, reply):
    llm = make(model, pydantic_program_mode=PydanticProgramMode(mode), system_prompt="Be exact.")
    server.reply(**reply)
    given = {"llm_kwargs": {"temperature": 0.5}, "who": "she"}
    assert colour.call(llm, "structured_predict", Person, PROMPT, **given) == Person(
        name="Ann", age=33
    )
    body = server.chats[0].body
    said = json.dumps(body["messages"])
    assert "Be exact." in said
    assert "Who is she?" in said
    assert body["temperature"] == 0.5
    schema = Person.model_json_schema()
    if model == SUPER and mode == "default":
        assert body["response_format"] == {
            "type": "json_schema", "json_schema": {"name": "Person", "schema": schema}
        }  # fmt: skip
        assert "tools" not in body
    elif "tool_calls" in reply:
        function = {"name": "Person", "description": "Somebody.", "parameters": schema}
        assert body["tools"] == [{"type": "function", "function": function}]
        assert body["tool_choice"] == {"type": "function", "function": {"name": "Person"}}
        assert body.get("parallel_tool_calls") == (False if model == SUPER else None)
    else:
        assert not {"tools", "tool_choice", "response_format"} & set(body)
        content = body["messages"][0]["content"]  # The system message, or the only one.
        assert content.startswith("Be exact.\nAnswer with one JSON object and nothing else")
        assert json.dumps(schema) in content


def objects_of(colour: Any, llm: Any, output_cls: Any = Person, **given: Any) -> list[Any]:
    return colour.stream(llm, "stream_structured_predict", output_cls, PROMPT, who="she", **given)


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        (SUPER, {"text": ["", '{"name": "A', 'nn"', ', "age": 3', "3}"], "reasoning": "hm hm"}),
        (KIMI, call("Person", ANN)),
        (
            GEMMA,
            {"text": ["Here: ```json\n", '{"name": "A', 'nn",', ' "age": 33', "}\n```", " Ok?"]},
        ),
    ],
)
def test_an_object_grows(make, server: Emulator, colour, model: str, reply):
    llm = make(model, system_prompt="Be exact.")
    server.reply(**reply)
    found = objects_of(colour, llm)
    assert found[-1] == Person(name="Ann", age=33)
    assert len(found) >= (2 if model == KIMI else 3)
    names = [item.name or "" for item in found]
    assert names == sorted(names, key=len)
    assert all("Ann".startswith(name) for name in names)
    assert len({item.model_dump_json() for item in found}) == len(found)
    assert "Be exact." in json.dumps(server.chats[0].body["messages"])
    assert ("tool_choice" in server.chats[0].body) == (model == KIMI)


def test_lists_grow_item_by_item(make, server: Emulator, colour):
    whole = '{"people": [{"name": "Ann", "age": 3}, {"name": "Bob", "age": 4}], "town": "Rome"}'
    server.reply(text=[whole[place : place + 9] for place in range(0, len(whole), 9)])
    found = objects_of(colour, make(SUPER), Family)
    counts = [len(item.people or ()) for item in found]
    assert counts == sorted(counts)
    assert counts[-1] == 2
    assert found[-1].town == "Rome"


@pytest.mark.parametrize(
    "text",
    [
        ANN,
        f"\n\n{ANN}  ",
        f"```json\n{ANN}\n```",
        f"```\n{ANN}\n``` as you asked",
        f"Of {{course}}: [1] {ANN} and {{so}} on",
        f'First {{"name": 1}}, or rather {ANN}',
    ],
)
def test_the_object_is_found_among_words(make, server: Emulator, text: str):
    server.reply(text=text)
    assert make(GEMMA).structured_predict(Person, PROMPT, who="x") == Person(name="Ann", age=33)


def test_a_model_that_writes_instead_of_calling_is_understood(make, server: Emulator):
    server.reply(text=f"Here it is: {ANN}")
    assert make(KIMI).structured_predict(Person, PROMPT, who="x").name == "Ann"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"text": "I would rather not"}, "holds no JSON.*I would rather not"),
        ({"text": '{"name": "Ann"}'}, "age(.|\n)*Field required(.|\n)*Ann"),
        ({"text": '{"name": "Ann", "a', "finish_reason": "length"}, r"max_tokens \(finish_reason"),
        (call("Person", '{"name": 5}'), "(.|\n)*Person.*name.*5"),
        ({**call("Person", ANN), "finish_reason": "length"}, "cut off at max_tokens"),
        ({**call("Person", ANN), "finish_reason": "content_filter"}, "content filter"),
        ({"text": "[" * 100_000}, "holds no JSON"),
    ],
)
def test_an_error_shows_what_came(make, server: Emulator, colour, way: str, reply, said: str):
    server.reply(**reply)
    llm = make(KIMI)
    asking = colour.call if way == "whole" else colour.stream
    method = "structured_predict" if way == "whole" else "stream_structured_predict"
    with pytest.raises(ValueError, match=said) as caught:
        asking(llm, method, Person, PROMPT, who="x")
    assert "The answer is not a Person" in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_reasoning_that_used_up_the_tokens_is_named(make, server: Emulator, colour, way: str):
    server.reply(reasoning="hm", finish_reason="length")
    asking = colour.call if way == "whole" else colour.stream
    method = "structured_predict" if way == "whole" else "stream_structured_predict"
    with pytest.raises(ValueError, match="max_tokens, all of them spent on reasoning"):
        asking(make(SUPER), method, Person, PROMPT, who="x")


def test_a_refusal_is_not_a_value_error_which_engines_would_swallow(
    make, server: Emulator, colour, way: str
):
    server.reply(message={"refusal": "against the rules"})
    llm = make(KIMI)
    asking = colour.call if way == "whole" else colour.stream
    method = "structured_predict" if way == "whole" else "stream_structured_predict"
    with pytest.raises(RefusalError, match="against the rules") as caught:
        asking(llm, method, Person, PROMPT, who="x")
    assert caught.value.refusal == "against the rules"
    assert caught.value.request_id
    assert not isinstance(caught.value, ValueError)


def test_a_closing_tag_alone_begins_the_answer(make, server: Emulator, colour, way: str):
    thought = 'It could be {"name": "Bern", "age": 1}.\n</think>\n\n'
    server.reply(text=thought + '{"name": "Rome", "age": 2}')
    llm = make(SUPER)
    if way == "whole":
        found = colour.call(llm, "structured_predict", Person, PROMPT, who="x")
    else:
        found = objects_of(colour, llm, Person)[-1]
    assert (found.name, found.age) == ("Rome", 2)


def test_a_closing_tag_in_a_string_is_of_the_answer(make, server: Emulator, colour, way: str):
    server.reply(text='{"name": "</think>", "age": 2}')
    llm = make(SUPER)
    if way == "whole":
        found = colour.call(llm, "structured_predict", Person, PROMPT, who="x")
    else:
        found = objects_of(colour, llm, Person)[-1]
    assert (found.name, found.age) == ("</think>", 2)


def test_whitespace_up_to_the_limit_after_a_whole_object_is_no_loss(make, server: Emulator):
    server.reply(text=ANN + "\n" * 50, finish_reason="length")
    assert make(SUPER).structured_predict(Person, PROMPT, who="x").age == 33


def test_a_class_that_refers_to_itself_and_one_that_is_a_list(make, server: Emulator, colour):
    server.reply(**call("Tree", '{"name": "a", "children": [{"name": "b"}]}'))
    llm = make(KIMI)
    tree = colour.call(llm, "structured_predict", Tree, PROMPT, who="x")
    assert tree.children[0].name == "b"
    parameters = server.chats[0].body["tools"][0]["function"]["parameters"]
    assert parameters["type"] == "object"
    assert set(parameters["properties"]) == {"name", "children"}
    server.reply(text='["a", "b"]')
    assert colour.call(llm, "structured_predict", Names, PROMPT, who="x").root == ["a", "b"]
    parameters = server.chats[1].body["tools"][0]["function"]["parameters"]
    assert list(parameters["properties"]) == ["value"]
    for reply in ({"text": ['["a"', ', "b"]']}, call("Names", '{"value": ["a", "b"]}')):
        server.reply(**reply)
        assert objects_of(colour, llm, Names)[-1].root == ["a", "b"]


def test_a_class_whose_name_the_service_refuses(make, server: Emulator):
    class Box(BaseModel):
        model_config = {"title": "Box[int] übergroß"}
        size: int

    server.reply(text='{"size": 3}', times=2)
    assert make(SUPER).structured_predict(Box, PROMPT, who="x").size == 3
    wanted = server.chats[0].body["response_format"]["json_schema"]
    assert wanted["name"] == "Box_int___bergro_"


def test_modes_made_for_other_models_are_refused(make, server: Emulator):
    llm = make(KIMI, pydantic_program_mode=PydanticProgramMode.OPENAI)
    with pytest.raises(InvalidRequestError, match="'openai' is made for other models"):
        llm.structured_predict(Person, PROMPT, who="x")
    assert server.requests == []


def test_the_schema_is_a_system_message_where_there_is_none(make, server: Emulator):
    server.reply(text=ANN)
    history = [ChatMessage(content="who?"), ChatMessage(role="assistant", content="Ann.")]
    make(GEMMA).structured_predict(Person, ChatPromptTemplate(history))
    messages = server.chats[0].body["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert "JSON schema" in messages[0]["content"]


def test_the_model_of_the_call_decides(make, server: Emulator):
    server.reply(text=ANN)
    make(KIMI).structured_predict(Person, PROMPT, llm_kwargs={"model": SUPER}, who="x")
    assert "response_format" in server.chats[0].body


def test_the_prompt_and_the_keywords_of_the_caller_stay_as_they_are(make, server: Emulator):
    server.reply(text=ANN, times=2)
    prompt = ChatPromptTemplate(
        [ChatMessage(role="system", content="s"), ChatMessage(content="{q}")]
    )
    given = {"tool_choice": "auto", "seed": 1}
    llm = make(GEMMA)
    for _ in range(2):
        llm.structured_predict(Person, prompt, llm_kwargs=given, q="hello")
    assert given == {"tool_choice": "auto", "seed": 1}
    assert prompt.output_parser is None
    assert server.chats[0].body == server.chats[1].body


# The framework itself calls a method that pydantic has deprecated.
def population(city: str) -> int:
    """How many people live in a city."""
    return len(city)


POPULATION = FunctionTool.from_defaults(population)


def structured(colour: Any, way: str, llm: Any, **llm_kwargs: Any) -> Any:
    """The object, whole or at the end of a stream."""
    given = {"llm_kwargs": llm_kwargs, "who": "she"}
    if way == "whole":
        return colour.call(llm, "structured_predict", Person, PROMPT, **given)
    return colour.stream(llm, "stream_structured_predict", Person, PROMPT, **given)[-1]


@pytest.mark.parametrize("tools", [[POPULATION], [POPULATION.metadata.to_openai_tool()]])
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_tools_beside_the_object(make, server: Emulator, colour, way: str, model: str, tools: Any):
    llm = make(model)
    server.reply(text=ANN)
    assert structured(colour, way, llm, tools=tools) == Person(name="Ann", age=33)
    server.reply(**call("population", '{"city": "Rome"}'))
    with pytest.raises(ValueError, match=r"it calls a tool instead.*population"):
        structured(colour, way, llm, tools=tools)
    for request in server.chats:
        assert [tool["function"]["name"] for tool in request.body["tools"]] == ["population"]
        assert "tool_choice" not in request.body
        schema_is_asked_for = "response_format" in request.body or "JSON schema" in str(
            request.body["messages"]
        )
        assert schema_is_asked_for


def test_tools_beside_the_objects_own(make, server: Emulator, colour, way: str):
    llm = make(SUPER, pydantic_program_mode=PydanticProgramMode.FUNCTION, tools=[POPULATION])
    both = [{"name": "population", "arguments": "{}"}, {"name": "Person", "arguments": ANN}]
    server.reply(tool_calls=both, unchecked=True)
    assert structured(colour, way, llm) == Person(name="Ann", age=33)
    body = server.chats[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["population", "Person"]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (KIMI, {"tool_choice": "bread"}, "not one of the tools: Person"),
        (SUPER, {"tool_choice": "bread"}, "not one of the tools"),
        (SUPER, {"response_format": {"type": "json_object"}}, "two formats of one answer"),
        (GEMMA, {"response_format": {"type": "text"}}, "two formats of one answer"),
    ],
)
def test_what_contradicts_the_object_is_refused(
    make, colour, way: str, model: str, given: dict[str, Any], words: str
):
    with pytest.raises(InvalidRequestError, match=words):
        structured(colour, way, make(model), **given)


@pytest.mark.parametrize("model", [KIMI, SUPER, GEMMA])
def test_what_asks_for_the_object_anyway(make, server: Emulator, colour, way: str, model: str):
    server.reply(**(call("Person", ANN) if model == KIMI else {"text": ANN}))
    given = {"tool_choice": "any", "tool_required": True, "allow_parallel_tool_calls": False}
    assert structured(colour, way, make(model), **given) == Person(name="Ann", age=33)
    body = server.chats[0].body
    assert body.get("tool_choice") == ("required" if model == KIMI else None)
    assert not {"tool_required", "allow_parallel_tool_calls", "parallel_tool_calls"} & set(body)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_as_structured_llm(make, server: Emulator, colour):
    llm = make(KIMI).as_structured_llm(Person)
    server.reply(**call("Person", ANN))
    response = colour.call(llm, "chat", [ChatMessage(content="who? {not a variable}")])
    assert response.raw == Person(name="Ann", age=33)
    assert json.loads(response.message.content) == {"name": "Ann", "age": 33}
    assert server.chats[0].body["messages"][0]["content"] == "who? {not a variable}"
    server.reply(**call("Person", ANN))
    assert colour.call(llm, "complete", "who?").raw == Person(name="Ann", age=33)
    server.reply(**call("Person", ANN))
    pieces = colour.stream(llm, "stream_chat", [ChatMessage(content="who?")])
    assert len(pieces) > 1
    assert json.loads(pieces[-1].message.content) == {"name": "Ann", "age": 33}


def test_a_structured_answer_about_a_picture(make, server: Emulator, media):
    from llama_index.core.base.llms.types import ImageBlock, TextBlock

    message = ChatMessage(blocks=[TextBlock(text="Who?"), ImageBlock(image=media.png())])
    for model in (KIMI, GEMMA, PALI):
        server.reply(**(call("Person", ANN) if model == KIMI else {"text": ANN}))
        answer = make(model).as_structured_llm(Person).chat([message])
        assert answer.raw == Person(name="Ann", age=33)
        content = server.chats[-1].body["messages"][-1]["content"]
        assert [part["type"] for part in content][:2] == ["text", "image_url"]


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


BOTH = [{"name": "Ann", "age": 33}, {"name": "Bob", "age": 4}]


@pytest.mark.parametrize("model", [KIMI, SUPER, GEMMA])
@pytest.mark.parametrize(
    ("output_cls", "written", "value"),
    [
        (Mood, "good", Mood.GOOD),
        (Literal["good", "bad"], "bad", "bad"),
        (list[Person], BOTH, [Person(**person) for person in BOTH]),
    ],
)
def test_what_is_not_an_object(
    make, server: Emulator, colour, output_cls: Any, written: Any, value: Any, model: str
):
    text = json.dumps({"value": written})
    name = str(getattr(output_cls, "__name__", "Answer"))
    reply = call(name, text) if model == KIMI else {"text": text}
    llm = make(model)
    server.reply(**reply)
    assert colour.call(llm, "structured_predict", output_cls, PROMPT, who="she") == value
    if isinstance(value, list):
        with pytest.raises(InvalidRequestError, match="streams objects, not lists"):
            objects_of(colour, llm, output_cls)
        return
    server.reply(**reply)
    assert objects_of(colour, llm, output_cls)[-1] == value


def test_a_value_that_is_written_alone(make, server: Emulator):
    server.reply(text=json.dumps(BOTH))
    found = make(GEMMA).structured_predict(list[Person], PROMPT, who="they")
    assert [person.name for person in found] == ["Ann", "Bob"]


@pytest.mark.parametrize(
    ("output_cls", "text", "value"),
    [
        (Mood, '"good"', Mood.GOOD),
        (Mood, "good", Mood.GOOD),
        (Literal["good", "bad"], '```json\n"bad"\n```', "bad"),
        (bool, "true", True),
        (int, "7", 7),
        (Names, '["a", "b"]', Names(["a", "b"])),
    ],
)
def test_a_plain_value_that_is_written_alone(
    make, server: Emulator, colour, output_cls: Any, text: str, value: Any
):
    server.reply(text=text)
    assert colour.call(make(GEMMA), "structured_predict", output_cls, PROMPT, who="x") == value
