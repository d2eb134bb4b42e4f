"""Asks a server that means harm, again and again, in every way; prints what a call should not have done.

    python -m tests.adversary --count 3000 [--seed 1] [--only NUMBER]

Growth is told by the process's memory, descriptors and threads, between the first quarter of the calls and the end.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import logging
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .judge import KEY, LogWatch, ask, complaints
from .server import Adversary
from .variations import Variation, variation

WORKERS = 8

GROWTH = 96
"""MiB by which the process may grow: answers of up to 32 MiB leave gaps in its memory."""

SETTLES_IN = 35.0
"""Seconds until the server has noticed that everybody has left."""


@dataclass
class Report:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    longest: tuple[float, str] = (0.0, "")


@dataclass(frozen=True)
class Footprint:
    """What the process holds."""

    memory: int
    """MiB that are resident."""
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Footprint:
        """After a collection. What was given back is left to the system, as far as the C library can."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        descriptors = len(os.listdir("/proc/self/fd"))
        return cls(pages * os.sysconf("SC_PAGE_SIZE") >> 20, descriptors, threading.active_count())


def run(numbers: Sequence[int], seed: int) -> Report:
    """Make the calls of some numbers."""
    report, lock = Report(), threading.Lock()
    server = Adversary(lambda number: variation(number, seed, KEY))

    def one(number: int) -> None:
        drawn = variation(number, seed, KEY)
        outcome, took = ask(server.root, drawn)
        found = list(complaints(drawn, outcome, took))
        with lock:
            name = "an answer" if isinstance(outcome, str) else type(outcome).__name__
            report.outcomes[name] += 1
            report.longest = max(report.longest, (took, _named(drawn)))
            report.wrong += [f"{_named(drawn)}: {each}" for each in found]

    watch = LogWatch()
    logging.getLogger().addHandler(watch)
    logging.getLogger().setLevel(logging.DEBUG)
    quarter = len(numbers) // 4
    try:
        with ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(one, numbers[:quarter]))
            before = _settled(server)
            list(workers.map(one, numbers[quarter:]))
            after = _settled(server)
    finally:
        logging.getLogger().removeHandler(watch)
        server.close()
    report.wrong += [f"the key is in the log of {name}" for name in sorted(watch.leaking)]
    report.wrong += _growth(before, after)
    return report


def _settled(server: Adversary) -> Footprint:
    """What the process holds when the server has noticed that everybody has left."""
    deadline = time.monotonic() + SETTLES_IN
    while server.open_connections and time.monotonic() < deadline:
        time.sleep(0.05)
    return Footprint.now()


def _growth(before: Footprint, after: Footprint) -> list[str]:
    grown = []
    if after.memory > before.memory + GROWTH:
        grown.append(f"memory grew from {before.memory} to {after.memory} MiB")
    if after.descriptors > before.descriptors:
        grown.append(f"descriptors grew from {before.descriptors} to {after.descriptors}")
    if after.threads > before.threads:
        grown.append(f"threads grew from {before.threads} to {after.threads}")
    return grown


def _named(drawn: Variation) -> str:
    return f"{drawn.number} ({', '.join(drawn.names)})"


def main() -> int:
    """Run, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversary", description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one variation alone")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # Of what the model said.
    numbers = range(given.count) if given.only is None else [given.only]
    report = run(numbers, given.seed)
    for name, count in report.outcomes.most_common():
        print(f"{count:6} {name}")
    print(f"longest call: {report.longest[0]:.1f} s, {report.longest[1]}")
    print("\n".join(report.wrong) if report.wrong else "complaints: none")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
