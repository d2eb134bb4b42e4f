"""A completion in its form on the wire: one JSON object, or the events of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import Choice, Completion
from nvcf_emulator.answers.http_response import Event, split_events
from nvcf_emulator.answers.tool_calls import call_deltas, whole_call, written_calls
from nvcf_emulator.script.shapes import Form
from nvcf_emulator.script.steps import ErrorInStream
from nvcf_emulator.specs.rejections import encode_json

__all__ = ["completion_body", "completion_events", "index_of_content_event", "stream_error_body"]

_AWKWARD = "line\u2028separator, caf\u00e9, \u65e5\u672c, \U0001f600"
_UNKNOWN: Mapping[str, Any] = {"nvext": {"worker": 7, "timing": {"decode": 0.5}}, "service": None}
_INSIDE_CHARACTER = re.compile(rb"[^\xc2-\xf4]*[\xc2-\xf4]|[^\xc2-\xf4]+")
_LINE_ENDS = re.compile(rb"[^\r]*\r|[^\r]+")
_SMALL = 7

Delta = dict[str, Any]


def completion_body(completion: Completion, form: Form) -> dict[str, Any]:
    """Return `completion` as the body of a whole response."""
    body: dict[str, Any] = {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": completion.model,
        "choices": [
            _whole_choice(index, choice, form) for index, choice in enumerate(completion.choices)
        ],
        "usage": _usage(completion.usage, form),
        **completion.extra,
    }
    if form.unknown_fields:
        body |= _UNKNOWN
    left_out = {"object", "created", "model", "usage"} if form.bare else set()
    if form.usage == "none":
        left_out.add("usage")
    return {key: value for key, value in body.items() if key not in left_out}


def _whole_choice(index: int, choice: Choice, form: Form) -> dict[str, Any]:
    choice = _prepared(choice, form)
    said: dict[str, Any] = {
        "index": index,
        "message": _message(choice, form),
        "finish_reason": choice.finish_reason,
    }
    if choice.stop_reason is not None:
        said["stop_reason"] = choice.stop_reason
    if choice.logprobs is not None:
        said["logprobs"] = {"content": list(choice.logprobs)}
    return said


def _message(choice: Choice, form: Form) -> dict[str, Any]:
    content = None if choice.content is None else "".join(choice.content)
    message: dict[str, Any] = {"role": "assistant", "content": content, **choice.message}
    for name in form.reasoning:
        if choice.reasoning:
            message[name] = "".join(choice.reasoning)
    if choice.calls or form.no_calls:
        message["tool_calls"] = [whole_call(call, form) for call in choice.calls]
    return message


def _prepared(choice: Choice, form: Form) -> Choice:
    """Return `choice` with what the form changes in the answer itself."""
    finish = choice.finish_reason
    if choice.calls and finish == "tool_calls":
        finish = form.finish
    choice = replace(choice, finish_reason=form.broken_finish or finish)
    return _with_calls_in_place(_with_reasoning_in_place(choice, form), form)


def _with_reasoning_in_place(choice: Choice, form: Form) -> Choice:
    content = choice.content or ()
    if form.swapped and content:
        return replace(choice, reasoning=(*choice.reasoning, *content), content=None)
    if form.reasoning or not choice.reasoning:
        return choice
    opening = ("<think>",) if form.think_opened else ()
    content = (*opening, *choice.reasoning, "</think>", *content)
    return replace(choice, content=content, reasoning=())


def _with_calls_in_place(choice: Choice, form: Form) -> Choice:
    content = choice.content or ()
    if not choice.calls:
        return choice
    if form.newlines:
        return replace(choice, content=(*content, "\n\n"))
    if form.calls == "field":
        return choice
    written = tokens.split(written_calls(choice.calls, form))
    kept = choice.calls if form.calls == "toolcall-both" else ()
    return replace(choice, content=(*content, *written), calls=kept)


def _usage(usage: Mapping[str, Any], form: Form) -> dict[str, Any]:
    if not form.float_usage:
        return dict(usage)
    return {
        name: float(value) if isinstance(value, int) else value for name, value in usage.items()
    }


def completion_events(
    completion: Completion, form: Form, error: ErrorInStream | None = None
) -> tuple[Event, ...]:
    """Return `completion` as the events of a stream.

    Args:
        completion: What is said.
        form: The form it takes.
        error: An error that ends it in the middle.
    """
    made = () if form.ending == "done-only" else _Chunks(completion, form)
    chunks = [_encoded(chunk, bool(content), form) for chunk, content in made]
    if form.ending.startswith("done"):
        chunks.append(Event(_line(form, "data: [DONE]"), content=False))
    if error:
        chunks = _interrupted(chunks, form, error)
    for text in (": ping",) * form.pings + ("data:",) * form.empty_data:
        between = Event(_line(form, text), content=False)
        chunks = [item for chunk in chunks for item in (between, chunk)]
    return tuple(_cut(chunks, form))


def _line(form: Form, text: str) -> bytes:
    return f"{text}{form.line_end * 2}".encode()


def _encoded(chunk: Mapping[str, Any], content: bool, form: Form) -> Event:
    return Event(b"data: " + encode_json(chunk) + form.line_end.encode() * 2, content)


def stream_error_body(error: ErrorInStream) -> dict[str, Any]:
    """Return what an error after the 200 says, as JSON."""
    if error.shape == "error-object":
        return {
            "error": {"message": error.message, "type": "InternalServerError", "code": error.code}
        }
    if error.shape == "problem":
        return {"status": error.code, "title": "Internal Server Error", "detail": error.message}
    if error.shape == "error-then-done":
        return {"error": {"message": error.message, "type": "server_error"}}
    return {"error": error.message}


def _interrupted(chunks: list[Event], form: Form, error: ErrorInStream) -> list[Event]:
    sent = [] if error.after is None else chunks[: index_of_content_event(chunks, error.after)]
    if error.shape == "event-comment":
        text = f"event: error{form.line_end}: {error.message}"
        return [*sent, Event(_line(form, text), content=False)]
    sent.append(_encoded(stream_error_body(error), False, form))
    if error.shape == "error-then-done":
        sent.append(Event(_line(form, "data: [DONE]"), content=False))
    return sent


def index_of_content_event(chunks: Sequence[Event], wanted: int) -> int:
    """Return how many of `chunks` come before content event number `wanted` (from 0).

    With fewer content events than that, what follows the last of them is left out, too.
    """
    places = [place for place, chunk in enumerate(chunks) if chunk.content]
    if wanted < len(places):
        return places[wanted]
    return places[-1] + 1 if places else 0


def _cut(chunks: list[Event], form: Form) -> list[Event]:
    if form.cut == "small":
        return split_events(chunks, _SMALL)
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

    def __init__(self, completion: Completion, form: Form) -> None:
        self._completion = completion
        self._form = form
        self._so_far = 0

    def __iter__(self) -> Iterator[tuple[Mapping[str, Any], int]]:
        for index, choice in enumerate(self._completion.choices):
            yield from self._choice(index, _prepared(choice, self._form))
        usage = self._form.usage
        if usage == "extra":
            extra = [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]
            yield {**self._base(extra), "usage": _usage(self._completion.usage, self._form)}, 0
        elif usage in ("last", "null") or (usage != "none" and self._completion.usage_asked):
            yield {**self._base([]), "usage": _usage(self._completion.usage, self._form)}, 0

    def _base(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        completion, form = self._completion, self._form
        chunk: dict[str, Any] = {"id": completion.id}
        if not form.bare:
            chunk |= {
                "object": "chat.completion.chunk",
                "created": completion.created,
                "model": completion.model,
            }
        chunk |= {"choices": choices, **completion.extra}
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
        usage = _usage(self._completion.usage, self._form)
        if self._form.usage == "finish" and finish:
            chunk["usage"] = usage
        elif self._form.usage == "null":
            chunk["usage"] = None
        elif self._form.usage == "cumulative":
            chunk["usage"] = usage if finish else self._usage_so_far()
        return chunk

    def _usage_so_far(self) -> dict[str, Any]:
        prompt = int(self._completion.usage.get("prompt_tokens", 0))
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": self._so_far,
            "total_tokens": prompt + self._so_far,
        }
        return _usage(usage, self._form)

    def _choice(self, index: int, choice: Choice) -> Iterator[tuple[Mapping[str, Any], int]]:
        if self._form.message:
            whole = {"index": index, "message": _message(choice, self._form), "finish_reason": None}
            yield self._base([whole]), 1
            return
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
            empty: Delta = {"tool_calls": []} if self._form.no_calls and not choice.calls else {}
            last = self._with_role(empty)
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
        yield from ((delta, None) for delta in call_deltas(choice.calls, self._form))


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
