"""The public names of the core, as a list in the repository: a change of the contract is a visible difference.

To write the list anew: `python tests/test_public_names.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = ROOT / "shared" / "nvcf_core"
LIST = ROOT / "tests" / "public_names.txt"


def module_name(path: Path) -> str:
    """The name under which a file of the core is imported."""
    return ".".join(path.relative_to(CORE.parent).with_suffix("").parts).removesuffix(".__init__")


def all_of(path: Path) -> list[str] | None:
    """What a file lists in `__all__`. None: it has no such list."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def defined_in(path: Path) -> Iterator[str]:
    """The names that a file binds at its top level: definitions, assignments, imports, those on demand among them."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    checked = [node for block in body if isinstance(block, ast.If) for node in block.body]
    for node in (*body, *checked):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (ast.unparse(target) for target in node.targets)
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target)


def is_empty(path: Path) -> bool:
    """Whether a file holds nothing but its docstring."""
    return len(ast.parse(path.read_text(encoding="utf-8")).body) == 1


def public_names() -> list[str]:
    """Every public name of the core, with its module."""
    files = sorted(CORE.rglob("*.py"))
    return sorted(f"{module_name(path)}.{name}" for path in files for name in all_of(path) or ())


def test_every_module_of_the_core_says_what_is_public() -> None:
    silent = [
        module_name(path)
        for path in CORE.rglob("*.py")
        if all_of(path) is None and not is_empty(path)
    ]
    assert silent == []


def test_what_is_public_exists_and_has_no_underscore() -> None:
    for path in CORE.rglob("*.py"):
        names = all_of(path) or []
        assert len(names) == len(set(names)), f"{module_name(path)}.__all__ names one twice"
        assert not [name for name in names if name.startswith("_")]
        assert set(names) <= set(defined_in(path)), f"{module_name(path)}.__all__ names strangers"


def test_the_list_names_all_that_is_public() -> None:
    listed = LIST.read_text(encoding="utf-8").splitlines()
    assert listed == public_names(), "python tests/test_public_names.py writes the list anew"


if __name__ == "__main__":
    LIST.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
