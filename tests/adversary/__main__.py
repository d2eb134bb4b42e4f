"""Asks a server that means harm, again and again, in every way; prints what a call should not have done.

    python -m tests.adversary --count 3000 [--seed 1] [--first 0] [--workers 16]
    python -m tests.adversary --only NUMBER

How far it has come is told on stderr. A run that was interrupted prints what it saw, and goes on with `--first`.

Growth is told by the process's memory, descriptors and threads, between the first quarter of the calls and the end.
The calls wait most of the time, so many of them run side by side. By how much that makes each of them late is
measured, and not held against it.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import logging
import math
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NoReturn

from .judge import KEY, LogWatch, ask, complaints, longest
from .lag import LagWatch
from .server import Adversary
from .variations import variation

NEVER = 300.0
"""Seconds after which a call that is waited for will not come back any more, on any machine."""

PORTION = 100
"""Calls between two lines that tell how far it has come."""

GROWTH = 96
"""MiB by which the process may grow: answers of up to 32 MiB leave gaps in its memory."""

SETTLES_IN = 35.0
"""Seconds until the server has noticed that everybody has left."""


@dataclass
class Report:
    """What came of a run."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    latest: tuple[float, str] = (-math.inf, "")
    """By how many seconds the latest call was behind its limits, and which that was. Below zero: within them."""
    lag: float = 0.0
    """Seconds that the machine kept a call from running, at most."""
    growth: str = "growth: not measured, since it was interrupted"

    @property
    def calls(self) -> int:
        """How many were made."""
        return self.outcomes.total()

    def lines(self) -> Iterator[str]:
        """For the reader."""
        yield f"{self.calls} calls:"
        for name, count in self.outcomes.most_common():
            yield f"{count:6} {name}"
        if self.calls:
            late, name = self.latest
            yield f"latest call: {late:+.1f} s from its limits, {name}"
            yield f"the machine kept a call from running for {self.lag:.1f} s at most"
        yield self.growth
        yield f"complaints: {len(self.wrong) or 'none'}"
        yield from self.wrong


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


class Trial:
    """Calls to the server, side by side, and what is seen of them.

    Args:
        seed: of the variations.
        workers: how many calls run side by side.
    """

    def __init__(self, seed: int, workers: int) -> None:
        self._seed = seed
        self._workers = workers
        self._lock = threading.Lock()
        self.report = Report()

    def run(self, numbers: Sequence[int]) -> None:
        """Make the calls of some numbers."""
        watch = LogWatch()
        logging.getLogger().addHandler(watch)
        logging.getLogger().setLevel(logging.DEBUG)
        server = Adversary(lambda number: variation(number, self._seed, KEY))
        quarter = len(numbers) // 4
        try:
            with LagWatch() as lag:
                self._ask_all(server, lag, numbers[:quarter])
                before = _settled(server)
                self._ask_all(server, lag, numbers[quarter:])
                after = _settled(server)
        finally:
            logging.getLogger().removeHandler(watch)
            server.close()
            leaking = sorted(watch.leaking)
            self.report.wrong += [f"the key is in the log of {name}" for name in leaking]
        self.report.growth = f"before and after: {before}, {after}"
        self.report.wrong += _growth(before, after)

    def _ask_all(self, server: Adversary, lag: LagWatch, numbers: Sequence[int]) -> None:
        pool = ThreadPoolExecutor(self._workers)
        try:
            calls = [pool.submit(self._ask, server, lag, number) for number in numbers]
            for done, (number, call) in enumerate(zip(numbers, calls, strict=True), 1):
                try:
                    call.result(NEVER)
                except TimeoutError:
                    self._give_up(number)
                if done % PORTION == 0:
                    print(f"up to {number}", file=sys.stderr, flush=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _give_up(self, number: int) -> NoReturn:
        """End the process: a thread that does not come back cannot be ended."""
        self.report.wrong.append(f"{number} has not come back; this is where all threads are:")
        print("\n".join(self.report.lines()), flush=True)
        faulthandler.dump_traceback(sys.stdout)
        os._exit(1)

    def _ask(self, server: Adversary, lag: LagWatch, number: int) -> None:
        drawn = variation(number, self._seed, KEY)
        outcome = ask(server.root, drawn)
        # What it computes keeps others from running, and is no excuse.
        kept = max(0.0, lag.between(outcome.begun, outcome.ended) - outcome.computed)
        late = outcome.ended - outcome.begun - kept - longest(drawn)
        found = list(complaints(drawn, outcome.result, late))
        named = f"{number} ({', '.join(drawn.names)})"
        with self._lock:
            report = self.report
            answered = isinstance(outcome.result, str)
            report.outcomes["an answer" if answered else type(outcome.result).__name__] += 1
            report.latest = max(report.latest, (late, named))
            report.lag = max(report.lag, kept)
            report.wrong += [f"{named}: {each}" for each in found]


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


def main() -> int:
    """Run, and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.adversary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--workers", type=int, default=16, help="calls side by side")
    parser.add_argument("--only", type=int, help="one variation alone")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # Of what the model said.
    numbers = range(given.first, given.first + given.count)
    trial = Trial(given.seed, given.workers)
    try:
        trial.run(numbers if given.only is None else [given.only])
    except KeyboardInterrupt:
        trial.report.wrong.append("it was interrupted")
    print("\n".join(trial.report.lines()))
    return 1 if trial.report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
