"""Our clients and others side by side: the processor time of each case, what was promised of it, and a picture.

Every client is a live process of its own, and so is the server. They take short blocks in turns, so that what else
the machine does falls on all of them alike; of several rounds the lower quartile counts, since disturbances only add.
A number says little by itself: the ratios within one run say something.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from cases import CASES
from client import Client, import_cost
from contenders import CONTENDERS, Contender
from report import IMPORT, Run, machine, save, show
from serving import server

_DOCS = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True)
class _Racer:
    """A contender and the tree that it runs from."""

    contender: Contender
    tree: Path | None = None
    costs: dict[str, list[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.contender.name + (f" in {self.tree.name}" if self.tree else "")

    def add(self, case: str, cost: float | None) -> None:
        if cost is not None:
            self.costs.setdefault(case, []).append(cost)


def _racers(names: list[str], against: list[Path]) -> Iterator[_Racer]:
    for contender in CONTENDERS:
        ours = contender.module in ("langchain_nvcf", "llamaindex_nvcf")
        if contender.name not in names:
            continue
        if not contender.installed:
            print(f"{contender.name} is not installed, and left out.", file=sys.stderr)
            continue
        yield _Racer(contender)
        if ours:
            yield from (_Racer(contender, tree.resolve()) for tree in against)


def _measure(racers: list[_Racer], cases: list[str], rounds: int) -> Iterator[str]:
    """Fill in what everything cost, case by case. A first round warms everything up, and is not counted.

    Yields:
        Each case, when it has been measured.
    """
    with server() as root, ExitStack() as stack:
        clients = [Client(root, racer.contender.name, racer.tree) for racer in racers]
        for client in clients:
            stack.callback(client.close)
        for case in cases:
            print(f"\r{case:<20}", end="", file=sys.stderr, flush=True)
            for number in range(2 if CASES[case].exact else rounds + 1):
                for racer, client in zip(racers, clients, strict=True):
                    cost = client.run(case)
                    if number:
                        racer.add(case, cost)
            yield case


def _measure_imports(racers: list[_Racer], rounds: int) -> None:
    for number in range(rounds + 1):
        for racer in racers:
            contender = racer.contender
            if contender.module is not None:
                cost = import_cost(contender.framework, contender.module, racer.tree)
                if number:  # The first may have to compile.
                    racer.add(IMPORT, cost)


def _figures(racers: list[_Racer], cases: list[str]) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {case: {} for case in cases}
    for racer in racers:
        for case, costs in racer.costs.items():
            low = (
                statistics.quantiles(costs, n=4, method="inclusive")[0]
                if len(costs) > 1
                else costs[0]
            )
            figures[case][racer.name] = low
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="that count (%(default)s)")
    parser.add_argument(
        "--cases", nargs="+", choices=[*CASES, IMPORT], default=[*CASES, IMPORT], metavar="CASE",
        help=f"only these of: {', '.join(CASES)}, {IMPORT}",
    )  # fmt: skip
    parser.add_argument(
        "--against", type=Path, nargs="+", default=[], metavar="TREE",
        help="measure our clients as they are in these source trees, too",
    )  # fmt: skip
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument(
        "--clients", nargs="+", choices=names, default=names, metavar="CLIENT",
        help=f"only these of: {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument(
        "--save",
        action="store_true",
        help="write docs/performance.json, .svg and the tables of .md",
    )
    options = parser.parse_args()
    racers = list(_racers(options.clients, options.against))
    if IMPORT in options.cases:
        _measure_imports(racers, options.rounds)
    measured = [IMPORT] if IMPORT in options.cases else []
    for case in _measure(
        racers, [case for case in options.cases if case != IMPORT], options.rounds
    ):
        measured.append(case)
        if options.save:  # As far as it has come, should it be interrupted.
            save(_run(racers, measured, options.rounds), _DOCS)
    run = _run(racers, measured, options.rounds)
    show(run)
    if not options.save:
        print(json.dumps(run.figures), file=sys.stderr)


def _run(racers: list[_Racer], cases: list[str], rounds: int) -> Run:
    return Run(machine(), rounds, _figures(racers, cases))


if __name__ == "__main__":
    main()
