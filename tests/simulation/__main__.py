"""Simulates many conversations, on every core; or one, by its seed, and prints it.

    python -m tests.simulation --count 1000000 [--start 0] [--processes 2]
    python -m tests.simulation --seed 41

How far it has come is told on stderr. A run that was interrupted goes on with `--start`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from .batches import BATCH, held_in_batches
from .world import simulate, small_media


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--count", type=int, default=10_000, help="how many conversations (default: 10,000)"
    )
    parser.add_argument("--start", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="default: one for each core"
    )
    parser.add_argument(
        "--seed", type=int, help="hold the one conversation of this seed, and print it"
    )
    given = parser.parse_args()
    if given.seed is not None:
        return one(given.seed)
    return many(range(given.start, given.start + given.count), given.processes)


def one(seed: int) -> int:
    """Print the conversation of a seed; 1 if something did not hold."""
    try:
        with small_media():
            simulate(seed, print)
    except Exception as error:
        print(f"seed {seed}: {type(error).__name__}: {error}")
        return 1
    print(f"seed {seed}: everything holds")
    return 0


def many(seeds: range, processes: int) -> int:
    """Hold conversations until one fails; print its seed, or how they ended."""
    began, ends, held = time.monotonic(), Counter[str](), 0
    for batch in held_in_batches(seeds, processes):
        if batch.wrong:
            print(batch.wrong)
            return 1
        ends += batch.ends
        held += batch.held
        if held % (50 * BATCH) == 0:
            took = time.monotonic() - began
            print(f"{held} of {len(seeds)} in {took:.0f} s", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    print(f"{held} conversations in {took:.1f} s: everything held. How their parts ended:")
    for name, number in ends.most_common():
        print(f"{number:9}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
