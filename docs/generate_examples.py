"""Writes examples/README.md: every example and notebook with its first line and what it needs.

python docs/generate_examples.py
"""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
PAGE = EXAMPLES / "README.md"
NEEDS = re.compile(r"^Needs: pip install (.+)$", re.MULTILINE)

_ABOUT = """\
# Examples

Each runs as it is: `python examples/see.py`, or `make examples` for all of the scripts, each with exactly what it
needs; `make web` for the page to chat on, `pytest examples/offline` for the tests. From a checkout, write `.` for
`nvcf-adapters`: `pip install ".[langchain,emulator]" langchain`.

With `NVIDIA_API_KEY` set they ask the service; without, [the emulator](../docs/emulator.md) answers, from
[`stand_in.yaml`](stand_in.yaml) where that knows the question. Some take a file, a folder or a question of yours as
an argument.

"""


@dataclass(frozen=True)
class Example:
    """An example, as its first lines describe it."""

    path: Path
    about: str
    needs: str
    """What pip is to install."""


def script(path: Path) -> Example:
    """The description of a script.

    Raises:
        ValueError: Its first lines do not say what it needs.
    """
    return _example(path, ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")


def notebook(path: Path) -> Example:
    """The description of a notebook, which is its first cell.

    Raises:
        ValueError: The first cell does not say what it needs.
    """
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    return _example(path, "".join(first["source"]).removeprefix("# ").replace("`", ""))


def _example(path: Path, said: str) -> Example:
    found = NEEDS.search(said)
    if found is None:
        raise ValueError(f"{path.name} does not say what it needs")
    return Example(path, said.partition("\n")[0], found[1])


def page() -> str:
    """The page as the examples have it now."""
    paths = [*sorted(EXAMPLES.glob("[!_]*.py")), *sorted(EXAMPLES.glob("*/*.py"))]
    scripts = [script(path) for path in paths]
    notebooks = [notebook(path) for path in sorted(EXAMPLES.glob("notebooks/*.ipynb"))]
    rows = ["| | what it shows | `pip install` |", "| --- | --- | --- |"]
    for example in (*scripts, *notebooks):
        place = example.path.relative_to(EXAMPLES)
        rows.append(f"| [`{place}`]({place}) | {example.about} | `{example.needs}` |")
    return _ABOUT + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
