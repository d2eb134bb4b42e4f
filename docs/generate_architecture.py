"""Writes the tree of docs/architecture.md: the modules of the core and the emulator, each by its first line.

python docs/generate_architecture.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("architecture.md")
_BEGIN = "<!-- The tree is written by docs/generate_architecture.py. -->"
_END = "<!-- The tree ends. -->"
_ORDERS = {
    "nvcf_core": ROOT / "tests" / "test_layers.py",
    "nvcf_emulator": ROOT / "tests" / "emulator" / "test_layers.py",
}
"""Where the tests keep the order of each package's modules."""


def page(text: str) -> str:
    """The page, with its tree made anew."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    trees = "\n".join(line for package in _ORDERS for line in _tree(package))
    return f"{before}{_BEGIN}\n\n```text\n{trees}\n```\n\n{_END}{after}"


def _tree(package: str) -> Iterator[str]:
    """A package and its modules, a folder where the first of its modules stands."""
    folder = ROOT / "shared" / package
    yield f"shared/{package}/"
    told: set[Path] = set()
    for module in _order(_ORDERS[package]):
        path = Path(*module.split("."))
        if not module or (folder / path).is_dir():
            continue
        for parent in reversed(path.parents[:-1]):
            if parent not in told:
                told.add(parent)
                yield _line(f"{_indent(parent)}{parent.name}/", folder / parent / "__init__.py")
        yield _line(f"{_indent(path)}{path.name}.py", (folder / path).with_suffix(".py"))


def _indent(path: Path) -> str:
    return "  " * len(path.parts)


def _line(name: str, path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return f"{name:<26}{docstring.partition(chr(10))[0]}"


def _order(test: Path) -> tuple[str, ...]:
    """The constant `ORDER` of a test module."""
    for node in ast.parse(test.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            order: tuple[str, ...] = ast.literal_eval(node.value)
            return order
    raise LookupError(f"{test} has no ORDER")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
