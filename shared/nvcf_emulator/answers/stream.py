"""An answer in its form on the wire: one JSON object, or the events of a stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import Answer, Call, Choice
from nvcf_emulator.answers.http_response import Event, pieces
from nvcf_emulator.script.script import ErrorInStream
from nvcf_emulator.script.shapes import Form
from nvcf_emulator.specs.rejections import as_json

_AWKWARD = "line\u2028separator, caf\u00e9, \u65e5\u672c, \U0001f600"
_UNKNOWN: Mapping[str, Any] = {"nvext": {"worker": 7, "timing": {"decode": 0.5}}, "service": None}
_INSIDE_CHARACTER = re.compile(rb"[^\xc2-\xf4]*[\xc2-\xf4]|[^\xc2-\xf4]+")
_LINE_ENDS = re.compile(rb"[^\r]*\r|[^\r]+")
_SMALL = 7

Delta = dict[str, Any]


def whole(answer: Answer, form: Form) -> dict[str, Any]:
    """Return `answer` as the body of a whole reply."""
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [
            _whole_choice(index, choice, form) for index, choice in enumerate(answer.choices)
        ],
        "usage": dict(answer.usage),
        **answer.extra,
    }
    if form.unknown_fields:
        body |= _UNKNOWN
    left_out = {"object", "created", "model", "usage"} if form.bare else set()
    if form.usage == "none":
        left_out.add("usage")
    return {key: value for key, value in body.items() if key not in left_out}


def _whole_choice(index: int, choice: Choice, form: Form) -> dict[str, Any]:
    choice = _prepared(choice, form)
    content = None if choice.content is None else "".join(choice.content)
    message: dict[str, Any] = {"role": "assistant", "content": content, **choice.message}
    for name in form.reasoning:
        if choice.reasoning:
            message[name] = "".join(choice.reasoning)
    if choice.calls:
        message["tool_calls"] = [_whole_call(None, call, form) for call in choice.calls]
    said: dict[str, Any] = {
        "index": index,
        "message": message,
        "finish_reason": choice.finish_reason,
    }
    if choice.stop_reason is not None:
        said["stop_reason"] = choice.stop_reason
    if choice.logprobs is not None:
        said["logprobs"] = {"content": list(choice.logprobs)}
    return said


def _prepared(choice: Choice, form: Form) -> Choice:
    """Return `choice` with what the form changes in the answer itself."""
    content = choice.content
    if choice.reasoning and not form.reasoning:
        content = ("<think>", *choice.reasoning, "</think>", *(content or ()))
        choice = replace(choice, reasoning=())
    if choice.calls and form.newlines:
        content = (*(content or ()), "\n\n")
    finish = choice.finish_reason
    if choice.calls and finish == "tool_calls":
        finish = form.finish
    return replace(choice, content=content, finish_reason=finish)


def _whole_call(index: int | None, call: Call, form: Form) -> dict[str, Any]:
    arguments: Any = call.arguments
    if form.arguments == "object":
        arguments = _parsed(call.arguments)
    said: dict[str, Any] = {} if index is None else {"index": index}
    if form.call_ids != "none":
        said["id"] = call.id
    return {**said, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _parsed(arguments: str) -> Any:
    """Return a JSON text parsed; a text that is none, such as one cut by length, as it is."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def events(answer: Answer, form: Form, error: ErrorInStream | None = None) -> tuple[Event, ...]:
    """Return `answer` as the events of a stream.

    Args:
        answer: What is said.
        form: The form it takes.
        error: An error that ends it in the middle.
    """
    chunks = [_encoded(chunk, bool(content), form) for chunk, content in _Chunks(answer, form)]
    if form.ending in ("done", "done-alone"):
        chunks.append(Event(_line(form, "data: [DONE]"), content=False))
    if error:
        chunks = _interrupted(chunks, form, error)
    if form.pings:
        ping = Event(f": ping{form.line_end * 2}".encode(), content=False)
        chunks = [item for chunk in chunks for item in (ping, chunk)]
    return tuple(_cut(chunks, form))


def _line(form: Form, text: str) -> bytes:
    return f"{text}{form.line_end * 2}".encode()


def _encoded(chunk: Mapping[str, Any], content: bool, form: Form) -> Event:
    return Event(b"data: " + as_json(chunk) + form.line_end.encode() * 2, content)


def error_body(error: ErrorInStream) -> dict[str, Any]:
    """Return what an error after the 200 says, as JSON."""
    if error.shape == "error-object":
        return {"error": {"message": error.message, "type": "InternalServerError", "code": 500}}
    if error.shape == "problem":
        return {"status": 500, "title": "Internal Server Error", "detail": error.message}
    if error.shape == "error-then-done":
        return {"error": {"message": error.message, "type": "server_error"}}
    return {"error": error.message}


def _interrupted(chunks: list[Event], form: Form, error: ErrorInStream) -> list[Event]:
    sent = chunks[: after_content(chunks, error.after)]
    if error.shape == "event-comment":
        text = f"event: error{form.line_end}: {error.message}"
        return [*sent, Event(_line(form, text), content=False)]
    sent.append(_encoded(error_body(error), False, form))
    if error.shape == "error-then-done":
        sent.append(Event(_line(form, "data: [DONE]"), content=False))
    return sent


def after_content(chunks: Sequence[Event], wanted: int) -> int:
    """Return how many of `chunks` come before content event number `wanted` (from 0).

    With fewer content events than that, what follows the last of them is left out, too.
    """
    places = [place for place, chunk in enumerate(chunks) if chunk.content]
    if wanted < len(places):
        return places[wanted]
    return places[-1] + 1 if places else 0


def _cut(chunks: list[Event], form: Form) -> list[Event]:
    if form.cut == "small":
        return pieces(chunks, _SMALL)
    if form.cut == "events":
        return chunks
    pattern = _INSIDE_CHARACTER if form.cut == "characters" else _LINE_ENDS
    return [
        Event(piece, chunk.content and place == 0)
        for chunk in chunks
        for place, piece in enumerate(pattern.findall(chunk.data))
    ]


class _Chunks:
    """The chunks of a stream, each with the number of tokens it brings."""

    def __init__(self, answer: Answer, form: Form) -> None:
        self._answer = answer
        self._form = form
        self._so_far = 0

    def __iter__(self) -> Iterator[tuple[Mapping[str, Any], int]]:
        for index, choice in enumerate(self._answer.choices):
            yield from self._choice(index, _prepared(choice, self._form))
        usage = self._form.usage
        if usage == "extra":
            extra = [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]
            yield {**self._base(extra), "usage": dict(self._answer.usage)}, 0
        elif usage in ("last", "null") or (usage != "none" and self._answer.usage_asked):
            yield {**self._base([]), "usage": dict(self._answer.usage)}, 0

    def _base(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        answer, form = self._answer, self._form
        chunk: dict[str, Any] = {"id": answer.id}
        if not form.bare:
            chunk |= {
                "object": "chat.completion.chunk",
                "created": answer.created,
                "model": answer.model,
            }
        chunk |= {"choices": choices, **answer.extra}
        if form.unknown_fields:
            chunk |= _UNKNOWN
        if form.awkward_text:
            chunk["note"] = _AWKWARD
        return chunk

    def _chunk(
        self, index: int, delta: Delta, finish: str | None = None, logprobs: Any = None
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = {"content": logprobs}
        chunk = self._base([choice])
        usage = self._answer.usage
        if self._form.usage == "finish" and finish:
            chunk["usage"] = dict(usage)
        elif self._form.usage == "null":
            chunk["usage"] = None
        elif self._form.usage == "cumulative":
            chunk["usage"] = dict(usage) if finish else self._usage_so_far()
        return chunk

    def _usage_so_far(self) -> dict[str, Any]:
        prompt = int(self._answer.usage.get("prompt_tokens", 0))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self._so_far,
            "total_tokens": prompt + self._so_far,
        }

    def _choice(self, index: int, choice: Choice) -> Iterator[tuple[Mapping[str, Any], int]]:
        finish = None if self._form.ending in ("done-alone", "cut") else choice.finish_reason
        opening = self._opening(choice)
        if opening:
            yield self._chunk(index, opening), 0
        deltas = list(self._deltas(choice))
        for place, (delta, logprobs) in enumerate(deltas):
            self._so_far += 1
            ends = self._form.together and place == len(deltas) - 1
            yield (
                self._chunk(index, self._with_role(delta), finish if ends else None, logprobs),
                1,
            )
        if finish and not (self._form.together and deltas):
            last: Delta = self._with_role({})
            yield self._chunk(index, last, finish), 0

    def _opening(self, choice: Choice) -> Delta:
        content: Delta = {} if self._form.opening == "absent" else {"content": ""}
        if self._form.opening == "null":
            content = {"content": None}
        roles: dict[str, Delta] = {"never": {}, "null": {"role": None}}
        role = roles.get(self._form.role, {"role": "assistant"})
        return {**role, **content, **choice.message}

    def _with_role(self, delta: Delta) -> Delta:
        if self._form.role == "every":
            return {"role": "assistant", **delta}
        return {"role": None, **delta} if self._form.role == "null" else delta

    def _deltas(self, choice: Choice) -> Iterator[tuple[Delta, Any]]:
        reasoning = [dict.fromkeys(self._form.reasoning, piece) for piece in choice.reasoning]
        content = _with_logprobs(choice)
        if self._form.together and reasoning and content:
            content[0] = ({**reasoning.pop(), **content[0][0]}, content[0][1])
        yield from ((delta, None) for delta in reasoning)
        yield from content
        yield from ((delta, None) for delta in _call_deltas(choice.calls, self._form))


def _with_logprobs(choice: Choice) -> list[tuple[Delta, Any]]:
    """Return the deltas of the content, each with its own log probability where they match."""
    pieces_ = choice.content or ()
    logprobs = choice.logprobs
    if logprobs is None:
        return [({"content": piece}, None) for piece in pieces_]
    if len(logprobs) == len(pieces_):
        return [
            ({"content": piece}, [entry]) for piece, entry in zip(pieces_, logprobs, strict=True)
        ]
    return [
        ({"content": piece}, list(logprobs) if place == 0 else None)
        for place, piece in enumerate(pieces_)
    ]


def _call_deltas(calls: Sequence[Call], form: Form) -> Iterator[Delta]:
    if not calls:
        return
    if not form.fragments:
        whole_calls = [_whole_call(index, call, form) for index, call in enumerate(calls)]
        yield {"tool_calls": [_indexed(call, form) for call in whole_calls]}
        return
    fragments = [list(_fragments(index, call, form)) for index, call in enumerate(calls)]
    ordered = zip_longest(*fragments) if form.interleaved else fragments
    for group in ordered:
        for fragment in group:
            if fragment is not None:
                yield {"tool_calls": [_indexed(fragment, form)]}


def _indexed(call: Delta, form: Form) -> Delta:
    if form.call_index:
        return call
    return {key: value for key, value in call.items() if key != "index"}


def _fragments(index: int, call: Call, form: Form) -> Iterator[Delta]:
    first = _whole_call(index, call, form)
    function: Delta = {"name": call.name}
    if form.arguments != "absent":
        function["arguments"] = None if form.arguments == "null" else ""
    yield {**first, "function": function}
    later: Delta = {"index": index}
    ids: dict[str, Any] = {"repeated": call.id, "empty": "", "null": None}
    if form.call_ids in ids:
        later["id"] = ids[form.call_ids]
    for piece in tokens.split(call.arguments):
        named = {"name": call.name} if form.call_names else {}
        yield {**later, "function": {**named, "arguments": piece}}
