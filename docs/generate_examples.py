"""Writes the list of docs/examples.md: each example by its own first lines.

python docs/generate_examples.py
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("examples.md")
_BEGIN = "<!-- The list is written by docs/generate_examples.py. -->"
_END = "<!-- The list ends. -->"
_LIST = re.compile(f"(?<={_BEGIN}\n).*(?={_END})", re.DOTALL)
_NEEDS = re.compile(r"^Needs: (?:pip install )?(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A program, a folder of one, or a notebook."""

    path: Path
    says: str
    """Its first sentence."""
    needs: str
    """What is to be installed for it; nothing where it does not say."""


def examples() -> Iterator[Example]:
    """All examples: programs, folders that have a README and a program, notebooks."""
    folder = ROOT / "examples"
    for path in sorted(folder.glob("[!_]*.py")):
        yield _example(path, ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    for path in sorted(folder.glob("*/README.md")):
        if any(path.parent.glob("*.py")):
            yield _example(path, _without_heading(path.read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        yield _example(path, _without_heading("".join(first["source"])))


def listing() -> str:
    """The list, in Markdown."""
    rows = ["| example | what it shows | needs |\n| --- | --- | --- |\n"]
    for example in examples():
        link = example.path.relative_to(ROOT).as_posix()
        name = (
            example.path.parent.name + "/"
            if example.path.name == "README.md"
            else example.path.name
        )
        needs = f"`{example.needs}`" if example.needs else ""
        rows.append(f"| [{name}](../{link}) | {example.says} | {needs} |\n")
    return "".join(rows)


def page(text: str) -> str:
    """The page with its list as the examples have it now."""
    return _LIST.sub(lambda _: listing(), text)


def _example(path: Path, text: str) -> Example:
    first = " ".join(text.partition("\n\n")[0].split())
    if not first:
        raise ValueError(f"{path} does not say what it shows")
    needs = _NEEDS.search(text)
    return Example(path, first, needs[1].strip("`") if needs else "")


def _without_heading(text: str) -> str:
    return re.sub(r"\A#+ .*\n+", "", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
