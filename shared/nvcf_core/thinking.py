"""Reasoning that a model left in its answer between `<think>` tags, set apart again."""

from __future__ import annotations

from .stops import possible_start

_OPEN = "<think>"
_CLOSE = "</think>"
_LONGEST_INDENT = 256
"""Characters of white space and tag that are held back at most, to see whether the text begins with the tag."""


class ThinkFilter:
    """Splits a text that begins with `<think>` into reasoning and answer, wherever its pieces are cut.

    Only a tag at the very start counts: `</think>` inside an ordinary answer stays text. Line breaks
    between the closing tag and the answer go.
    """

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next piece; return (reasoning, text) that is certain."""
        if self._state == "answer":
            return "", text
        text = self._held + text
        self._held = ""
        if self._state == "start":
            text = self._opening(text)
        if self._state == "thinking":
            return self._thinking(text)
        if self._state == "gap":
            return "", self._gap(text)
        return "", text

    def end(self) -> tuple[str, str]:
        """What was held back, because it looked like a part of a tag."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)

    def _opening(self, text: str) -> str:
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
            return reasoning, self._gap(answer)
        cut = len(text) - possible_start(text, _CLOSE)
        self._held = text[cut:]
        return text[:cut], ""

    def _gap(self, text: str) -> str:
        text = text.lstrip("\r\n")
        if text:
            self._state = "answer"
        return text
