"""Blocks of shell on the pages: those of `nvcf` run and print what is said; all others are commands that there are."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from nvcf_cli.app import app
from nvcf_emulator import API_KEY, Emulator
from nvcf_emulator.__main__ import main as emulator_main

from .pages import PAGES, ROOT, Block, blocks, name_of, prints_the_same

WEATHER = """{
  "name": "get_weather",
  "description": "Tell the weather of a city.",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
}"""

OF_OTHERS = {"git", "cd", "docker", "vllm", "uvicorn", "pre-commit", "mlflow", "phoenix"}
"""Commands that are not ours to check."""

RUN = [
    (page, block)
    for page in PAGES
    for block in blocks(page, "shell")
    if re.search(r"^(?:echo .*\| )?nvcf ", block.code)
]
PARSED = [
    (page, block.line, command)
    for page in PAGES
    for block in blocks(page, "shell", "sh", "console", "bash")
    if (page, block) not in RUN
    for line in block.code.replace("\\\n", " ").splitlines()
    for command in re.split(r" (?:&&|\|) ", line.removeprefix("$ "))
]


@pytest.fixture
def folder(tmp_path: Path, samples: dict[str, dict[str, Any]]) -> Path:
    """A folder with the files that the pages name, and the command on the way of its programs."""
    (tmp_path / "photo.png").write_bytes(samples["image"]["png"].data)
    (tmp_path / "memo.wav").write_bytes(samples["audio"]["wav"].data)
    (tmp_path / "weather.json").write_text(WEATHER)
    command = tmp_path / "bin" / "nvcf"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nvcf_cli "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "block"), RUN, ids=[f"{name_of(page)}:{block.line}" for page, block in RUN]
)
def test_block(page: Path, block: Block, folder: Path, nvcf_env: Emulator) -> None:
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}",
    }
    for reply in block.replies:
        nvcf_env.reply(**reply)
    done = subprocess.run(
        ["bash", "-c", block.code], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    if block.prints is not None:
        same = prints_the_same(block.prints, done.stdout)
        assert same, f"{name_of(page)}:{block.line} prints:\n{done.stdout}{done.stderr}"


def test_blocks_of_the_command_are_run() -> None:
    assert len(RUN) > 8


@pytest.mark.parametrize(
    ("page", "line", "command"),
    PARSED,
    ids=[f"{name_of(page)}:{line}: {command}"[:60] for page, line, command in PARSED],
)
def test_command(page: Path, line: int, command: str) -> None:
    """A command of ours has the names, files and options that the page gives it."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # Variables of this one command.
        words.pop(0)
    if not words or words[0] in OF_OTHERS:
        return
    assert words[0] in CHECKS, f"{name_of(page)}:{line}: who checks {words[0]}?"
    CHECKS[words[0]](words[1:])


def _make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


def _pip(words: list[str]) -> None:
    assert words[0] == "install"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for need in words[1:]:
        name, _, extras = need.rstrip("]").partition("[")
        if name in (".", "nvcf-adapters") and extras:
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), need


def _export(words: list[str]) -> None:
    known = {"NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL", "HTTPS_PROXY", "NO_PROXY"}
    known.add("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
    for word in words:
        name, separator, value = word.partition("=")
        assert separator
        assert name in known, name
        assert name != "NVIDIA_API_KEY" or value in ("nvapi-…", API_KEY), value


def _python(words: list[str]) -> None:
    if words[0] == "-m":
        assert (ROOT / words[1].replace(".", "/")).exists() or words[1].startswith("nvcf"), words[1]
    else:
        assert (ROOT / words[0]).is_file(), words[0]


def _pytest(words: list[str]) -> None:
    for word in words:
        assert word.startswith("-") or (ROOT / word).exists(), word


def _nvcf(words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    context = group.make_context("nvcf", words, resilient_parsing=True)
    if words[0].startswith("--"):
        return
    assert words[0] in group.list_commands(context), words[0]
    options = {name for option in group.commands[words[0]].params for name in option.opts}
    used = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
    assert words[0] in ("emulator", "record") or set(used) <= options, used


def _emulator(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        emulator_main([*words, "--help"])
    assert ended.value.code == 0


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "make": _make,
    "pip": _pip,
    "export": _export,
    "python": _python,
    "pytest": _pytest,
    "nvcf": _nvcf,
    "nvcf-emulator": _emulator,
}
