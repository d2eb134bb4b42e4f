"""The layers of the house: who may import whom, and what importing a package loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "shared" / "nvcf_core"
EMULATOR = ROOT / "shared" / "nvcf_emulator"

ORDER = (
    "exchange",
    "errors",
    "sources",
    "messages",
    "models",
    "settings",
    "judge",
    "locks",
    "retry",
    "keys",
    "terms",
    "pace",
    "sse",
    "stops",
    "thinking",
    "tools",
    "choice",
    "decode",
    "parameters",
    "arrange",
    "media",
    "encode",
    "assets",
    "http",
    "bodies",
    "drivers",
    "chat",
    "client",
    "adapter",
    "__init__",
)
"""The files of the core: each imports only what stands before it."""

FRAMEWORKS = {"langchain", "langchain_core", "langgraph", "llama_index", "pydantic_ai", "openai"}
HTTP = {"httpx", "httpx2", "httpcore", "requests", "aiohttp", "urllib3"}
OURS = {"nvcf_core", "nvcf_emulator", "langchain_nvcf", "llamaindex_nvcf"}
ADAPTERS = {
    "langchain_nvcf": {"langchain_core", "pydantic", "pydantic_core", "typing_extensions"},
    "llamaindex_nvcf": {"llama_index", "pydantic", "pydantic_core", "typing_extensions"},
}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of a file, but for what only type checkers see."""
    for child in ast.iter_child_nodes(tree):
        if not is_type_checking(child):
            yield child
            yield from nodes(child)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """What a file imports when it runs: how many dots, and the module."""
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is None:
            yield from ((node.level, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def outside(folder: Path) -> dict[str, set[str]]:
    """The top-level packages that each file of a package imports."""
    return {
        str(path.relative_to(folder)): {
            name.partition(".")[0] for level, name in imports(path) if not level
        }
        for path in folder.rglob("*.py")
    }


def test_the_order_names_every_file_of_the_core() -> None:
    assert sorted(ORDER) == sorted(path.stem for path in CORE.glob("*.py"))


@pytest.mark.parametrize("name", ORDER)
def test_a_core_file_imports_only_what_stands_before_it(name: str) -> None:
    before = set(ORDER[: ORDER.index(name)])
    inside = [module for level, module in imports(CORE / f"{name}.py") if level]
    assert set(inside) <= before
    assert all(level <= 1 for level, _ in imports(CORE / f"{name}.py"))


def test_the_core_knows_no_framework_and_no_adapter() -> None:
    found = set().union(*outside(CORE).values())
    assert not found & (FRAMEWORKS | OURS)
    assert found - set(sys.stdlib_module_names) == {"httpx", "pydantic", "pydantic_core"}


def test_one_file_knows_httpx() -> None:
    knowing = {name for name, found in outside(CORE).items() if found & HTTP}
    assert knowing == {"http.py"}


def test_one_file_sleeps() -> None:
    sleeping = {
        path.name
        for path in CORE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "sleep"
    }
    assert sleeping == {"drivers.py"}


@pytest.mark.parametrize("package", ADAPTERS)
def test_an_adapter_imports_the_core_and_its_own_framework(package: str) -> None:
    for name, found in outside(ROOT / package).items():
        strange = found - set(sys.stdlib_module_names) - ADAPTERS[package] - {"nvcf_core", package}
        assert not strange, f"{package}/{name} imports {strange}"


def test_the_emulator_imports_nothing_of_ours() -> None:
    found = set().union(*outside(EMULATOR).values())
    assert not found & (OURS - {"nvcf_emulator"})
    assert not found & FRAMEWORKS


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("nvcf_core", FRAMEWORKS | OURS - {"nvcf_core"}),
        ("langchain_nvcf", {"llama_index", "llamaindex_nvcf", "nvcf_emulator", "starlette"}),
        (
            "llamaindex_nvcf",
            {
                "langchain",
                "langchain_core",
                "langgraph",
                "langchain_nvcf",
                "nvcf_emulator",
                "starlette",
            },
        ),
        ("nvcf_emulator", FRAMEWORKS | OURS - {"nvcf_emulator"}),
    ],
)
def test_what_importing_a_package_loads(package: str, unwanted: set[str]) -> None:
    code = f"import sys, {package}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert package in loaded
    assert not loaded & unwanted
