"""What the emulator says by itself: nothing that could pass for a judgement, and JSON where asked."""

from __future__ import annotations

import json
import re

import pytest

GEMMA = "google/gemma-3n-e2b-it"
KIMI = "moonshotai/kimi-k2.6"
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}

JUDGEMENTS = r"\b(no|[yn]|true|false|(in)?correct|pass(ed)?|fail(ed)?|(in)?valid)\b|\[\[\w"

ASKED = [
    "Is the context supported? Answer YES or NO.",
    "Answer yes/no: was it (No) \"true\" or 'False'?",
    "Yes! yesterday's EYES, Reyes, true-false",
    "no",
    "Y or N?",
    "GRADE: CORRECT or INCORRECT here",
    "Verdict: PASS, FAIL, passed or failed",
    "Is it valid or invalid?",
    "Rate it: [[A]], [[B]] or [[5]]",
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("model", [GEMMA, KIMI])
def test_no_judgement_can_be_read_out_of_it(ask, sse, model, asked, stream):
    response = ask(model, asked, stream=stream)
    if stream:
        found = sse.gathered(sse.events(response.text))
        text, reasoning = found.text, found.reasoning
    else:
        said = response.json()["choices"][0]["message"]
        text, reasoning = said["content"], said.get("reasoning_content") or ""
    for part in (text, reasoning):
        assert "yes" not in part.lower()
        assert not re.search(JUDGEMENTS, part, re.IGNORECASE)


def test_the_rest_of_the_words_is_repeated(said):
    text = said(GEMMA, "Know nothing of Norway? Answer YES or NO.")
    assert '"Know nothing of Norway? Answer … or …."' in text


@pytest.mark.parametrize("letter", ["x", "{", "<", '"', " ", "1"])
@pytest.mark.timeout(20)
def test_a_long_text_takes_no_longer_than_its_length(said, letter):
    text = letter * 1_000_000
    assert text in said(KIMI, text)


def test_a_tool_s_judgement_is_not_repeated(post):
    call = {"id": "c1", "type": "function", "function": {"name": "is_open", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Is it open?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "True, until 9", "tool_call_id": "c1"},
    ]
    response = post(KIMI, {"messages": messages}).json()
    assert response["choices"][0]["message"]["content"] == "is_open answered: …, until 9"


def test_the_schema_of_a_system_message(post):
    system = f"Answer with JSON alone. It must fit this JSON schema:\n{json.dumps(CITY)}"
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": "'Rome' has 2800000 people."},
    ]
    text = post(GEMMA, {"messages": messages}).json()["choices"][0]["message"]["content"]
    assert json.loads(text) == {"name": "Rome", "people": 2800000}


EXAMPLE = {"properties": {"foo": {"type": "array"}}, "required": ["foo"]}
PROMPTS = [
    "'Rome' has 7 people.\n\nHere's a JSON schema to follow:\n{schema}\n\nOutput a valid object.",
    "'Rome' has 7 people. As an example, for the schema {example} the object is fine. "
    "Here is the output schema:\n```\n{schema}\n```",
]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("model", [GEMMA, KIMI])
def test_the_schema_of_a_question(said, model, prompt):
    asked = prompt.replace("{schema}", json.dumps(CITY)).replace("{example}", json.dumps(EXAMPLE))
    assert json.loads(said(model, asked)) == {"name": "Rome", "people": 7}


@pytest.mark.parametrize(
    "text",
    [
        f"Tool Name: city\nTool Args: {json.dumps(CITY)}",
        f"{'json ' * 3}{'filler ' * 60}{json.dumps(CITY)}",
        'This JSON is data: {"properties": 3} {"items": [1]}',
        'A schema that is cut: {"properties": {"a": {',
        "{" * 5000 + ' schema "properties" ',
    ],
)
def test_what_is_not_asked_for(said, text):
    assert said(GEMMA, text).startswith("I am a stand-in")


def test_an_array_may_be_asked_for(said):
    schema = {"type": "array", "items": {"type": "integer"}}
    assert json.loads(said(GEMMA, f"4 numbers, as JSON of {json.dumps(schema)}")) == [4]
