"""The answer that the emulator makes up: what it understood, JSON of a schema, or a tool call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import Choice, ToolCall, ToolCallIds
from nvcf_emulator.answers.prompt_schema import prompt_schema
from nvcf_emulator.answers.schema_sample import SampleMaker
from nvcf_emulator.answers.tool_selection import forced, matching
from nvcf_emulator.validation.request import ParsedRequest

__all__ = ["made_up_choice"]

_WORD = re.compile(r"\w+")
_JUDGEMENTS = frozenset(
    [
        "no",
        "y",
        "n",
        "true",
        "false",
        "correct",
        "incorrect",
        "pass",
        "passed",
        "fail",
        "failed",
        "valid",
        "invalid",
    ]
)
"""Words that evaluators look for in an answer; a yes is one as a part of a word, too."""

_RATING = re.compile(r"\[\[[^][]*\]\]")
"""What some evaluators ask a model to write: `[[A]]`, `[[5]]`."""


def made_up_choice(request: ParsedRequest, ids: ToolCallIds, number: int) -> Choice:
    """Return what the emulator says by itself.

    Args:
        request: The request.
        ids: Makes the ids of tool calls.
        number: Which choice of the answer it is, from 0.
    """
    reasoning = _reasoning(request)
    calls = _calls(request, ids)
    if calls:
        return _limited(request, Choice(reasoning, None, calls, "tool_calls"))
    text = _text(request) + (f" This is choice {number + 1}." if number else "")
    content, stopped = _stopped(request, text)
    made = Choice(reasoning, tuple(tokens.split(content)), stop_reason=stopped)
    return _limited(request, made)


def _without_judgements(text: str) -> str:
    """Return a text that repeats somebody's words without any that could pass for a judgement.

    What looks for a YES in an answer, as evaluators do, must find none in one that is made up.
    """
    text = _RATING.sub("[[…]]", text)
    return _WORD.sub(lambda found: "…" if _is_judgement(found[0]) else found[0], text)


def _is_judgement(word: str) -> bool:
    return word.lower() in _JUDGEMENTS or "yes" in word.lower()


def _reasoning(request: ParsedRequest) -> tuple[str, ...]:
    if request.effort == "none":
        return ()
    thought = f"The conversation has {len(request.messages)} message(s)."
    if request.effort == "high":
        length = tokens.count(request.question)
        thought += f" The user's last text has {length} word(s). I will say what I understood."
    return tuple(tokens.split(thought)[: request.budget])


def _calls(request: ParsedRequest, ids: ToolCallIds) -> tuple[ToolCall, ...]:
    choice = request.body.get("tool_choice", "auto")
    if not request.tools or choice == "none":
        return ()
    if isinstance(choice, Mapping):
        named = choice["function"]["name"]
        chosen: list[Mapping[str, Any]] = [tool for tool in request.tools if tool["name"] == named]
    else:
        parallel = bool(request.body.get("parallel_tool_calls", True))
        asked = request.last.text if request.last.role == "user" else ""
        chosen = matching(request.tools, asked, parallel)
        if not chosen and choice == "required":
            chosen = [forced(request.tools, request.question, _called(request))]
    return tuple(_call(tool, request.question, ids) for tool in chosen)


def _called(request: ParsedRequest) -> set[str]:
    """Return the functions that were called since the user last spoke."""
    called: set[str] = set()
    for message in reversed(request.messages):
        if message.role == "user":
            break
        called |= {call["function"]["name"] for call in message.calls}
    return called


def _call(tool: Mapping[str, Any], text: str, ids: ToolCallIds) -> ToolCall:
    schema = tool.get("parameters", {"type": "object"})
    arguments = SampleMaker(text, schema).make({"type": "object", **schema})
    return ToolCall(ids.next(tool["name"]), tool["name"], _json_text(arguments))


def _text(request: ParsedRequest) -> str:
    wanted = request.body.get("response_format", {"type": "text"})
    if wanted["type"] == "json_object":
        return _json_text(
            {"messages": len(request.messages), "text": _without_judgements(request.question)}
        )
    if wanted["type"] == "json_schema":
        schema = wanted["json_schema"]["schema"]
        return _json_text(SampleMaker(request.question, schema).make(schema))
    asked = _answer_to_prompt_schema(request)
    if asked is not None:
        return asked
    if request.last.role == "tool":
        return _results(request)
    return _understood(request)


def _answer_to_prompt_schema(request: ParsedRequest) -> str | None:
    """Return an object of the schema that stands in the prompt; None where there is none."""
    found = prompt_schema(request.question)
    if found:
        schema, text = found
        return _json_text(SampleMaker(text, schema).make(schema))
    for message in request.messages:
        found = prompt_schema(message.text) if message.role == "system" else None
        if found:
            return _json_text(SampleMaker(request.question, found[0]).make(found[0]))
    return None


def _results(request: ParsedRequest) -> str:
    names = {
        call["id"]: call["function"]["name"]
        for message in request.messages
        for call in message.calls
    }
    results: list[str] = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        name = names.get(message.raw["tool_call_id"], "the tool")
        results.append(f"{name} answered: {_without_judgements(message.text)}")
    return "\n".join(reversed(results))


def _understood(request: ParsedRequest) -> str:
    said = [
        f"I am a stand-in, not a model. I read {len(request.messages)} message(s).",
        f'The last text of the user is: "{_without_judgements(request.question)}".',
    ]
    media = [item for message in request.messages for item in message.media]
    if media:
        listed = "; ".join(f"{place}. {item}" for place, item in enumerate(media, start=1))
        said.append(f"Media: {listed}.")
    return " ".join(said)


def _stopped(request: ParsedRequest, text: str) -> tuple[str, str | None]:
    """Return `text` up to the first stop sequence, and that sequence."""
    stop = request.body.get("stop", ())
    sequences = [stop] if isinstance(stop, str) else stop
    found = [(text.find(sequence), sequence) for sequence in sequences if sequence in text]
    if not found:
        return text, None
    position, sequence = min(found)
    return text[:position], sequence


def _limited(request: ParsedRequest, choice: Choice) -> Choice:
    """Return `choice` cut to the tokens that were allowed; reasoning counts first."""
    if request.most_tokens is None:
        return choice
    left = request.most_tokens
    reasoning = choice.reasoning[:left]
    left -= len(reasoning)
    content = None if choice.content is None else choice.content[:left]
    left -= len(content or ())
    calls: list[ToolCall] = []
    for call in choice.calls:
        arguments = tokens.split(call.arguments)
        if left > 0:
            calls.append(ToolCall(call.id, call.name, "".join(arguments[:left])))
        left -= len(arguments)
    whole = (reasoning, content or ()) == (choice.reasoning, choice.content or ()) and left >= 0
    finish = choice.finish_reason if whole else "length"
    return Choice(reasoning, content, tuple(calls), finish, choice.stop_reason if whole else None)


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
