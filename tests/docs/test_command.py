"""The page of the command: its blocks of shell run, and print what the page says."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from nvcf_emulator import Emulator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command.md"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WEATHER = """{
  "name": "get_weather",
  "description": "Tell the weather of a city.",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
}"""


@dataclass
class Block:
    """A block of shell, and what it prints, where a block of text right after it says so."""

    code: str
    line: int
    prints: str | None


def blocks() -> list[Block]:
    text = PAGE.read_text(encoding="utf-8")
    fenced = list(_FENCED.finditer(text))
    found = []
    for block, following in zip_longest(fenced, fenced[1:]):
        if block[1] != "shell":
            continue
        between = text[block.end() : following.start()] if following else "end"
        said = following and following[1] == "text" and not between.strip()
        line = text.count("\n", 0, block.start()) + 1
        found.append(Block(block[2], line, following[2] if said else None))
    return found


@pytest.fixture
def folder(tmp_path: Path, samples: dict[str, dict[str, Any]]) -> Path:
    """A folder with the files that the page names, and the command on the way of its programs."""
    (tmp_path / "photo.png").write_bytes(samples["image"]["png"].data)
    (tmp_path / "memo.wav").write_bytes(samples["audio"]["wav"].data)
    (tmp_path / "weather.json").write_text(WEATHER)
    command = tmp_path / "bin" / "nvcf"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nvcf_cli "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("block", blocks(), ids=lambda block: f"line {block.line}")
def test_block(block: Block, folder: Path, nvcf_env: Emulator) -> None:
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}",
    }
    done = subprocess.run(
        ["bash", "-c", block.code], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    if block.prints is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        same = doctest.OutputChecker().check_output(block.prints, done.stdout, flags)
        assert same, f"command.md:{block.line} prints:\n{done.stdout}{done.stderr}"


def test_the_page_has_blocks() -> None:
    assert len(blocks()) > 8
    assert sum(block.prints is not None for block in blocks()) > 7


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
