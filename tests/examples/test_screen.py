"""Texts that arrive in pieces on the screen of the examples."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = "The quick brown fox [jumps] over it.\n\n- a lazy dog\n- a cat\n"
SHOWN = "The quick\nbrown fox\n[jumps] over\nit.\n\n- a lazy dog\n- a cat\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_paragraph_wraps_between_words(size: int, load: Callable[[Path], ModuleType]) -> None:
    printed = io.StringIO()
    screen = load(EXAMPLES / "_screen.py").Screen(Console(file=printed, width=12))
    with screen.paragraph() as paragraph:
        for start in range(0, len(TEXT), size):
            paragraph.write(TEXT[start : start + size])
    assert printed.getvalue() == SHOWN


def test_another_label_begins_a_line(load: Callable[[Path], ModuleType]) -> None:
    printed = io.StringIO()
    screen = load(EXAMPLES / "_screen.py").Screen(Console(file=printed, width=40))
    with screen.paragraph() as paragraph:
        for label, text in [("A: ", "one"), ("A: ", " two"), ("B: ", "three"), ("B: ", "!")]:
            paragraph.write(text, label=label)
    assert printed.getvalue() == "A: one two\nB: three!\n"
