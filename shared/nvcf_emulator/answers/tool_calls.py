"""Tool calls in their form on the wire: whole, in fragments, or written into a text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from nvcf_emulator import tokens
from nvcf_emulator.answers.completion import ToolCall
from nvcf_emulator.script.shapes import Form

__all__ = ["call_deltas", "whole_call", "written_calls"]

Delta = dict[str, Any]


def whole_call(call: ToolCall, form: Form) -> Delta:
    """Return a call as a whole answer has it."""
    said: Delta = {} if form.call_ids == "none" else {"id": _id(call, form)}
    function = {"name": call.name, "arguments": _arguments(call.arguments, form)}
    return {**said, "type": "function", "function": function}


def call_deltas(calls: Sequence[ToolCall], form: Form) -> Iterator[Delta]:
    """Yield the deltas of a stream that bring `calls`."""
    if not calls:
        return
    if not form.fragments:
        whole = [
            {**_index(index, form), **whole_call(call, form)} for index, call in enumerate(calls)
        ]
        yield {"tool_calls": whole}
        return
    fragments = [list(_fragments(index, call, form)) for index, call in enumerate(calls)]
    ordered = zip_longest(*fragments) if form.interleaved else fragments
    for group in ordered:
        for fragment in group:
            if fragment is not None:
                yield from [{"tool_calls": [fragment]}] * (2 if form.repeated else 1)


def written_calls(calls: Sequence[ToolCall], form: Form) -> str:
    """Return `calls` as the text that a model writes whose server does not read it."""
    if form.calls == "kimi-text":
        written = [
            f"<|tool_call_begin|>functions.{call.name}:{index}"
            f"<|tool_call_argument_begin|>{call.arguments}<|tool_call_end|>"
            for index, call in enumerate(calls)
        ]
        return f"<|tool_calls_section_begin|>{''.join(written)}<|tool_calls_section_end|>"
    listed = [{"name": call.name, "arguments": _parsed(call.arguments)} for call in calls]
    return f"<TOOLCALL>{json.dumps(listed, ensure_ascii=False)}</TOOLCALL>"


def _id(call: ToolCall, form: Form) -> str:
    return "null" if form.call_ids == "text-null" else call.id


def _arguments(arguments: str, form: Form) -> Any:
    if form.arguments == "object":
        return _parsed(arguments)
    if form.arguments == "twice":
        return arguments * 2
    if form.arguments == "encoded-twice":
        return json.dumps(arguments, ensure_ascii=False)
    if form.arguments == "strings":
        return _with_strings(arguments)
    return arguments


def _parsed(arguments: str) -> Any:
    """Return a JSON text parsed; a text that is not JSON, such as one cut by length, as it is."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _with_strings(arguments: str) -> str:
    """Return arguments whose numbers and booleans are texts."""
    parsed = _parsed(arguments)
    if not isinstance(parsed, dict):
        return arguments
    texts = {
        name: str(value) if isinstance(value, bool | int | float) else value
        for name, value in parsed.items()
    }
    return json.dumps(texts, ensure_ascii=False)


def _index(index: int, form: Form) -> Delta:
    if form.call_index == "none":
        return {}
    return {"index": 0 if form.call_index == "zero" else index}


def _fragments(index: int, call: ToolCall, form: Form) -> Iterator[Delta]:
    split = form.call_index == "split"
    whole = whole_call(call, form)
    function: Delta = {"name": call.name}
    if form.arguments != "absent":
        function["arguments"] = None if form.arguments == "null" else ""
    yield {**_index(2 * index if split else index, form), **whole, "function": function}
    later = _index(2 * index + 1 if split else index, form)
    ids: Delta = {"repeated": call.id, "empty": "", "null": None, "text-null": "null"}
    if form.call_ids in ids:
        later["id"] = ids[form.call_ids]
    arguments = whole["function"]["arguments"]
    for piece in tokens.split(arguments) if isinstance(arguments, str) else (arguments,):
        named = {"name": call.name} if form.call_names else {}
        yield {**later, "function": {**named, "arguments": piece}}
