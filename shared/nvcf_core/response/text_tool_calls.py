"""Tool calls that a server left in the text, in the form that the model writes them in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nvcf_core.models.spec import TextToolCalls
from nvcf_core.values import value_class
from nvcf_core.wire import get_text

from .filters import possible_start
from .json_text import find_json, partial_json

__all__ = ["TextToolCall", "TextToolCallFilter"]


@value_class
class TextToolCall:
    """One call that stood in the text."""

    name: str
    arguments: str
    """JSON text, or what the model wrote in its place."""
    id: str = ""


_KIMI_CALL = re.compile(
    r"<\|tool_call_begin\|>\s*(?P<id>[^<]*?)\s*<\|tool_call_argument_begin\|>\s*"
    r"(?P<arguments>.*?)\s*(?:<\|tool_call_end\|>|<\|tool_calls_section_end\|>|\Z)",
    re.S,
)
_KIMI_NAME = re.compile(r"(?:functions\.)?(?P<name>.*?)(?::\d+)?", re.S)


def _kimi_calls(section: str) -> Iterator[TextToolCall]:
    """`<|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}<|tool_call_end|>`, any number of times."""
    for call in _KIMI_CALL.finditer(section):
        name = _KIMI_NAME.fullmatch(call["id"])
        if name is not None and name["name"]:
            yield TextToolCall(name["name"], call["arguments"], call["id"])


_NAME = re.compile(r"""["']name["']\s*:\s*["']([^"'\s]+)["']""")
"""Where the name stands in what is no JSON, such as a list of Python's."""


def _nemotron_calls(section: str) -> Iterator[TextToolCall]:
    """`<TOOLCALL>[{"name": …, "arguments": {…}}, …]</TOOLCALL>`."""
    whole = list(find_json(section))
    # Of a list that breaks off, the names are known and no arguments are: they are then what stands there.
    values = whole or [partial_json(section)]
    named = False
    for value in values:
        for call in value if isinstance(value, list) else [value]:
            if name := get_text(call, "name"):
                named = True
                yield TextToolCall(name, _arguments(call) if whole else section)
    if not named:
        yield from (TextToolCall(found[1], section) for found in _NAME.finditer(section))


def _arguments(call: Mapping[str, Any]) -> str:
    arguments = call.get("arguments", call.get("parameters"))
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


@value_class
class _Form:
    """How one family of models writes its calls."""

    marks: Mapping[str, str]
    """What a section of calls begins with, and what it then ends with."""
    read: Callable[[str], Iterator[TextToolCall]]


_FORMS: Mapping[TextToolCalls, _Form] = {
    "kimi": _Form(
        {
            "<|tool_calls_section_begin|>": "<|tool_calls_section_end|>",
            "<|tool_call_begin|>": "<|tool_call_end|>",
        },
        _kimi_calls,
    ),
    "nemotron": _Form({"<TOOLCALL>": "</TOOLCALL>"}, _nemotron_calls),
}


_START_OF_MARKS = "<"
"""What every mark begins with: a text without it cannot hold one, which is quickly seen."""


class TextToolCallFilter:
    """Takes the sections of tool calls out of a text, wherever it is cut into chunks."""

    __slots__ = ("_end", "_form", "_held", "_sections")

    def __init__(self, form: TextToolCalls) -> None:
        self._form = _FORMS[form]
        self._held = ""
        self._end = ""
        """What ends the section that is open, empty while none is."""
        self._sections: list[list[str]] = []

    def feed(self, text: str) -> str:
        """Take the next chunk; return what certainly belongs to no call."""
        if not (self._held or self._end) and _START_OF_MARKS not in text:
            return text
        text, passed = self._held + text, []
        self._held = ""
        while text:
            if self._end:
                text = self._inside(text)
                continue
            begin = self._first_mark(text)
            if begin is None:
                cut = len(text) - max(possible_start(text, mark) for mark in self._form.marks)
                self._held = text[cut:]
                passed.append(text[:cut])
                break
            place, mark = begin
            passed.append(text[:place])
            self._end = self._form.marks[mark]
            self._sections.append([mark])
            text = text[place + len(mark) :]
        return "".join(passed)

    def flush(self) -> str:
        """The text that was held back because it looked like the beginning of a mark."""
        held, self._held = self._held, ""
        if self._end:
            self._sections[-1].append(held)
            return ""
        return held

    def calls(self) -> list[TextToolCall]:
        """The calls of all sections, once the text has ended."""
        return [call for section in self._sections for call in self._form.read("".join(section))]

    def _inside(self, text: str) -> str:
        """Take what belongs to the section that is open; return what stands behind it."""
        inside, end, rest = text.partition(self._end)
        if end:
            self._sections[-1] += (inside, end)
            self._end = ""
            return rest
        cut = len(text) - possible_start(text, self._end)
        self._sections[-1].append(text[:cut])
        self._held = text[cut:]
        return ""

    def _first_mark(self, text: str) -> tuple[int, str] | None:
        found = [(place, mark) for mark in self._form.marks if (place := text.find(mark)) >= 0]
        return min(found) if found else None
