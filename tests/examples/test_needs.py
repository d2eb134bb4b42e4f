"""Every example says in its first lines what it needs, and that is what it imports."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[!_]*.py"))

BROUGHT_BY = {
    "langchain_nvcf": "nvcf-adapters[langchain]",
    "langchain_core": "nvcf-adapters[langchain]",
    "llamaindex_nvcf": "nvcf-adapters[llamaindex]",
    "llama_index": "nvcf-adapters[llamaindex]",
    "nvcf_core": "nvcf-adapters",
    "pydantic": "nvcf-adapters",
    "httpx": "nvcf-adapters",
    "langchain": "langchain",
    "langgraph": "langchain",
    "rank_bm25": "rank-bm25",
    "rich": "rich",
    "ray": "nvcf-adapters[batch]",
    "nvcf_core.otel": "nvcf-adapters[otel]",
    "opentelemetry": "nvcf-adapters[otel]",
    "opentelemetry.sdk": "opentelemetry-sdk",
}
"""What is to be installed for a package to be there."""


def installed(example: Path) -> set[str]:
    """What is installed by the command in the first lines, each extra by itself."""
    said = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    (command,) = re.findall(r"^Needs: pip install (.+)$", said, re.MULTILINE)
    found = set()
    for need in shlex.split(command):
        name, _, extras = need.partition("[")
        found |= {name} | {f"{name}[{extra}]" for extra in extras.rstrip("]").split(",") if extra}
    return found


def packages(module: str) -> set[str]:
    """The packages that a module belongs to: the first, and the second where that is installed by itself."""
    first, *rest = module.split(".")
    both = f"{first}.{rest[0]}" if rest else first
    return {first, both} if both in BROUGHT_BY else {first}


def imported(example: Path) -> set[str]:
    """The packages that an example imports, but for the standard library and its neighbours."""
    found = set()
    for node in ast.walk(ast.parse(example.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name for alias in node.names for name in packages(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            found |= packages(node.module or "")
    return {name for name in found - set(sys.stdlib_module_names) if not name.startswith("_")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_it_needs(example: Path) -> None:
    needed = {BROUGHT_BY[name] for name in imported(example)}
    assert needed | {"nvcf-adapters", "nvcf-adapters[emulator]"} == installed(example)
