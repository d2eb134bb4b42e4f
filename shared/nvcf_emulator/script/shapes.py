"""The forms that one and the same answer is seen to take on the wire, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["SHAPES", "Form", "form_of"]


@dataclass(frozen=True)
class Form:
    """Every respect in which answers differ on the wire; the defaults are the plain form.

    Attributes:
        role: On which deltas the role is.
        opening: Content of the first delta; `absent` for no key.
        reasoning: Where reasoning is: fields of the delta, or the content with `<think>` tags.
        think_opened: Whether the tag that opens such reasoning is there, too.
        swapped: Whether the answer is where reasoning belongs, and the content null.
        together: Whether reasoning, content and the finish reason share one delta.
        usage: Where a stream's usage is; `asked` for a chunk of its own where it was asked for.
        float_usage: Whether the counts of the usage have a fraction: 12.0.
        pings: Whether comment lines stand between events.
        empty_data: Whether events without data stand between the others.
        unknown_fields: Whether chunks carry fields that no documentation names.
        awkward_text: Whether chunks carry U+2028 and characters of several bytes.
        calls: Where tool calls are: in their field, or written into the content with Kimi's or
            Nemotron's markers; `toolcall-both` for both.
        no_calls: Whether an answer without tool calls has an empty list of them.
        call_ids: What later fragments of a tool call have for an id; `none` for no id at all,
            `text-null` for the text "null" on all of them.
        numbered_ids: Whether ids look like `functions.name:0`; None for the model's own way.
        call_index: Which index fragments of tool calls have: their call's own, none, 0 on all,
            or one for the name and another for the arguments.
        arguments: How a call's arguments come.
        fragments: Whether calls come in pieces; else several whole calls in one delta.
        interleaved: Whether the pieces of several calls alternate.
        repeated: Whether every fragment comes twice.
        call_names: Whether every fragment repeats the name.
        finish: Whether calls end with `stop` instead of `tool_calls`.
        broken_finish: The finish reason of an answer that the engine gave up.
        newlines: Whether two line breaks precede calls.
        ending: How the stream ends; `done-only` for nothing but its end.
        message: Whether one event holds the whole message, with no finish reason.
        content_type: Content type of a stream; empty for none.
        line_end: What ends a line.
        cut: How the bytes are cut when they are sent.
        kind: Whether the answer comes as the request asked, as JSON or as a stream, or empty.
        bare: Whether object, created, model and usage are left out.
    """

    role: Literal["first", "never", "null", "every"] = "first"
    opening: Literal["", "null", "absent"] = ""
    reasoning: tuple[str, ...] = ("reasoning_content",)
    think_opened: bool = True
    swapped: bool = False
    together: bool = False
    usage: Literal["asked", "null", "cumulative", "last", "finish", "extra", "none"] = "asked"
    float_usage: bool = False
    pings: bool = False
    empty_data: bool = False
    unknown_fields: bool = False
    awkward_text: bool = False
    calls: Literal["field", "kimi-text", "toolcall-text", "toolcall-both"] = "field"
    no_calls: bool = False
    call_ids: Literal["first", "repeated", "empty", "null", "none", "text-null"] = "first"
    numbered_ids: bool | None = None
    call_index: Literal["own", "none", "zero", "split"] = "own"
    arguments: Literal["text", "null", "absent", "object", "twice", "encoded-twice", "strings"] = (
        "text"
    )
    fragments: bool = True
    interleaved: bool = False
    repeated: bool = False
    call_names: bool = False
    finish: Literal["tool_calls", "stop"] = "tool_calls"
    broken_finish: Literal["", "abort", "error"] = ""
    newlines: bool = False
    ending: Literal["done", "finish", "done-alone", "done-only", "cut"] = "done"
    message: bool = False
    content_type: str = "text/event-stream"
    line_end: str = "\n"
    cut: Literal["events", "characters", "line-ends", "small"] = "events"
    kind: Literal["asked", "whole", "stream", "empty"] = "asked"
    bare: bool = False


_SHAPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "default": ("The plain form: a role first, then deltas, a finish reason, [DONE].", {}),
    "role-absent": ("No delta has a role.", {"role": "never"}),
    "role-null": ("The role is null on every delta.", {"role": "null"}),
    "role-every": ("Every delta repeats the role.", {"role": "every"}),
    "first-null": ("The first delta's content is null.", {"opening": "null"}),
    "first-empty": ("The first delta's content is empty, as by default.", {"opening": ""}),
    "first-absent": ("The first delta has no content key.", {"opening": "absent"}),
    "reasoning-content": (
        "Reasoning is in `reasoning_content`, as by default.",
        {"reasoning": ("reasoning_content",)},
    ),
    "reasoning-field": ("Reasoning is in `reasoning`.", {"reasoning": ("reasoning",)}),
    "reasoning-both": (
        "Reasoning is in `reasoning_content` and in `reasoning`, twice the same.",
        {"reasoning": ("reasoning_content", "reasoning")},
    ),
    "think-tags": (
        "Reasoning is left in the content, between <think> and </think>.",
        {"reasoning": ()},
    ),
    "think-tag-closed-only": (
        "Reasoning is left in the content; only the closing </think> is there, since the "
        "prompt opened it.",
        {"reasoning": (), "think_opened": False},
    ),
    "answer-as-reasoning": (
        "The answer is in `reasoning_content`, and the content is null.",
        {"swapped": True},
    ),
    "reasoning-and-content-together": (
        "One delta has the last reasoning and the first content, and the last one its "
        "finish reason.",
        {"together": True},
    ),
    "usage-null": ("Every chunk has `usage: null` until the usage comes.", {"usage": "null"}),
    "usage-cumulative": ("Every chunk has the usage so far.", {"usage": "cumulative"}),
    "usage-empty-choices": (
        "The usage comes last with empty choices, asked for or not.",
        {"usage": "last"},
    ),
    "usage-in-finish": ("The usage comes with the finish reason.", {"usage": "finish"}),
    "usage-extra-with-choices": (
        "The usage comes last, in a chunk that has choices.",
        {"usage": "extra"},
    ),
    "usage-none": ("No usage, in streams or whole answers.", {"usage": "none"}),
    "usage-floats": ("The counts of the usage look like 12.0.", {"float_usage": True}),
    "pings": ("Comment lines stand between the events.", {"pings": True}),
    "empty-data": (
        "Events whose data is empty stand between the others.",
        {"empty_data": True},
    ),
    "nvext": ("Chunks have `nvext` and other unknown fields.", {"unknown_fields": True}),
    "tool-ids-repeated": ("Each fragment of a call repeats its id.", {"call_ids": "repeated"}),
    "tool-ids-empty": ("Later fragments of a call have an empty id.", {"call_ids": "empty"}),
    "tool-ids-null": ("Later fragments of a call have a null id.", {"call_ids": "null"}),
    "tool-ids-missing": ("Tool calls have no id at all.", {"call_ids": "none"}),
    "tool-ids-text-null": ('Every id of a call is the text "null".', {"call_ids": "text-null"}),
    "tool-index-missing": ("Fragments of calls have no index.", {"call_index": "none"}),
    "tool-index-zero": (
        "Every fragment of every call has the index 0, and none an id.",
        {"call_index": "zero", "call_ids": "none"},
    ),
    "tool-index-split": (
        "A call's name comes under one index, its arguments under the next.",
        {"call_index": "split"},
    ),
    "tool-arguments-null": (
        "The first fragment of a call has null arguments.",
        {"arguments": "null"},
    ),
    "tool-arguments-absent": (
        "The first fragment of a call has no arguments key.",
        {"arguments": "absent"},
    ),
    "tool-arguments-object": (
        "A call's arguments are an object, not a JSON text.",
        {"arguments": "object", "fragments": False},
    ),
    "tool-arguments-twice": (
        "A call's arguments come twice, one behind the other.",
        {"arguments": "twice"},
    ),
    "tool-arguments-encoded-twice": (
        "A call's arguments are a JSON text inside a JSON text.",
        {"arguments": "encoded-twice"},
    ),
    "tool-arguments-strings": (
        'Numbers and booleans of a call\'s arguments are texts: "3", "True".',
        {"arguments": "strings"},
    ),
    "tool-pieces-twice": ("Every fragment of a call comes twice.", {"repeated": True}),
    "tool-calls-empty": ("An answer without calls has an empty list of them.", {"no_calls": True}),
    "tool-text-kimi": (
        "Calls are written into the content with Kimi's markers, and end with `stop`.",
        {"calls": "kimi-text", "finish": "stop"},
    ),
    "tool-text-toolcall": (
        "Calls are written into the content as <TOOLCALL>[…]</TOOLCALL>, and end with `stop`.",
        {"calls": "toolcall-text", "finish": "stop"},
    ),
    "tool-text-toolcall-too": (
        "Calls are written into the content as <TOOLCALL>[…]</TOOLCALL>, beside the calls.",
        {"calls": "toolcall-both"},
    ),
    "tool-calls-whole": ("All calls come whole in one delta.", {"fragments": False}),
    "tool-interleaved": ("Fragments of several calls alternate.", {"interleaved": True}),
    "kimi-ids": ("Ids look like `functions.name:0`.", {"numbered_ids": True}),
    "tool-stop": ("Calls end with the finish reason `stop`.", {"finish": "stop"}),
    "tool-newlines-first": ("Two line breaks of content precede the calls.", {"newlines": True}),
    "tool-name-every": (
        "Each fragment of a call repeats its name and id.",
        {"call_names": True, "call_ids": "repeated"},
    ),
    "no-done": ("A finish reason, and no [DONE].", {"ending": "finish"}),
    "done-missing-finish": (
        "Broken: [DONE], and no finish reason before it.",
        {"ending": "done-alone"},
    ),
    "done-only": ("Broken: [DONE], and nothing else.", {"ending": "done-only"}),
    "abort": (
        "Broken: the engine gave up, with the finish reason `abort`.",
        {"broken_finish": "abort"},
    ),
    "error-finish": (
        "Broken: the engine gave up, with the finish reason `error`.",
        {"broken_finish": "error"},
    ),
    "message-in-stream": (
        "One event holds the whole message instead of deltas; no finish reason, then [DONE].",
        {"message": True},
    ),
    "cut": ("Broken: neither a finish reason nor [DONE].", {"ending": "cut"}),
    "crlf": ("Lines end with CR LF.", {"line_end": "\r\n"}),
    "cr": ("Lines end with CR.", {"line_end": "\r"}),
    "u2028": (
        "Chunks carry U+2028 and characters of several bytes, as they are.",
        {"awkward_text": True},
    ),
    "utf8-split": (
        "Bytes are flushed in pieces that end inside characters.",
        {"awkward_text": True, "cut": "characters"},
    ),
    "crlf-split": (
        "Lines end with CR LF, and bytes are flushed between the two.",
        {"line_end": "\r\n", "cut": "line-ends"},
    ),
    "small-pieces": ("Bytes are flushed seven at a time.", {"cut": "small"}),
    "events-as-json": (
        "A stream is labelled application/json.",
        {"content_type": "application/json"},
    ),
    "events-unlabelled": ("A stream has no content type.", {"content_type": ""}),
    "whole-on-stream": ("A stream request is answered whole, as JSON.", {"kind": "whole"}),
    "stream-on-whole": ("A request for a whole answer gets a stream.", {"kind": "stream"}),
    "empty": ("A 200 with an empty body.", {"kind": "empty"}),
    "bare": ("No object, created, model or usage.", {"bare": True}),
}

SHAPES: Mapping[str, str] = MappingProxyType({name: said for name, (said, _) in _SHAPES.items()})
"""Each shape and what it is, in a sentence."""


@lru_cache
def form_of(name: str) -> Form:
    """Return the form of a shape, or of several joined by `+`.

    Raises:
        ValueError: One of them is unknown.
    """
    form = Form()
    for part in name.split("+"):
        if part not in _SHAPES:
            raise ValueError(f"unknown shape {part!r}: one of {', '.join(_SHAPES)}")
        form = replace(form, **_SHAPES[part][1])
    return form
