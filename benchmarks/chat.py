"""Chat calls side by side with other clients: what one call costs, and one chunk of a stream.

Everything is measured in one run, in turns, against a server in another process that does nothing but answer; a number
says little by itself, the ratios say something. CPU is that of this process alone; of several rounds the best counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from contenders import CONTENDERS, Contender
from rich.console import Console
from rich.table import Table
from serving import server

CONSOLE = Console(width=100)


@dataclass(frozen=True)
class Cost:
    """What something took, in seconds each."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Measure:
    """One thing to measure: how, of which calls, and how many units one run has."""

    title: str
    unit: str
    run: Callable[[Any, asyncio.Runner], Cost]
    wall: bool = False
    """Whether the time on the wall says something, too."""


def timed(work: Callable[[], object]) -> Cost:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def each(total: Cost, count: int) -> Cost:
    return Cost(total.wall / count, total.cpu / count)


def measures(calls: int, chunks: int, streams: int) -> list[Measure]:
    """What is measured.

    Args:
        calls: whole calls in a row.
        chunks: chunks of a stream.
        streams: streams at once.
    """

    def whole(client: Any, _: asyncio.Runner) -> Cost:
        return each(timed(lambda: [client.whole("Hello") for _ in range(calls)]), calls)

    def awhole(client: Any, loop: asyncio.Runner) -> Cost:
        async def ask() -> None:
            for _ in range(calls):
                await client.awhole("Hello")

        return each(timed(lambda: loop.run(ask())), calls)

    def stream(client: Any, _: asyncio.Runner) -> Cost:
        one = timed(lambda: client.stream("chunks=1"))
        many = timed(lambda: client.stream(f"chunks={chunks + 1}"))
        return Cost(0, max(many.cpu - one.cpu, 0) / chunks)

    def astream(client: Any, loop: asyncio.Runner) -> Cost:
        one = timed(lambda: loop.run(client.astream("chunks=1")))
        many = timed(lambda: loop.run(client.astream(f"chunks={chunks + 1}")))
        return Cost(0, max(many.cpu - one.cpu, 0) / chunks)

    def at_once(client: Any, loop: asyncio.Runner) -> Cost:
        length = max(chunks // 3, 1)

        async def ask() -> None:
            await asyncio.gather(*(client.astream(f"chunks={length}") for _ in range(streams)))

        return each(timed(lambda: loop.run(ask())), length * streams)

    return [
        Measure("a whole call, sync", "call", whole, wall=True),
        Measure("a whole call, async", "call", awhole, wall=True),
        Measure("a chunk of a stream, sync", "chunk", stream),
        Measure("a chunk of a stream, async", "chunk", astream),
        Measure(f"a chunk of {streams} streams at once, async", "chunk", at_once, wall=True),
    ]


def compare(
    measure: Measure, clients: dict[Contender, Any], rounds: int, loop: asyncio.Runner
) -> dict[Contender, Cost]:
    """The best of several rounds, the clients taking turns; of the wall's time the median."""
    costs: dict[Contender, list[Cost]] = {contender: [] for contender in clients}
    for number in range(rounds + 1):
        for contender, client in clients.items():
            cost = measure.run(client, loop)
            if number:  # The first warms connections, caches and imports.
                costs[contender].append(cost)
    return {
        contender: Cost(median(c.wall for c in some), min(c.cpu for c in some))
        for contender, some in costs.items()
    }


def show(measure: Measure, costs: dict[Contender, Cost]) -> None:
    table = Table(title=f"CPU of {measure.title}", title_justify="left")
    table.add_column("client")
    table.add_column(f"µs a {measure.unit}", justify="right")
    table.add_column("against ours", justify="right")
    if measure.wall:
        table.add_column(f"µs on the wall a {measure.unit}", justify="right")
    ours: dict[str, float] = {}
    for contender, cost in costs.items():
        base = ours.setdefault(contender.framework, cost.cpu)
        row = [contender.name, f"{cost.cpu * 1e6:,.1f}", f"{cost.cpu / base:.2f} x"]
        table.add_row(*row, *([f"{cost.wall * 1e6:,.1f}"] if measure.wall else []))
    CONSOLE.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="that count (%(default)s)")
    parser.add_argument("--calls", type=int, default=50, help="in a row (%(default)s)")
    parser.add_argument("--chunks", type=int, default=300, help="of a stream (%(default)s)")
    parser.add_argument("--streams", type=int, default=100, help="at once (%(default)s)")
    options = parser.parse_args()
    with server() as root, asyncio.Runner() as loop:
        clients = {}
        for contender in CONTENDERS:
            if contender.installed:
                clients[contender] = contender.make(root)
            else:
                CONSOLE.print(f"{contender.name} is not installed, and left out.")
        for measure in measures(options.calls, options.chunks, options.streams):
            show(measure, compare(measure, clients, options.rounds, loop))


if __name__ == "__main__":
    main()
