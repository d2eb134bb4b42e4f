"""Think tags split off and stop sequences cut at, wherever a text is cut into chunks."""

from __future__ import annotations

import json
from collections.abc import Sequence

__all__ = ["StopFilter", "ThinkFilter", "possible_start", "split_unopened_think"]

_OPEN = "<think>"

_CLOSE = "</think>"

_LONGEST_INDENT = 256
"""Characters of white space and tag that are held back at most, to see whether the text begins with the tag."""


class ThinkFilter:
    """Splits a text that begins with `<think>` into reasoning and answer, wherever it is cut into chunks.

    Only a tag at the very start counts: `</think>` inside an ordinary answer stays text. Line breaks
    between the closing tag and the answer go.
    """

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    @property
    def is_over(self) -> bool:
        """Whether all that comes now is answer."""
        return self._state == "answer"

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next chunk; return (reasoning, text) that is certain."""
        if self._state == "answer":
            return "", text
        text = self._held + text
        self._held = ""
        if self._state == "start":
            text = self._parse_opening_tag(text)
        if self._state == "thinking":
            return self._thinking(text)
        if self._state == "gap":
            return "", self._strip_newlines_after_think(text)
        return "", text

    def flush(self) -> tuple[str, str]:
        """Return what was held back because it looked like a part of a tag."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)

    def _parse_opening_tag(self, text: str) -> str:
        """Decide whether the text begins with the tag; while that is open, hold all of it."""
        begin = text.lstrip()
        if begin.startswith(_OPEN):
            self._state = "thinking"
            return begin[len(_OPEN) :]
        if _OPEN.startswith(begin) and len(text) <= _LONGEST_INDENT:
            self._held = text
            return ""
        self._state = "answer"
        return text

    def _thinking(self, text: str) -> tuple[str, str]:
        reasoning, closed, answer = text.partition(_CLOSE)
        if closed:
            self._state = "gap"
            return reasoning, self._strip_newlines_after_think(answer)
        cut = len(text) - possible_start(text, _CLOSE)
        self._held = text[cut:]
        return text[:cut], ""

    def _strip_newlines_after_think(self, text: str) -> str:
        text = text.lstrip("\r\n")
        if text:
            self._state = "answer"
        return text


def split_unopened_think(text: str) -> tuple[str, str]:
    """Split a complete text that has only `</think>`, because the chat template put `<think>` into the prompt.

    Where the text has no closing tag, or an opening one before it, or the tag stands in a string of JSON, all of it is
    the answer.
    """
    reasoning, closed, answer = text.partition(_CLOSE)
    if not closed or _OPEN in reasoning or _is_json(text):
        return "", text
    return reasoning, answer.lstrip("\r\n")


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


class StopFilter:
    """Cuts a text at the first stop sequence, wherever it is cut into chunks.

    The sequence that is complete first wins, as it would at the service, which sees the text grow.
    """

    __slots__ = ("_held", "_stops", "hit")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False
        """Whether a stop sequence was met: nothing more comes out."""

    def feed(self, text: str) -> str:
        """Take the next chunk; return what certainly belongs to the answer."""
        if self.hit:
            return ""
        text = self._held + text
        start = self._find(text)
        if start is not None:
            self.hit = True
            self._held = ""
            return text[:start]
        cut = len(text) - self._possible_start(text)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """The text that was held back, because it looked like the start of a stop sequence."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _possible_start(self, text: str) -> int:
        """The length of the longest end of `text` that a stop sequence may begin with."""
        return max(possible_start(text, stop) for stop in self._stops) if self._stops else 0


def possible_start(text: str, word: str) -> int:
    """The length of the longest end of `text` that is a beginning of `word`, but not all of it."""
    tail = text[-(len(word) - 1) :] if len(word) > 1 else ""
    start = tail.find(word[0]) if tail else -1
    while start >= 0:
        if word.startswith(tail[start:]):
            return len(tail) - start
        start = tail.find(word[0], start + 1)
    return 0
