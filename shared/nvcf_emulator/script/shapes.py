"""The forms that one and the same answer is seen to take on the wire, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Form:
    """Every respect in which answers differ on the wire; the defaults are the plain form.

    Attributes:
        role: On which deltas the role is.
        opening: Content of the first delta; `absent` for no key.
        reasoning: Where reasoning is: fields of the delta, or the content with `<think>` tags.
        together: Whether reasoning, content and the finish reason share one delta.
        usage: Where a stream's usage is; `asked` for a chunk of its own where it was asked for.
        pings: Whether comment lines stand between events.
        unknown_fields: Whether chunks carry fields that no page names.
        awkward_text: Whether chunks carry U+2028 and characters of several bytes.
        call_ids: What later fragments of a tool call have for an id; `none` for no id at all.
        numbered_ids: Whether ids look like `functions.name:0`; None for the model's own way.
        call_index: Whether fragments of tool calls have an index.
        arguments: How a call's arguments come.
        fragments: Whether calls come in pieces; else several whole calls in one delta.
        interleaved: Whether the pieces of several calls alternate.
        call_names: Whether every fragment repeats the name.
        finish: Whether calls end with `stop` instead of `tool_calls`.
        newlines: Whether two line breaks precede calls.
        ending: How the stream ends.
        line_end: What ends a line.
        cut: How the bytes are cut when they are sent.
        kind: Whether the answer comes as the request asked, as JSON or as a stream, or empty.
        bare: Whether object, created, model and usage are left out.
    """

    role: Literal["first", "never", "null", "every"] = "first"
    opening: Literal["", "null", "absent"] = ""
    reasoning: tuple[str, ...] = ("reasoning_content",)
    together: bool = False
    usage: Literal["asked", "null", "cumulative", "last", "finish", "extra", "none"] = "asked"
    pings: bool = False
    unknown_fields: bool = False
    awkward_text: bool = False
    call_ids: Literal["first", "repeated", "empty", "null", "none"] = "first"
    numbered_ids: bool | None = None
    call_index: bool = True
    arguments: Literal["text", "null", "absent", "object"] = "text"
    fragments: bool = True
    interleaved: bool = False
    call_names: bool = False
    finish: Literal["tool_calls", "stop"] = "tool_calls"
    newlines: bool = False
    ending: Literal["done", "finish", "done-alone", "cut"] = "done"
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
    "pings": ("Comment lines stand between the events.", {"pings": True}),
    "nvext": ("Chunks have `nvext` and other unknown fields.", {"unknown_fields": True}),
    "tool-ids-repeated": ("Each fragment of a call repeats its id.", {"call_ids": "repeated"}),
    "tool-ids-empty": ("Later fragments of a call have an empty id.", {"call_ids": "empty"}),
    "tool-ids-null": ("Later fragments of a call have a null id.", {"call_ids": "null"}),
    "tool-ids-missing": ("Tool calls have no id at all.", {"call_ids": "none"}),
    "tool-index-missing": ("Fragments of calls have no index.", {"call_index": False}),
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
