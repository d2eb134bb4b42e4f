"""Every example says in its first lines what it needs, and that is what it imports."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted([*FOLDER.glob("[!_]*.py"), FOLDER / "web" / "server.py"])

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
    "fastapi": "fastapi",
    "starlette": "fastapi",
    "chromadb": "llama-index-vector-stores-chroma",
    "langchain_chroma": "langchain-chroma",
    "langchain_mcp_adapters": "langchain-mcp-adapters",
    "langchain_nvidia_ai_endpoints": "langchain-nvidia-ai-endpoints",
    "langchain_openai": "langchain-openai",
    "langgraph.checkpoint.sqlite": "langgraph-checkpoint-sqlite",
    "llama_index.embeddings.nvidia": "llama-index-embeddings-nvidia openai",  # Which it forgets.
    "llama_index.tools.mcp": "llama-index-tools-mcp",
    "llama_index.vector_stores.chroma": "llama-index-vector-stores-chroma",
    "uvicorn": "uvicorn",
    "nvcf_core.observability.otel": "nvcf-adapters[otel]",
    "opentelemetry": "nvcf-adapters[otel]",
    "opentelemetry.sdk": "opentelemetry-sdk",
}
"""What is to be installed for a package to be there; several things are apart by a space."""


def installed(example: Path) -> set[str]:
    """What is installed by the command in the first lines, each extra by itself."""
    said = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    (command,) = re.findall(r"^Needs: pip install (.+)$", said, re.MULTILINE)
    found = set()
    for need in shlex.split(command):
        name, _, extras = need.partition("[")
        found |= {name} | {f"{name}[{extra}]" for extra in extras.rstrip("]").split(",") if extra}
    return found


def imported(example: Path) -> set[str]:
    """The modules that an example imports, but for the standard library and its neighbours."""
    found = set()
    for node in ast.walk(ast.parse(example.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    own = set(sys.stdlib_module_names)
    return {name for name in found if name.partition(".")[0] not in own and name[0] != "_"}


def bringer(module: str) -> str:
    """What brings a module: a part of a namespace may come by itself."""
    return BROUGHT_BY[max((name for name in BROUGHT_BY if is_in(module, name)), key=len)]


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_what_it_needs(example: Path) -> None:
    needed = {need for module in imported(example) for need in bringer(module).split()}
    assert needed | {"nvcf-adapters", "nvcf-adapters[emulator]"} == installed(example)
