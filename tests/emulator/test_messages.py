"""Roles, keys, order and tool calls of messages, as each model has them."""

from __future__ import annotations

import pytest

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"
ALL = [GEMMA, NANO, PALI, KIMI, SUPER]

USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be kind"}
CONTEXT = {"role": "context", "content": "It rains"}
ANSWER = {"role": "assistant", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "2", "tool_call_id": "c1"}

ROLES = {
    GEMMA: {"system", "user", "assistant"},
    NANO: {"system", "user", "assistant"},
    PALI: {"user"},
    KIMI: {"system", "user", "assistant", "tool"},
    SUPER: {"system", "context", "user", "assistant", "tool"},
}


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(
    "role", ["system", "user", "assistant", "tool", "context", "developer", "", None, 1]
)
def test_roles_are_the_model_s(post, model, role):
    other = {"tool_call_id": "c1"} if role == "tool" else {}
    message = {"role": role, "content": "Hi", **other}
    before = {"assistant": [USER], "tool": [USER, CALLING]}.get(role, [])
    known = role in ROLES[model]
    after = [USER] if role in ("system", "context", "assistant") and known else []
    messages = [*before, message, *after] if known else [message]
    response = post(model, {"messages": messages})
    assert (response.status_code == 200) == known, response.text
    assert known or "role" in response.text


@pytest.mark.parametrize("model", ALL)
def test_only_one_message_to_paligemma(post, model):
    response = post(model, {"messages": [USER, ANSWER, USER]})
    assert response.status_code == (400 if model == PALI else 200)


KEYS = [
    *[(model, {**USER, "name": "a"}, model in (KIMI, SUPER)) for model in ALL],
    *[(model, {**USER, "cache_control": {}}, False) for model in ALL],
    (KIMI, {**USER, "name": 1}, False),
    (KIMI, {**USER, "reasoning_content": "hm"}, False),
    (KIMI, {**USER, "tool_calls": [CALL]}, False),
    (KIMI, {**USER, "tool_call_id": "c1"}, False),
]


@pytest.mark.parametrize(("model", "message", "good"), KEYS)
def test_message_keys_are_the_model_s(post, model, message, good):
    assert (post(model, {"messages": [message]}).status_code == 200) == good


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("reasoning", ["hm", "", None])
def test_reasoning_goes_back_to_kimi_alone(post, model, reasoning):
    answer = {**ANSWER, "reasoning_content": reasoning}
    response = post(model, {"messages": [USER, answer, USER]})
    assert (response.status_code == 200) == (model == KIMI and reasoning is not None)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("role", ["system", "assistant"])
def test_lists_are_for_the_user(post, model, role):
    listed = {"role": role, "content": [{"type": "text", "text": "Hi"}]}
    messages = [listed, USER] if role == "system" else [USER, listed, USER]
    response = post(model, {"messages": messages})
    assert (response.status_code == 200) == (model == SUPER)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("content", [None, 1, {}, [], ["Hi"], [{"type": "text"}], [{"text": "Hi"}]])
def test_content_is_text_or_parts(ask, model, content):
    response = ask(model, content)
    assert response.status_code in (400, 422)
    assert "content" in response.text


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(
    "part", [{"type": "text", "text": 1}, {"type": "text", "text": "", "x": 1}]
)
def test_text_parts_have_a_text_alone(ask, model, part):
    assert ask(model, [part]).status_code in (400, 422)


ORDERS = [
    ([USER], True),
    ([SYSTEM, USER], True),
    ([USER, ANSWER, USER], True),
    ([CONTEXT, USER], True),
    ([SYSTEM, CONTEXT, CONTEXT, USER, ANSWER, USER], True),
    ([USER, CALLING, RESULT], True),
    ([USER, CALLING, RESULT, ANSWER, USER], True),
    ([USER, CALLING, RESULT, USER], True),
    ([USER, CALLING, RESULT, CALLING, RESULT], True),
    ([SYSTEM], False),
    ([USER, SYSTEM], False),
    ([SYSTEM, SYSTEM, USER], False),
    ([USER, USER], False),
    ([USER, ANSWER], False),
    ([ANSWER, USER], False),
    ([USER, ANSWER, ANSWER, USER], False),
    ([USER, CONTEXT, USER], False),
    ([USER, ANSWER, RESULT], False),
    ([USER, CALLING], False),
    ([USER, CALLING, CALLING, RESULT], False),
]


@pytest.mark.parametrize(("messages", "good"), ORDERS)
def test_super_wants_its_order(post, messages, good):
    response = post(SUPER, {"messages": messages})
    assert (response.status_code == 200) == good, response.text


@pytest.mark.parametrize("messages", [[USER, USER], [USER, SYSTEM], [ANSWER, USER], [USER, ANSWER]])
@pytest.mark.parametrize("model", [GEMMA, NANO, KIMI])
def test_other_models_name_no_order(post, model, messages):
    assert post(model, {"messages": messages}).status_code == 200


BAD_CALLS = [
    None,
    [],
    {},
    ["add"],
    [{**CALL, "id": ""}],
    [{**CALL, "id": 1}],
    [{**CALL, "type": "other"}],
    [{**CALL, "index": 0}],
    [{"id": "c1", "type": "function"}],
    [{**CALL, "function": {"name": "a b", "arguments": "{}"}}],
    [{**CALL, "function": {"name": "add"}}],
    [{**CALL, "function": {"name": "add", "arguments": {"a": 1}}}],
    [{**CALL, "function": {"name": "add", "arguments": '{"a": '}}],
    [{**CALL, "function": {"name": "add", "arguments": ""}}],
    [CALL, CALL],
]


@pytest.mark.parametrize("calls", BAD_CALLS)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_malformed_tool_calls_are_refused(post, model, calls):
    messages = [USER, {"role": "assistant", "content": "", "tool_calls": calls}, RESULT]
    response = post(model, {"messages": messages})
    assert response.status_code == 400
    assert "tool_calls" in response.text


@pytest.mark.parametrize(
    "result",
    [
        {"role": "tool", "content": "2"},
        {"role": "tool", "content": "2", "tool_call_id": ""},
        {"role": "tool", "content": "2", "tool_call_id": 1},
        {"role": "tool", "content": "2", "tool_call_id": "other"},
    ],
)
@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_tool_results_name_a_call(post, model, result):
    response = post(model, {"messages": [USER, CALLING, result]})
    assert response.status_code == 400
    assert "tool_call_id" in response.text


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_content_may_be_missing_only_beside_calls(post, model):
    calling = {"role": "assistant", "tool_calls": [CALL]}
    assert post(model, {"messages": [USER, calling, RESULT]}).status_code == 200
    empty = {"role": "assistant", "content": None}
    assert post(model, {"messages": [USER, empty, USER]}).status_code == 400


def test_kimi_may_insist_on_its_reasoning(server, post):
    server.require_reasoning = True
    bare = {"messages": [USER, CALLING, RESULT]}
    refused = post(KIMI, bare)
    assert refused.status_code == 400
    assert "reasoning_content is missing" in refused.json()["message"]
    kept = {"messages": [USER, {**CALLING, "reasoning_content": "hm"}, RESULT]}
    assert post(KIMI, kept).status_code == 200
    assert post(KIMI, {**bare, "chat_template_kwargs": {"thinking": False}}).status_code == 200
    assert post(SUPER, bare).status_code == 200
