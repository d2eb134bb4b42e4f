"""The notebooks run as they are, and what is committed below their cells is what these cells print and plot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "docs" / "run_notebooks.py"
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def outputs(notebook: Any) -> list[Any]:
    return [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]


def said(notebook: Any) -> list[Any]:
    """All texts that are printed, cell by cell, and the kinds of what is shown."""
    return [
        (output.get("text"), output.get("data", {}).get("text/plain"), set(output.get("data", {})))
        for output in outputs(notebook)
    ]


def test_there_is_one_for_each_framework() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["langchain", "llamaindex"]


@each_notebook
def test_the_outputs_are_those_of_the_source(
    path: Path, load: Callable[[Path], ModuleType]
) -> None:
    notebook, runner = read(path), load(RUNNER)
    recorded = notebook.metadata[runner.DIGEST]
    assert runner.digest(notebook) == recorded, "run: make notebooks"
    changed = read(path)
    changed.cells[1].source += " "
    assert runner.digest(changed) != recorded


@each_notebook
def test_there_is_a_plot_and_no_noise(path: Path) -> None:
    notebook = read(path)
    shown = outputs(notebook)
    assert {output.output_type for output in shown} == {"stream", "execute_result", "display_data"}
    assert {output.get("name", "stdout") for output in shown} == {"stdout"}, "a warning"
    assert any("image/png" in output.get("data", {}) for output in shown), "no plot"
    numbers = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1)), "not run from top to bottom"
    text = re.sub(r'"image/\w+": "[^"]*"', "", path.read_text(encoding="utf-8"))
    for noise in (str(ROOT), str(Path.home()), "/tmp/", "site-packages", "127.0.0.1", "iopub"):
        assert noise not in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_they_run_and_print_what_is_committed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, RUNNER, "--into", tmp_path],
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=570,
    )
    assert done.returncode == 0, done.stderr
    for path in NOTEBOOKS:
        assert said(read(tmp_path / path.name)) == said(read(path)), "run: make notebooks"
