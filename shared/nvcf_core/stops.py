"""Texts that end an answer, enforced here where the model's page has no `stop`."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Cuts a text at the first stop sequence, wherever the pieces of the text are cut.

    The sequence that is complete first wins, as it would at the service, which sees the text grow.
    """

    __slots__ = ("_held", "_stops", "hit")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False
        """Whether a stop sequence was met: nothing more comes out."""

    def feed(self, text: str) -> str:
        """Take the next piece; return what is certain to belong to the answer."""
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

    def end(self) -> str:
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
