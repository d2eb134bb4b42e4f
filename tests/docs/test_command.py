"""The page of the command names all of its commands and options, and shows what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .pages import ROOT, blocks

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "command.md"


def test_the_page_has_blocks() -> None:
    shown = [block for block in blocks(PAGE, "shell") if block.prints is not None]
    assert len(shown) > 7


def test_the_page_names_every_command_and_option() -> None:
    help_texts = [
        subprocess.run(
            [sys.executable, "-m", "nvcf_cli", *words, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}", "COLUMNS": "200"},
        ).stdout
        for words in ((), ("doctor",), ("models",), ("chat",), ("verify",), ("record",))
    ]
    page = PAGE.read_text(encoding="utf-8")
    commands = set(re.findall(r"^  (\w+)  +\w", help_texts[0], re.MULTILINE))
    assert set(re.findall(r"^\| `nvcf (\w+)", page, re.MULTILINE)) == commands
    options = set(re.findall(r"^  (--[\w-]+)", "\n".join(help_texts), re.MULTILINE))
    named = set(re.findall(r"--[\w-]+", page))
    left = {"--help", "--show-completion", "--temperature", "--model"}
    assert options - left <= named
    assert "doctor" in commands
    assert "--show-reasoning" in options
