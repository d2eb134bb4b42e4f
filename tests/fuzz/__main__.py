"""Fuzzes for a while; prints the input that breaks something, and keeps it."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import tracemalloc
from pathlib import Path

from .targets import TARGETS, Target, changed

SLOW = 2.0
"""Seconds that one small input may take."""
LARGE = 64 << 20
"""Bytes that reading one small input may add at once."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60, help="for how long, in all (default: 60)"
    )
    parser.add_argument(
        "--target", choices=sorted(TARGETS), help="one target alone (default: all in turn)"
    )
    parser.add_argument("--seed", type=int, default=None, help="makes a run repeatable")
    parser.add_argument("--input", type=Path, help="check the one input in this file, of --target")
    given = parser.parse_args()
    if given.input is not None:
        if given.target is None:
            parser.error("--input needs --target")
        TARGETS[given.target].check(given.input.read_bytes(), [])
        return 0
    targets = [TARGETS[given.target]] if given.target else list(TARGETS.values())
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}")
    return max(
        fuzz(target, given.seconds / len(targets), random.Random(seed)) for target in targets
    )


def fuzz(target: Target, seconds: float, rng: random.Random) -> int:
    """Feed a target until the time is over or something breaks."""
    corpus, count, end = target.corpus(), 0, time.monotonic() + seconds
    tracemalloc.start()
    try:
        while time.monotonic() < end:
            data = made(target, corpus, rng)
            cuts = [rng.randrange(1 << 16) for _ in range(rng.randrange(6))]
            count += 1
            if trouble := tried(target, data, cuts):
                return report(target, data, cuts, trouble)
    finally:
        tracemalloc.stop()
    print(f"{target.name}: {count} inputs, all well")
    return 0


def made(target: Target, corpus: list[bytes], rng: random.Random) -> bytes:
    """An input: something of the corpus, changed, doubled, spliced."""
    data = rng.choice(corpus)
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data) + 1)] + rng.choice(corpus)
    if rng.random() < 0.02:
        data = data * rng.randrange(2, 60)
    edits = []
    for _ in range(rng.randrange(6)):
        new = rng.choice(target.words) if rng.random() < 0.6 else rng.randbytes(rng.randrange(4))
        edits.append((rng.random(), rng.randrange(12), new * rng.choice((1, 1, 1, 40))))
    return changed(data, edits)


def tried(target: Target, data: bytes, cuts: list[int]) -> str:
    """What is wrong with the way an input is taken; empty if nothing."""
    tracemalloc.reset_peak()
    before, began = tracemalloc.get_traced_memory()[0], time.process_time()
    try:
        target.check(data, cuts)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if (took := time.process_time() - began) > SLOW:
        return f"{len(data)} bytes took {took:.1f} s"
    if (grown := tracemalloc.get_traced_memory()[1] - before) > LARGE:
        return f"{len(data)} bytes took {grown} bytes of memory"
    return ""


def report(target: Target, data: bytes, cuts: list[int], trouble: str) -> int:
    """Keep the input, and say how to see it again."""
    path = Path(f"fuzz-{target.name}-{hashlib.sha256(data).hexdigest()[:8]}")
    path.write_bytes(data)
    print(f"{target.name}: {trouble}")
    print(f"cuts {cuts}; the input is in {path}:")
    print(f"  python -m tests.fuzz --target {target.name} --input {path}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
