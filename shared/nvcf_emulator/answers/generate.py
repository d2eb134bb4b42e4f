"""What the stand-in answers: what it understood, a tool call, or what a test queued."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import Answer, Call, Choice, logprob
from nvcf_emulator.answers.schema_sample import Maker
from nvcf_emulator.answers.tool_selection import forced, matching
from nvcf_emulator.script.script import Reply
from nvcf_emulator.validation.request import Ask


def answer(ask: Ask, queued: Reply | None, numbered: bool | None) -> Answer:
    """Return the answer to `ask`.

    Args:
        ask: The request.
        queued: What a test said it should be; None to make one up.
        numbered: Whether ids of tool calls look like `functions.name:0`; None for the model's
            own way.
    """
    ids = _Ids(ask, numbered)
    if queued:
        choices = [_told(ask, queued, ids)]
    else:
        wanted = int(ask.body.get("n", 1))
        choices = [_made_up(ask, ids, number) for number in range(wanted)]
    named = str(ask.body.get("model", ask.page.model))
    options = ask.body.get("stream_options", {})
    return Answer(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        model=queued.model if queued and queued.model else named,
        created=int(time.time()),
        choices=tuple(choices),
        usage=_usage(ask, choices) if not queued or queued.usage is None else queued.usage,
        usage_asked=bool(options.get("include_usage")),
        extra=queued.extra if queued else {},
    )


class _Ids:
    """Makes ids of tool calls, in the model's own way."""

    def __init__(self, ask: Ask, numbered: bool | None) -> None:
        own = ask.page.call_ids == "numbered"
        self._numbered = own if numbered is None else numbered
        self._count = sum(len(message.calls) for message in ask.messages)

    def next(self, name: str) -> str:
        """Return an id for a call of the function `name`."""
        self._count += 1
        if self._numbered:
            return f"functions.{name}:{self._count - 1}"
        return f"chatcmpl-tool-{uuid.uuid4().hex}"


def _told(ask: Ask, queued: Reply, ids: _Ids) -> Choice:
    calls = tuple(
        Call(
            id=str(call["id"]) if "id" in call else ids.next(str(call["name"])),
            name=str(call["name"]),
            arguments=_told_arguments(call.get("arguments", {})),
        )
        for call in queued.tool_calls
    )
    content = None if queued.text is None and calls else _pieces(queued.text)
    logprobs = None if queued.logprobs is None else tuple(queued.logprobs)
    if logprobs is None and content and ask.body.get("logprobs"):
        logprobs = _logprobs(ask, content)
    return Choice(
        reasoning=_pieces(queued.reasoning),
        content=content,
        calls=calls,
        finish_reason=queued.finish_reason or ("tool_calls" if calls else "stop"),
        logprobs=logprobs,
        message=queued.message,
    )


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _told_arguments(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else _json_text(arguments)


def _pieces(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return tuple(tokens.split(text) if isinstance(text, str) else text or ())


def _made_up(ask: Ask, ids: _Ids, number: int) -> Choice:
    reasoning = _reasoning(ask)
    calls = _calls(ask, ids)
    if calls:
        return _limited(ask, Choice(reasoning, None, calls, "tool_calls"))
    text = _text(ask) + (f" This is choice {number + 1}." if number else "")
    content, stopped = _stopped(ask, text)
    made = Choice(reasoning, tuple(tokens.split(content)), stop_reason=stopped)
    made = _limited(ask, made)
    if not ask.body.get("logprobs"):
        return made
    return Choice(
        made.reasoning,
        made.content,
        (),
        made.finish_reason,
        made.stop_reason,
        _logprobs(ask, made.content or ()),
    )


def _reasoning(ask: Ask) -> tuple[str, ...]:
    if ask.effort == "none":
        return ()
    thought = f"The conversation has {len(ask.messages)} message(s)."
    if ask.effort == "high":
        length = tokens.count(ask.question)
        thought += f" The user's last text has {length} word(s). I will say what I understood."
    return tuple(tokens.split(thought)[: ask.budget])


def _logprobs(ask: Ask, content: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    alternatives = int(ask.body.get("top_logprobs", 0))
    return tuple(logprob(token, alternatives) for token in content)


def _calls(ask: Ask, ids: _Ids) -> tuple[Call, ...]:
    choice = ask.body.get("tool_choice", "auto")
    if not ask.tools or choice == "none":
        return ()
    if isinstance(choice, Mapping):
        named = choice["function"]["name"]
        chosen: list[Mapping[str, Any]] = [tool for tool in ask.tools if tool["name"] == named]
    else:
        parallel = bool(ask.body.get("parallel_tool_calls", True))
        asked = ask.last.text if ask.last.role == "user" else ""
        chosen = matching(ask.tools, asked, parallel)
        if not chosen and choice == "required":
            chosen = [forced(ask.tools, ask.question, _called(ask))]
    return tuple(_call(tool, ask.question, ids) for tool in chosen)


def _called(ask: Ask) -> set[str]:
    """Return the functions that were called since the user last spoke."""
    called: set[str] = set()
    for message in reversed(ask.messages):
        if message.role == "user":
            break
        called |= {call["function"]["name"] for call in message.calls}
    return called


def _call(tool: Mapping[str, Any], text: str, ids: _Ids) -> Call:
    schema = tool.get("parameters", {"type": "object"})
    arguments = Maker(text, schema).make({"type": "object", **schema})
    return Call(ids.next(tool["name"]), tool["name"], _json_text(arguments))


def _text(ask: Ask) -> str:
    wanted = ask.body.get("response_format", {"type": "text"})
    if wanted["type"] == "json_object":
        return _json_text({"messages": len(ask.messages), "text": ask.question})
    if wanted["type"] == "json_schema":
        schema = wanted["json_schema"]["schema"]
        return _json_text(Maker(ask.question, schema).make(schema))
    if ask.last.role == "tool":
        return _results(ask)
    return _understood(ask)


def _results(ask: Ask) -> str:
    names = {
        call["id"]: call["function"]["name"] for message in ask.messages for call in message.calls
    }
    results: list[str] = []
    for message in reversed(ask.messages):
        if message.role != "tool":
            break
        name = names.get(message.raw["tool_call_id"], "the tool")
        results.append(f"{name} answered: {message.text}")
    return "\n".join(reversed(results))


def _understood(ask: Ask) -> str:
    said = [
        f"I am a stand-in, not a model. I read {len(ask.messages)} message(s).",
        f'The last text of the user is: "{ask.question}".',
    ]
    media = [item for message in ask.messages for item in message.media]
    if media:
        listed = "; ".join(f"{place}. {item}" for place, item in enumerate(media, start=1))
        said.append(f"Media: {listed}.")
    return " ".join(said)


def _stopped(ask: Ask, text: str) -> tuple[str, str | None]:
    """Return `text` up to the first stop sequence, and that sequence."""
    stop = ask.body.get("stop", ())
    sequences = [stop] if isinstance(stop, str) else stop
    found = [(text.find(sequence), sequence) for sequence in sequences if sequence in text]
    if not found:
        return text, None
    position, sequence = min(found)
    return text[:position], sequence


def _limited(ask: Ask, choice: Choice) -> Choice:
    """Return `choice` cut to the tokens that were allowed; reasoning counts first."""
    if ask.most_tokens is None:
        return choice
    left = ask.most_tokens
    reasoning = choice.reasoning[:left]
    left -= len(reasoning)
    content = None if choice.content is None else choice.content[:left]
    left -= len(content or ())
    calls: list[Call] = []
    for call in choice.calls:
        arguments = tokens.split(call.arguments)
        if left > 0:
            calls.append(Call(call.id, call.name, "".join(arguments[:left])))
        left -= len(arguments)
    whole = (reasoning, content or ()) == (choice.reasoning, choice.content or ()) and left >= 0
    finish = choice.finish_reason if whole else "length"
    return Choice(reasoning, content, tuple(calls), finish, choice.stop_reason if whole else None)


def _usage(ask: Ask, choices: Sequence[Choice]) -> dict[str, Any]:
    reasoning = sum(len(choice.reasoning) for choice in choices)
    completion = reasoning + sum(len(choice.content or ()) for choice in choices)
    completion += sum(tokens.count(call.arguments) for choice in choices for call in choice.calls)
    sounds = [item for message in ask.messages for item in message.media if item.kind == "audio"]
    prompt: dict[str, int] = {"cached_tokens": 0}
    if sounds:
        prompt["audio_tokens"] = tokens.MEDIUM * len(sounds)
    return {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": ask.prompt_tokens + completion,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
