"""What a run of the benchmarks found: on the terminal, as JSON, and in docs/performance.md and its picture."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cases import CASES
from contenders import CONTENDERS
from goals import Outcome, outcomes
from plot import Bar, Group, plot
from rich.console import Console
from rich.table import Table

__all__ = ["IMPORT", "Run", "machine", "save", "show"]

IMPORT = "import"
_HTTPX = "httpx alone"
_PACKAGES = (
    "httpx",
    "h11",
    "pydantic",
    "langchain-core",
    "llama-index-core",
    "langchain-nvidia-ai-endpoints",
    "langchain-openai",
    "llama-index-llms-openai-like",
    "llama-index-llms-nvidia",
)
_PICTURED = ("call", "acall", "calls_at_once", "burst_3000", "lone", "alone", "streams_at_once")
_WIDTH = 150


@dataclass(frozen=True)
class Run:
    """One run."""

    machine: dict[str, str]
    rounds: int
    figures: dict[str, dict[str, float]]
    """For each case, the lower quartile of what an item cost each contender, in the case's unit."""


def machine() -> dict[str, str]:
    """What was measured on, and with which versions."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def show(run: Run) -> None:
    """Print the tables."""
    console = Console(width=_WIDTH)
    for framework in ("LangChain", "LlamaIndex"):
        header, *rows = _costs(run, framework)
        table = Table(title=f"{framework}: what an item costs", title_justify="left")
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    table = Table(
        "case", "client", "measured as", "goal", "found", "", title="Goals", title_justify="left"
    )
    for row in _goals(run):
        table.add_row(*row)
    console.print(table)


def save(run: Run, folder: Path) -> None:
    """Write performance.json and performance.svg, and the tables in performance.md."""
    text = json.dumps(asdict(run), indent=1, ensure_ascii=False)
    (folder / "performance.json").write_text(f"{text}\n")
    (folder / "performance.svg").write_text(plot(_groups(run)))
    page = folder / "performance.md"
    said = page.read_text()
    parts = {
        "goals": _markdown([["case", "client", "measured as", "goal", "found", ""], *_goals(run)]),
        "LangChain": _markdown(list(_costs(run, "LangChain"))),
        "LlamaIndex": _markdown(list(_costs(run, "LlamaIndex"))),
        "versions": ", ".join(f"{name} {number}" for name, number in run.machine.items()),
    }
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        said = re.sub(pattern, lambda _, new=f"{begin}\n{part}\n{end}": new, said, flags=re.DOTALL)  # type: ignore[misc]
    page.write_text(said)


def _names(run: Run, framework: str) -> list[str]:
    """The contenders of a table, ours first. httpx is of both."""
    measured = {name: None for costs in run.figures.values() for name in costs}
    of_framework = {
        contender.name for contender in CONTENDERS if contender.framework == framework
    } | {_HTTPX}
    names = [name for name in measured if name.partition(" in ")[0] in of_framework]
    return sorted(names, key=lambda name: name == _HTTPX)


def _costs(run: Run, framework: str) -> Iterator[list[str]]:
    names = _names(run, framework)
    yield ["", *names]
    for case, costs in run.figures.items():
        if any(name in costs for name in names[:1]):
            title, unit = _title(case)
            figures = [_number(costs[name]) if name in costs else "–" for name in names]
            yield [f"{title}, {unit}", *figures]


def _title(case: str) -> tuple[str, str]:
    if case == IMPORT:
        return "import beside the framework", "µs"
    return CASES[case].title, CASES[case].unit


def _goals(run: Run) -> Iterator[list[str]]:
    for outcome in outcomes(run.figures):
        goal = outcome.goal
        yield [
            _title(goal.case)[0],
            {"LangChain": "ChatNVCF", "LlamaIndex": "NVCF"}[goal.framework],
            goal.title or "as it is",
            f"≤ {goal.most:g} {goal.unit}",
            _found(outcome),
            "✓" if outcome.met else "✗",
        ]


def _found(outcome: Outcome) -> str:
    digits = 3 if outcome.goal.most < 0.1 else 2 if outcome.goal.most < 10 else 0
    return f"{outcome.found:.{digits}f} {outcome.goal.unit}"


def _number(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.1f}" if cost >= 2 else f"{cost:.2f}"


def _markdown(rows: list[list[str]]) -> str:
    header, *body = rows
    lines = [header, ["---"] + ["---:" for _ in header[1:]], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _groups(run: Run) -> Iterator[Group]:
    for framework in ("LangChain", "LlamaIndex"):
        names = _names(run, framework)
        for case in _PICTURED:
            costs = run.figures.get(case, {})
            bars = tuple(
                Bar(name, costs[name], ours=not number)
                for number, name in enumerate(names)
                if name in costs
            )
            if bars:
                title, unit = _title(case)
                yield Group(f"{framework}: {title}", unit, bars)
