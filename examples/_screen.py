"""A terminal's screen for the examples: headings, and texts that arrive in pieces and wrap between words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Screen:
    """Prints to a console; with or without a terminal, colours and a wide window."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._empty = True

    def heading(self, text: str) -> None:
        """A rule with a text, apart from what is above."""
        if not self._empty:
            self.console.print()
        self._empty = False
        self.console.rule(f"[bold]{text}[/]", align="left")

    def line(self, text: str, style: str = "") -> None:
        """A text of its own."""
        self.console.print(text, style=style, markup=False)

    def question(self, text: str) -> None:
        """What the model is asked."""
        self.line(f"> {text}", "bold blue")

    @contextmanager
    def paragraph(self) -> Iterator["Paragraph"]:
        """A text that arrives in pieces; the line ends with the block."""
        started = Paragraph(self.console)
        yield started
        started.end()


class Paragraph:
    """Holds back the last word until its end is known, so that no word is broken."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._column = 0
        self._word, self._label, self._style = "", "", ""

    def write(self, text: str, label: str = "", style: str = "") -> None:
        """Print a piece; what has another label begins a line of its own with it."""
        if label != self._label:
            self.end()
            self._label, self._style = label, style
            text = label + text
        *whole, self._word = re.split(r"(?<=\s)", self._word + text)
        for word in whole:
            self._print(word.strip())
            if word.endswith("\n"):
                self._end_line()

    def end(self) -> None:
        """Print what was held back, and end the line."""
        self._print(self._word)
        self._word = ""
        if self._column:
            self._end_line()

    def _print(self, word: str) -> None:
        if not word:
            return
        if self._column and self._column + 1 + len(word) > self._console.width:
            self._end_line()
        shown = f" {word}" if self._column else word
        self._console.print(shown, style=self._style, end="", markup=False, soft_wrap=True)
        self._column += len(shown)

    def _end_line(self) -> None:
        self._console.print()
        self._column = 0
