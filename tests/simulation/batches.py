"""Conversations by the thousand, on several processes."""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from .world import simulate, small_media

__all__ = ["BATCH", "Batch", "held_in_batches"]

BATCH = 1_000
"""Conversations that a process holds before it says how they ended."""


@dataclass
class Batch:
    """What came of some conversations."""

    ends: Counter[str] = field(default_factory=Counter[str])
    """How their parts ended."""
    held: int = 0
    """How many conversations that was."""
    wrong: str = ""
    """What did not hold; the conversations behind it were not held. Empty if all did."""


def held_in_batches(seeds: range, processes: int) -> Iterator[Batch]:
    """Hold the conversation of each seed; what came of them, in their order.

    Who stops listening stops the processes.
    """
    portions = [seeds[place : place + BATCH] for place in range(0, len(seeds), BATCH)]
    clean = multiprocessing.get_context("spawn")
    # What was imported stays: no collection needs to look at it.
    with ProcessPoolExecutor(processes, mp_context=clean, initializer=gc.freeze) as pool:
        yield from pool.map(_hold, portions)


def _hold(seeds: range) -> Batch:
    batch = Batch()
    with small_media():
        for seed in seeds:
            try:
                talks = simulate(seed)
            except Exception as error:
                batch.wrong = f"seed {seed}: {type(error).__name__}: {error}\n"
                batch.wrong += f"To see it: python -m tests.simulation --seed {seed}"
                return batch
            batch.held += 1
            batch.ends.update(
                "left" if t.left else type(t.error or t.result).__name__ for t in talks
            )
    return batch
