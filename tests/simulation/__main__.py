"""Simulates many conversations; or one, by its seed, and prints it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .world import simulate, small_media


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--count", type=int, default=10_000, help="how many conversations (default: 10,000)"
    )
    parser.add_argument("--start", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--seed", type=int, help="hold the one conversation of this seed, and print it"
    )
    given = parser.parse_args()
    with small_media():
        return one(given.seed) if given.seed is not None else many(given.start, given.count)


def one(seed: int) -> int:
    """Print the conversation of a seed; 1 if something did not hold."""
    try:
        simulate(seed, print)
    except Exception as error:
        print(f"seed {seed}: {type(error).__name__}: {error}")
        return 1
    print(f"seed {seed}: everything holds")
    return 0


def many(start: int, count: int) -> int:
    """Hold conversations until one fails; print its seed, or how they ended."""
    began, ends = time.monotonic(), Counter[str]()
    for seed in range(start, start + count):
        try:
            talks = simulate(seed)
        except Exception as error:
            print(f"seed {seed}: {type(error).__name__}: {error}")
            print(f"To see it: python -m tests.simulation --seed {seed}")
            return 1
        for talk in talks:
            ends["left" if talk.left else type(talk.error or talk.result).__name__] += 1
        if sys.stderr.isatty() and seed % 1000 == 0:
            print(f"\r{seed - start} of {count}", end="", file=sys.stderr)
    took = time.monotonic() - began
    print(f"{count} conversations in {took:.1f} s: everything held. How their parts ended:")
    for name, number in ends.most_common():
        print(f"{number:9}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
