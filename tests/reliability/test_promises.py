"""The page of promises names the test behind each one: they exist, and no promise is without."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NODES = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def defined_in(path: str) -> set[str]:
    """The names of a file's tests."""
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


@pytest.mark.parametrize(("path", "name"), NODES, ids=[name for _, name in NODES])
def test_it_exists(path: str, name: str) -> None:
    assert name in defined_in(path)


def test_every_row_has_one() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    promises = [row for row in rows if not row.startswith("| Promise")]
    assert len(promises) > 40
    for row in promises:
        assert "::test_" in row, row
