"""Every number and field of every model's documentation, over the socket."""

from __future__ import annotations

import pytest

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ALL = [GEMMA, NANO, PALI, KIMI, SUPER]

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
INT64 = 2**63

# model, field, its least and its greatest value, and the step beyond them
BOUNDS = [
    (GEMMA, "max_tokens", 1, 8192, 1),
    (GEMMA, "temperature", 0, 2, 0.01),
    (GEMMA, "top_p", 0, 1, 0.01),
    (GEMMA, "seed", -INT64, INT64 - 1, 1),
    (GEMMA, "frequency_penalty", -2, 2, 0.01),
    (GEMMA, "presence_penalty", -2, 2, 0.01),
    (NANO, "max_tokens", 1, 65536, 1),
    (NANO, "reasoning_budget", -1, 32768, 1),
    (NANO, "temperature", 0, 2, 0.01),
    (NANO, "top_p", 0, 1, 0.01),
    (NANO, "seed", -INT64, INT64 - 1, 1),
    (PALI, "max_tokens", 1, 1024, 1),
    (PALI, "temperature", 0, 1, 0.01),
    (PALI, "top_p", 0, 1, 0.01),
    (KIMI, "max_tokens", 1, 65536, 1),
    (KIMI, "temperature", 0, 1, 0.01),
    (KIMI, "top_p", 0, 1, 0.01),
    (KIMI, "seed", 1 - 2**53, 2**53 - 1, 1),
    (SUPER, "max_tokens", 1, 32768, 1),
    (SUPER, "reasoning_budget", -1, 32768, 1),
    (SUPER, "temperature", 0, 1, 0.01),
    (SUPER, "top_p", 0, 1, 0.01),
    (SUPER, "seed", 0, 2**64 - 1, 1),
    (SUPER, "n", 1, 128, 1),
]

# What a model documents beside numbers, with a value that it allows and one that it does not.
OTHERS = [
    (GEMMA, "stop", "end", ""),
    (GEMMA, "stop", ["a", "b"], ["a", 1]),
    (NANO, "chat_template_kwargs", {"enable_thinking": False}, {"enable_thinking": "no"}),
    (NANO, "chat_template_kwargs", {"reasoning_budget": -1}, {"reasoning_budget": -2}),
    (NANO, "chat_template_kwargs", {"other": 1}, "thinking"),
    (KIMI, "chat_template_kwargs", {"thinking": False}, {"thinking": 1}),
    (SUPER, "chat_template_kwargs", {"low_effort": True}, {"low_effort": "yes"}),
    (SUPER, "reasoning_effort", "none", "medium"),
    (SUPER, "reasoning_effort", "low", 1),
    (SUPER, "reasoning_effort", "high", None),
    (SUPER, "stop", ["a"], 3),
    (SUPER, "logprobs", True, "yes"),
    (SUPER, "user", "somebody", 7),
    (SUPER, "logit_bias", {"50256": -100}, []),
    (SUPER, "response_format", {"type": "json_object"}, {"type": "yaml"}),
    (
        SUPER,
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        {"type": "json_schema", "json_schema": {"schema": {}}},
    ),
    (KIMI, "tools", [WEATHER], []),
    (SUPER, "tools", [WEATHER], [WEATHER, WEATHER]),
]

# Fields that other models document and this one does not.
MISSING = [
    (GEMMA, ["tools", "tool_choice", "stream_options", "n", "response_format", "thinking"]),
    (GEMMA, ["chat_template_kwargs", "reasoning_budget", "reasoning_effort", "logprobs"]),
    (NANO, ["stop", "tools", "stream_options", "frequency_penalty", "reasoning_effort"]),
    (PALI, ["seed", "stop", "tools", "model", "frequency_penalty", "chat_template_kwargs"]),
    (KIMI, ["stop", "frequency_penalty", "presence_penalty", "response_format", "n"]),
    (KIMI, ["parallel_tool_calls", "logprobs", "reasoning_effort", "reasoning_budget", "user"]),
    (SUPER, ["top_k", "guided_json", "nvext", "repetition_penalty", "frequency_penalty"]),
]


@pytest.mark.parametrize(("model", "field", "low", "high", "step"), BOUNDS)
def test_bounds_are_the_model_s(ask, model, field, low, high, step):
    for value in (low, high):
        assert ask(model, **{field: value}).status_code == 200, value
    for value in (low - step, high + step):
        response = ask(model, **{field: value})
        assert response.status_code in (400, 422), (value, response.text)
        assert field in response.text


@pytest.mark.parametrize(("model", "field", "low", "high", "step"), BOUNDS)
@pytest.mark.parametrize("value", [True, "1", None, [], {}])
def test_numbers_are_numbers(ask, model, field, low, high, step, value):
    response = ask(model, **{field: value})
    assert response.status_code in (400, 422)
    assert field in response.text


@pytest.mark.parametrize(("model", "field"), [(row[0], row[1]) for row in BOUNDS if row[4] == 1])
def test_integers_have_no_fraction(ask, model, field):
    assert ask(model, **{field: 1.5}).status_code in (400, 422)


@pytest.mark.parametrize(("model", "field", "good", "bad"), OTHERS)
def test_other_fields_are_the_model_s(ask, model, field, good, bad):
    accepted = ask(model, **{field: good})
    assert accepted.status_code == 200, accepted.text
    refused = ask(model, **{field: bad})
    assert refused.status_code in (400, 422), refused.text
    assert field in refused.text


@pytest.mark.parametrize(
    ("model", "field"), [(model, field) for model, fields in MISSING for field in fields]
)
def test_undocumented_fields_are_refused(ask, model, field):
    response = ask(model, **{field: 1})
    assert response.status_code == 400
    assert response.json() == {
        "error": {
            "message": f"Validation: Unsupported parameter(s): `{field}`",
            "type": "Bad Request",
            "code": 400,
        }
    }


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("value", ["true", 1, None])
def test_stream_is_a_boolean(ask, model, value):
    assert ask(model, stream=value).status_code in (400, 422)


@pytest.mark.parametrize(("model", "streams"), [(model, model == SUPER) for model in ALL])
def test_stream_has_the_model_s_default(server, client, model, streams):
    path = "/vlm/google/paligemma" if model == PALI else "/chat/completions"
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    if model != PALI:
        body["model"] = model
    response = client.post(server.base_url + path, json=body)
    wanted = "text/event-stream" if streams else "application/json"
    assert response.headers["content-type"] == wanted


@pytest.mark.parametrize("model", ALL)
def test_the_body_decides_not_the_accept_header(ask, model):
    headers = {"accept": "text/event-stream"}
    assert ask(model, headers=headers).headers["content-type"] == "application/json"


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("messages", [None, [], {}, "Hello", ["Hello"]])
def test_messages_are_a_list_of_objects(post, model, messages):
    response = post(model, {} if messages is None else {"messages": messages})
    assert response.status_code in (400, 422)
    assert "messages" in response.text


SHAPES = {
    GEMMA: lambda body: body["detail"][0]["loc"] == ["body", "max_tokens"],
    NANO: lambda body: body["error"].startswith("max_tokens: "),
    PALI: lambda body: body["status"] == 400 and body["detail"].startswith("max_tokens: "),
    KIMI: lambda body: body["object"] == "error" and body["param"] == "max_tokens",
    SUPER: lambda body: body["error"]["param"] == "max_tokens",
}


@pytest.mark.parametrize("model", ALL)
def test_each_model_says_no_in_its_own_shape(ask, model):
    response = ask(model, max_tokens=0)
    assert response.status_code == (422 if model == GEMMA else 400)
    assert SHAPES[model](response.json()), response.text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[]",
        b'{"model": ',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"\xff\xfe{}",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_bodies_that_are_no_json_object(server, client, raw):
    response = client.post(f"{server.base_url}/chat/completions", content=raw)
    assert response.status_code in (400, 404)


def test_surrogate_pairs_are_text(server, client):
    raw = b'{"model":"%s","messages":[{"role":"user","content":"\\ud83d\\ude00"}]}' % KIMI.encode()
    response = client.post(f"{server.base_url}/chat/completions", content=raw)
    assert "\U0001f600" in response.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("model", "window"), [(GEMMA, 32768), (PALI, 2048), (NANO, 262144), (SUPER, 262144)]
)
def test_the_context_window_is_the_row_s(ask, model, window):
    assert ask(model, "word " * (window - 10)).status_code == 200
    response = ask(model, "word " * (window + 1))
    assert response.status_code == 400
    assert f"maximum context length is {window} tokens. However, you requested" in response.text


def test_max_tokens_counts_for_the_window(ask):
    response = ask(GEMMA, "word " * 32000, max_tokens=8192)
    assert response.status_code == 400
    assert "(32001 in the messages, 8192 in the completion)" in response.text


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": False, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"stream": True, "stream_options": {"other": True}},
        {"stream": True, "stream_options": []},
    ],
)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_stream_options_are_checked(ask, model, fields):
    assert ask(model, **fields).status_code == 400


def test_top_logprobs_need_logprobs(ask):
    assert ask(SUPER, top_logprobs=2).status_code == 400
    assert ask(SUPER, top_logprobs=2, logprobs=True).status_code == 200
    assert ask(SUPER, top_logprobs=21, logprobs=True).status_code == 400


BAD_TOOLS = [
    "weather",
    ["weather"],
    [{}],
    [{"type": "function"}],
    [{"type": "other", "function": {"name": "a"}}],
    [{"type": "function", "function": {}}],
    [{"type": "function", "function": {"name": "with space"}}],
    [{"type": "function", "function": {"name": "dotted.name"}}],
    [{"type": "function", "function": {"name": "a" * 65}}],
    [{"type": "function", "function": {"name": ""}}],
    [{"type": "function", "function": {"name": "a", "other": 1}}],
    [{"type": "function", "function": {"name": "a", "description": 1}}],
    [{"type": "function", "function": {"name": "a", "strict": "yes"}}],
    [{"type": "function", "function": {"name": "a", "parameters": []}}],
    [{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}],
    [{"type": "function", "function": {"name": "a"}, "other": 1}],
]


@pytest.mark.parametrize("tools", BAD_TOOLS)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_malformed_tools_are_refused(ask, model, tools):
    response = ask(model, tools=tools)
    assert response.status_code == 400
    assert "tools" in response.text


@pytest.mark.parametrize(
    "choice",
    [
        "any",
        "weather",
        True,
        None,
        {"type": "function"},
        {"type": "function", "function": {"name": "other"}},
        {"type": "function", "function": {"name": "weather", "x": 1}},
        {"type": "tool", "function": {"name": "weather"}},
        {"function": {"name": "weather"}},
    ],
)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_malformed_tool_choices_are_refused(ask, model, choice):
    response = ask(model, tools=[WEATHER], tool_choice=choice)
    assert response.status_code == 400
    assert "tool_choice" in response.text


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_a_tool_choice_needs_tools(ask, model, choice):
    assert ask(model, tools=[WEATHER], tool_choice=choice).status_code == 200
    assert ask(model, tool_choice=choice).status_code == 400


BAD_SCHEMAS = [
    {"type": "text"},
    {"type": ["string", 1]},
    {"type": {}},
    {"enum": []},
    {"enum": "a"},
    {"required": "a"},
    {"required": [1]},
    {"$ref": 1},
    {"properties": []},
    {"properties": {"a": "string"}},
    {"properties": {"a": {"type": "strin"}}},
    {"items": []},
    {"anyOf": []},
    {"anyOf": {}},
    {"allOf": [1]},
    {"minLength": "1"},
    {"maximum": "1"},
    {"multipleOf": 0},
    {"$defs": {"a": None}},
]


@pytest.mark.parametrize("inner", BAD_SCHEMAS)
def test_malformed_schemas_are_refused(ask, inner):
    schema = {"type": "object", "properties": {"a": inner}}
    asked = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    response = ask(SUPER, response_format=asked)
    assert response.status_code == 400
    assert "Invalid schema" in response.text
    tool = {"type": "function", "function": {"name": "a", "parameters": schema}}
    response = ask(KIMI, tools=[tool])
    assert response.status_code == 400
    assert "tools[0].function.parameters.properties.a" in response.text


def test_deep_schemas_are_refused(ask):
    schema = {"type": "object"}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}}
    tool = {"type": "function", "function": {"name": "a", "parameters": schema}}
    assert ask(KIMI, tools=[tool]).status_code == 400
