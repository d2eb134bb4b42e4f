"""What the stand-in says by itself: text, reasoning, tool calls, JSON, and what it counts."""

from __future__ import annotations

import json

import pytest

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ALL = [GEMMA, NANO, PALI, KIMI, SUPER]


def function(name, description="", **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    made = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": made}


TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
WEATHER = function("get_weather", "Look up rain and sun for a city", city=TEXT)
TIME = function("get_time", "Look up the clock of a zone", zone=TEXT)
ADD = function("add_numbers", "Sums", a=WHOLE, b=NUMBER)


def message(response):
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


@pytest.mark.parametrize("model", ALL)
def test_it_says_what_it_understood(ask, model):
    response = ask(model, "A very particular question?")
    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == model
    assert body["id"].startswith("chatcmpl-")
    choice = body["choices"][0]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"]["role"] == "assistant"
    assert "I read 1 message(s)" in choice["message"]["content"]
    assert '"A very particular question?"' in choice["message"]["content"]
    assert "not a model" in choice["message"]["content"]


def test_the_last_user_text_is_repeated(post):
    messages = [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Se"}, {"type": "text", "text": "c"}],
        },
    ]
    content = message(post(KIMI, {"messages": messages}))["content"]
    assert "I read 3 message(s)" in content
    assert '"Sec"' in content


def test_the_same_request_has_the_same_answer(said):
    assert said(SUPER, "Hi", seed=7) == said(SUPER, "Hi", seed=7)


REASONING = [
    (GEMMA, {}, "", False),
    (PALI, {}, "", False),
    (KIMI, {}, "", True),
    (KIMI, {"chat_template_kwargs": {"thinking": False}}, "", False),
    (KIMI, {"chat_template_kwargs": {"thinking": True}}, "", True),
    (NANO, {}, "", True),
    (NANO, {}, "/think", True),
    (NANO, {}, "Be kind. /no_think", False),
    (NANO, {"chat_template_kwargs": {"enable_thinking": False}}, "", False),
    (NANO, {"chat_template_kwargs": {"enable_thinking": True}}, "/no_think", True),
    (NANO, {"reasoning_budget": 0}, "", False),
    (SUPER, {}, "", True),
    (SUPER, {}, "/no_think", True),
    (SUPER, {"reasoning_effort": "none"}, "", False),
    (SUPER, {"reasoning_effort": "low"}, "", True),
    (SUPER, {"reasoning_effort": "high"}, "", True),
    (SUPER, {"chat_template_kwargs": {"enable_thinking": False}}, "", False),
    (SUPER, {"reasoning_budget": 10, "chat_template_kwargs": {"reasoning_budget": 0}}, "", False),
]


@pytest.mark.parametrize(("model", "fields", "system", "on"), REASONING)
def test_reasoning_has_the_model_s_switches(post, model, fields, system, on):
    messages = [{"role": "user", "content": "Hi"}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    response = post(model, {"messages": messages, **fields})
    assert ("reasoning_content" in message(response)) == on
    details = response.json()["usage"]["completion_tokens_details"]
    assert (details["reasoning_tokens"] > 0) == on


def test_low_effort_is_less(ask):
    low = message(ask(SUPER, reasoning_effort="low"))["reasoning_content"]
    high = message(ask(SUPER, reasoning_effort="high"))["reasoning_content"]
    assert len(low) < len(high)
    other = message(ask(SUPER, chat_template_kwargs={"enable_thinking": True, "low_effort": True}))
    assert other["reasoning_content"] == low


@pytest.mark.parametrize("model", [NANO, SUPER])
def test_the_budget_cuts_reasoning(ask, model):
    thought = message(ask(model, reasoning_budget=3))
    assert len(thought["reasoning_content"].split()) == 3
    assert "I read 1 message(s)" in thought["content"]


def test_max_tokens_cut_the_text(ask):
    response = ask(GEMMA, max_tokens=5).json()
    choice = response["choices"][0]
    assert choice["message"]["content"] == "I am a stand-in, not"
    assert choice["finish_reason"] == "length"
    assert response["usage"]["completion_tokens"] == 5


def test_reasoning_counts_first(ask):
    response = ask(SUPER, max_tokens=4).json()
    choice = response["choices"][0]
    assert choice["message"]["content"] == ""
    assert len(choice["message"]["reasoning_content"].split()) == 4
    assert choice["finish_reason"] == "length"
    assert response["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4


def test_max_tokens_cut_tool_calls(ask):
    fields = {"tools": [ADD], "tool_choice": "required", "reasoning_effort": "none"}
    response = ask(SUPER, "Sum 1 and 2", max_tokens=2, **fields).json()
    choice = response["choices"][0]
    assert choice["finish_reason"] == "length"
    with pytest.raises(ValueError):
        json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])


@pytest.mark.parametrize("model", [GEMMA, SUPER])
@pytest.mark.parametrize("stop", ["model", ["nothing", "model", "text"]])
def test_stop_sequences_end_the_text(ask, model, stop):
    choice = ask(model, stop=stop).json()["choices"][0]
    assert choice["message"]["content"] == "I am a stand-in, not a "
    assert choice["finish_reason"] == "stop"
    assert choice["stop_reason"] == "model"


def test_several_choices(ask):
    response = ask(SUPER, n=3, reasoning_effort="none").json()
    assert [choice["index"] for choice in response["choices"]] == [0, 1, 2]
    texts = {choice["message"]["content"] for choice in response["choices"]}
    assert len(texts) == 3
    assert response["usage"]["completion_tokens"] == sum(len(text.split()) for text in texts)


def test_usage_counts_words(ask):
    usage = ask(GEMMA, "one two three").json()["usage"]
    assert usage["prompt_tokens"] == 3
    assert usage["total_tokens"] == 3 + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_audio_counts_as_audio(ask, files):
    audio = {"data": files.b64(files.wav()), "format": "wav"}
    usage = ask(GEMMA, [{"type": "input_audio", "input_audio": audio}]).json()["usage"]
    assert usage["prompt_tokens_details"]["audio_tokens"] == usage["prompt_tokens"] > 0


def test_logprobs(ask):
    choice = ask(SUPER, logprobs=True, top_logprobs=2, max_tokens=30).json()["choices"][0]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)
    assert all(entry["logprob"] < 0 for entry in entries)
    assert "logprobs" not in ask(SUPER).json()["choices"][0]


CALLS = [
    ("What is the weather in 'Paris'?", [WEATHER, TIME], {}, [("get_weather", {"city": "Paris"})]),
    ("Weather, please", [TIME, WEATHER], {}, [("get_weather", {"city": "Weather, please"})]),
    ("Which time and weather has “Rome”?", [WEATHER, TIME], {}, ["get_weather", "get_time"]),
    ("Add the numbers 3 and 4.5", [ADD], {}, [("add_numbers", {"a": 3, "b": 4.5})]),
    ("rain, sun, city", [WEATHER, TIME], {}, ["get_weather"]),
    ("How are you?", [WEATHER, TIME, ADD], {}, []),
    ("How are you?", [WEATHER, TIME], {"tool_choice": "auto"}, []),
    ("The weather", [WEATHER], {"tool_choice": "none"}, []),
    ("How are you?", [WEATHER, TIME], {"tool_choice": "required"}, ["get_weather"]),
    ("What time is it?", [WEATHER, TIME], {"tool_choice": "required"}, ["get_time"]),
]


@pytest.mark.parametrize(("text", "tools", "fields", "wanted"), CALLS)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_which_tools_are_called(ask, model, text, tools, fields, wanted):
    response = ask(model, text, tools=tools, **fields)
    said = message(response)
    calls = [call["function"] for call in said.get("tool_calls", ())]
    assert [call["name"] for call in calls] == [
        item if isinstance(item, str) else item[0] for item in wanted
    ]
    for call, item in zip(calls, wanted, strict=True):
        if not isinstance(item, str):
            assert json.loads(call["arguments"]) == item[1]
    finish = response.json()["choices"][0]["finish_reason"]
    assert finish == ("tool_calls" if wanted else "stop")
    assert (said["content"] is None) == bool(wanted)


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_a_named_tool_is_called(ask, model):
    choice = {"type": "function", "function": {"name": "get_time"}}
    said = message(ask(model, "Hello", tools=[WEATHER, TIME], tool_choice=choice))
    assert [call["function"]["name"] for call in said["tool_calls"]] == ["get_time"]


def test_parallel_calls_may_be_off(ask):
    fields = {"tools": [WEATHER, TIME], "parallel_tool_calls": False}
    said = message(ask(SUPER, "time and weather", **fields))
    assert len(said["tool_calls"]) == 1


def test_ids_of_calls(ask):
    fields = {"tools": [WEATHER, TIME]}
    kimi = message(ask(KIMI, "time and weather", **fields))["tool_calls"]
    assert [call["id"] for call in kimi] == ["functions.get_weather:0", "functions.get_time:1"]
    other = message(ask(SUPER, "time and weather", **fields))["tool_calls"]
    assert all(call["id"].startswith("chatcmpl-tool-") for call in other)
    assert other[0]["id"] != other[1]["id"]


@pytest.fixture
def loop(post):
    """A conversation in which tools were called and have answered."""

    def run(model, names, results, **fields):
        calls = [
            {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
            for name in names
        ]
        messages = [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            *[
                {"role": "tool", "content": result, "tool_call_id": name}
                for name, result in zip(names, results, strict=True)
            ],
        ]
        return message(post(model, {"messages": messages, "tools": [WEATHER, TIME], **fields}))

    return run


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_results_are_quoted(loop, model):
    said = loop(model, ["get_weather", "get_time"], ["sunny", "noon"])
    assert said["content"] == "get_weather answered: sunny\nget_time answered: noon"
    assert "tool_calls" not in said


def test_a_forced_call_is_rather_a_new_one(loop):
    said = loop(SUPER, ["get_weather"], ["sunny"], tool_choice="required")
    assert [call["function"]["name"] for call in said["tool_calls"]] == ["get_time"]


def test_ids_go_on_through_a_conversation(loop):
    said = loop(KIMI, ["get_weather"], ["sunny"], tool_choice="required")
    assert said["tool_calls"][0]["id"] == "functions.get_time:1"


SCHEMAS = [
    ({"type": "object", "properties": {"a": TEXT}, "required": ["a"]}, {"a": "Ann is 31"}),
    ({"type": "object", "properties": {"a": WHOLE}, "required": ["a"]}, {"a": 31}),
    ({"type": "object", "properties": {"a": NUMBER, "b": WHOLE}}, {"a": 31, "b": 0}),
    ({"type": "object", "properties": {"a": {"type": "boolean"}}}, {"a": True}),
    ({"type": "object", "properties": {"a": {"type": "null"}}}, {"a": None}),
    ({"type": "object", "properties": {"a": {"const": 5}}}, {"a": 5}),
    ({"type": "object", "properties": {"a": {"enum": ["Bob", "Ann"]}}}, {"a": "Ann"}),
    ({"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}, {"a": "x"}),
    ({"type": "object", "properties": {"a": {"type": ["null", "integer"]}}}, {"a": 31}),
    ({"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, WHOLE]}}}, {"a": 31}),
    ({"type": "object", "properties": {"a": {"oneOf": [{"type": "null"}]}}}, {"a": None}),
    (
        {"type": "object", "properties": {"a": {"type": "array", "items": WHOLE}}},
        {"a": [31]},
    ),
    (
        {"type": "object", "properties": {"a": {"type": "array", "items": WHOLE, "minItems": 2}}},
        {"a": [31, 0]},
    ),
    (
        {"type": "object", "properties": {"a": {"type": "array", "items": WHOLE, "maxItems": 0}}},
        {"a": []},
    ),
    (
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [WHOLE, TEXT]}}},
        {"a": [31, "Ann is 31"]},
    ),
    (
        {"properties": {"a": {"type": "integer", "minimum": 40, "multipleOf": 3}}},
        {"a": 42},
    ),
    ({"properties": {"a": {"type": "integer", "exclusiveMaximum": 31}}}, {"a": 30}),
    ({"properties": {"a": {"type": "integer", "maximum": 7}}}, {"a": 7}),
    ({"properties": {"a": {"type": "number", "exclusiveMinimum": 31}}}, {"a": 31.000001}),
    ({"properties": {"a": {"type": "string", "maxLength": 3}}}, {"a": "Ann"}),
    ({"properties": {"a": {"type": "string", "minLength": 11}}}, {"a": "Ann is 31xx"}),
    ({"properties": {"a": {"type": "string", "format": "date"}}}, {"a": "2026-01-01"}),
    (
        {"properties": {"a": {"$ref": "#/$defs/P"}}, "$defs": {"P": {"properties": {"b": WHOLE}}}},
        {"a": {"b": 31}},
    ),
    (
        {"properties": {"a": {"allOf": [{"properties": {"b": WHOLE}, "required": ["b"]}]}}},
        {"a": {"b": 31}},
    ),
    ({"properties": {"a": TEXT, "b": {**WHOLE, "default": 3}}, "required": ["a"]}, None),
    ({"properties": {"a": {"type": "object"}}}, {"a": {}}),
    ({"properties": {"a": {"$ref": "#/nowhere"}}}, {"a": "Ann is 31"}),
    ({"properties": {}, "required": ["a"]}, {"a": "Ann is 31"}),
]


@pytest.mark.parametrize(("schema", "wanted"), SCHEMAS)
def test_json_is_made_from_the_schema(said, schema, wanted):
    asked = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    made = json.loads(said(SUPER, "Ann is 31", response_format=asked))
    assert made == (wanted or {"a": "Ann is 31", "b": 31})


def test_recursive_schemas_end(said):
    node = {
        "type": "object",
        "properties": {
            "name": TEXT,
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["name", "children", "next"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    asked = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    assert json.loads(said(SUPER, "Ann", response_format=asked))["name"] == "Ann"


def test_json_objects_need_no_schema(said):
    made = json.loads(said(SUPER, "Ann", response_format={"type": "json_object"}))
    assert made == {"messages": 1, "text": "Ann"}
    assert "stand-in" in said(SUPER, "Ann", response_format={"type": "text"})


def test_a_queued_reply_comes_as_it_is(server, ask):
    server.reply(
        "Exactly this", reasoning="Because", finish_reason="content_filter", extra={"max": 1}
    )
    body = ask(SUPER, max_tokens=1, stop="this").json()
    choice = body["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Exactly this",
        "reasoning_content": "Because",
    }
    assert choice["finish_reason"] == "content_filter"
    assert body["max"] == 1
    assert body["usage"]["completion_tokens"] == 3
    assert "stand-in" in message(ask(SUPER))["content"]


def test_queued_tool_calls(server, ask):
    server.reply(
        tool_calls=[
            {"name": "a", "arguments": {"x": 1}},
            {"name": "b", "arguments": "{", "id": "7"},
        ],
        unchecked=True,
    )
    said = message(ask(KIMI))
    first, second = said["tool_calls"]
    assert first["id"] == "functions.a:0"
    assert json.loads(first["function"]["arguments"]) == {"x": 1}
    assert second == {"id": "7", "type": "function", "function": {"name": "b", "arguments": "{"}}
    assert said["content"] is None


def test_other_things_a_reply_may_say(server, ask):
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    logprobs = [{"token": "A", "logprob": -1.0}]
    server.reply(
        "A", usage=usage, logprobs=logprobs, model="x/y", message={"refusal": "No"}, times=2
    )
    body = ask(GEMMA).json()
    assert body["usage"] == usage
    assert body["model"] == "x/y"
    assert body["choices"][0]["logprobs"] == {"content": logprobs}
    assert body["choices"][0]["message"]["refusal"] == "No"
    assert ask(GEMMA).json()["model"] == "x/y"
    assert ask(GEMMA).json()["model"] == GEMMA


def test_a_refused_request_uses_no_reply_up(server, ask):
    server.reply("Kept")
    assert ask(KIMI, temperature=3).status_code == 400
    assert message(ask(KIMI))["content"] == "Kept"


ENDLESS = [
    {"$ref": "#"},
    {"allOf": [{"$ref": "#"}]},
    {"anyOf": [{"$ref": "#"}]},
    {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
    {"properties": {"a": True, "b": {"items": False, "type": "array"}}},
    {"anyOf": [True]},
    {"allOf": [True]},
    {"$ref": "#/a/b", "a": 1},
    {"properties": {"a": {"oneOf": [{"$ref": "#/properties/a"}]}}, "required": []},
]


@pytest.mark.parametrize("schema", ENDLESS)
def test_odd_schemas_have_some_answer(said, schema):
    asked = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    json.loads(said(SUPER, "Ann", response_format=asked))


def test_optional_properties_are_filled_from_the_text_alone(said):
    schema = {
        "type": "object",
        "properties": {
            "name": TEXT,
            "age": {"anyOf": [WHOLE, {"type": "null"}], "default": None},
            "unit": {"enum": ["years", "months"]},
            "other": {"type": "boolean"},
            "note": TEXT,
        },
        "required": ["name"],
    }
    asked = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    full = json.loads(said(SUPER, "'Ann' is 31 months, 'small'", response_format=asked))
    assert full == {"name": "Ann", "age": 31, "unit": "months", "note": "small"}
    assert json.loads(said(SUPER, "Ann", response_format=asked)) == {"name": "Ann"}
