"""What a command prints: for a person, in a terminal or not, or as one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from nvcf_core.errors import APIStatusError, NVCFError

__all__ = ["CommandError", "Output", "error_document", "printable"]

_WITHOUT_TERMINAL = 200
"""Columns of a line where nobody's terminal says how many there are."""

_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class CommandError(Exception):
    """What a command was told to do failed. The message names the cause, and what to do."""


def printable(text: str) -> str:
    """A text without the control characters that would move a terminal's cursor or change its colours."""
    return text.translate(_CONTROL)


def error_document(error: Exception) -> dict[str, Any]:
    """An error as a part of a JSON document: `type`, `message`, and where there was a response its `status`."""
    document: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, APIStatusError):
        document["status"] = error.status
    if isinstance(error, NVCFError) and error.request_id:
        document["request_id"] = error.request_id
    return document


class Output:
    """The standard output and standard error of one command.

    Args:
        as_json: whether one JSON document is all that goes to the standard output.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the standard output as it comes."""
        return self._out.is_terminal and not self.as_json

    @property
    def progress_console(self) -> Console:
        """Where progress is shown: the standard error, so that it never mixes with an answer."""
        return self._err

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line for a person; nothing where a JSON document is wanted."""
        self.piece(text + "\n", style)

    def piece(self, text: str, style: str = "") -> None:
        """Print a part of a line for a person, at once; nothing where a JSON document is wanted."""
        if self.as_json:
            return
        if style and self.is_terminal:
            self._out.print(Text(printable(text), style=style), end="", soft_wrap=True)
        else:  # Past rich, which would make spaces of tabs.
            self._out.file.write(printable(text) if self.is_terminal else text)
        self._out.file.flush()

    def render(self, renderable: Any) -> None:
        """Print a table for a person; nothing where a JSON document is wanted."""
        if not self.as_json:
            self._out.print(renderable)

    def document(self, document: Mapping[str, Any]) -> None:
        """Print the JSON document; nothing where a person reads."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")

    def complain(self, text: str) -> None:
        """Say on the standard error what went wrong."""
        self._err.print(Text(f"nvcf: {printable(text)}", style="red"), soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something on the standard error that is not a failure."""
        self._err.print(Text(printable(text), style="dim"), soft_wrap=True)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """End the command with status 1 where the block fails, and say why.

        Raises:
            typer.Exit: an `NVCFError` or a `CommandError` was raised.
        """
        try:
            yield
        except (NVCFError, CommandError) as error:
            self.document({"error": error_document(error)})
            self.complain(str(error))
            raise typer.Exit(1) from None


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # A pipe has no width: rich's guess of 80 columns would cut tables.
    width = None if stream.isatty() else _WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
