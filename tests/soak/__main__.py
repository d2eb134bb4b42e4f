"""Load with faults, for minutes: memory and descriptors stay flat, and every call is accounted for."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.reliability.conftest import make_png

from .load import Load

MOST_GROWTH = 24 << 20
"""Bytes by which memory may differ between the time after the warm-up and the end."""
WARM_UP = 0.3
"""The part of the time in which pools, caches and the heap find their size."""


def memory() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Open files and sockets of this process."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def service(seed: int) -> Iterator[dict[str, str]]:
    """The troubled service; where it is."""
    command = [sys.executable, "-m", "tests.soak.service", str(seed)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the service has no pipes")
        yield json.loads(process.stdout.readline())
        process.stdin.close()


async def soak(load: Load, seconds: float, workers: int) -> list[tuple[float, int, int]]:
    """Run the load; return (seconds, bytes, descriptors), about every second."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, said: load.ledger.wrong(f"asyncio: {said}"))
    running = asyncio.create_task(load.run(seconds, workers))
    samples: list[tuple[float, int, int]] = []
    begun = time.monotonic()
    while not running.done():
        await asyncio.wait([running], timeout=min(1.0, seconds / 20))
        gc.collect()
        samples.append((time.monotonic() - begun, memory(), descriptors()))
        progress(load, *samples[-1])
    await running
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if left:
        load.ledger.wrong(f"{len(left)} tasks are left: {left[0]}")
    return samples


def progress(load: Load, seconds: float, used: int, files: int) -> None:
    """One line: over itself on a terminal, else now and then."""
    ledger = load.ledger
    line = (
        f"{seconds:6.0f} s  {ledger.accounted:,} calls, {ledger.outcomes['answered']:,} answered, "
        f"{used >> 20} MiB, {files} descriptors, {len(ledger.violations)} violations"
    )
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif int(seconds) % 30 == 0:
        print(line, file=sys.stderr, flush=True)


def judge(load: Load, samples: list[tuple[float, int, int]], files_before: int) -> None:
    """Note what the numbers say that must not be."""
    ledger = load.ledger
    if ledger.accounted != ledger.begun:
        ledger.wrong(f"{ledger.begun} calls were begun, {ledger.accounted} are accounted for")
    if not ledger.outcomes["answered"]:
        ledger.wrong("nothing was answered at all")
    warm = [used for seconds, used, _ in samples if seconds > WARM_UP * samples[-1][0]]
    part = max(1, len(warm) // 4)
    growth = statistics.median(warm[-part:]) - statistics.median(warm[:part])
    print(
        f"memory after the warm-up: {warm[0] >> 20} MiB, growth to the end: {growth / 2**20:+.1f} MiB"
    )
    if growth > MOST_GROWTH:
        ledger.wrong(f"memory grew by {growth / 2**20:.1f} MiB")
    files_after = descriptors()
    print(
        f"descriptors: {files_before} before, {max(f for *_, f in samples)} at most, {files_after} after"
    )
    if files_after > files_before:
        ledger.wrong(f"{files_after - files_before} descriptors are left open")


def main() -> int:
    """Parse the command line, run, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="how long (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="how long, in seconds, instead")
    parser.add_argument(
        "--workers", type=int, default=24, help="calls under way at once (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choices (default: %(default)s)")
    given = parser.parse_args()
    seconds = given.minutes * 60 if given.seconds is None else given.seconds
    warnings.simplefilter("error", ResourceWarning)
    with service(given.seed) as where:
        load = Load(where, make_png(260), given.seed)
        sys.unraisablehook = lambda said: load.ledger.wrong(f"ignored: {said.exc_value!r}")
        threads = threading.active_count()
        files = descriptors()
        samples = asyncio.run(soak(load, seconds, given.workers))
        gc.collect()
        judge(load, samples, files)
        if threading.active_count() > threads:
            load.ledger.wrong(f"{threading.active_count() - threads} threads are left")
    return report(load)


def report(load: Load) -> int:
    """Print what became of the calls; 1 if anything was wrong."""
    ledger: Any = load.ledger
    print(f"{ledger.begun:,} calls:")
    for outcome, count in ledger.outcomes.most_common():
        print(f"  {count:9,}  {outcome}")
    for violation in ledger.violations:
        print(f"VIOLATION: {violation}")
    print("violations: " + (f"{len(ledger.violations)}" if ledger.violations else "none"))
    return 1 if ledger.violations else 0


if __name__ == "__main__":
    sys.exit(main())
