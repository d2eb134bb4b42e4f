"""Feeds a target inputs at random, for a while."""

from __future__ import annotations

import hashlib
import random
import time
import tracemalloc
from pathlib import Path

from .targets import TARGETS, Target, changed

__all__ = ["fuzz"]

SLOW = 2.0
"""Seconds that one small input may take."""
LARGE = 64 << 20
"""Bytes that reading one small input may add at once."""


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Feed a target until the time is over or something breaks; say what came of it.

    Returns:
        0 if all was well, else 1.
    """
    target, rng = TARGETS[name], random.Random(seed)
    corpus, count, end = target.corpus(), 0, time.monotonic() + seconds
    began = time.process_time()
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
    took = time.process_time() - began
    print(f"{name}: {count} inputs in {took:.0f} s of processor time, all well", flush=True)
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
    where = " ".join(map(str, cuts))
    print("To see it again:")
    print(
        f"  python -m tests.fuzz --target {target.name} --input {path} --cuts {where}", flush=True
    )
    return 1
