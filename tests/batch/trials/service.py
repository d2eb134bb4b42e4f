"""The service that trials ask: an emulator that fails now and then, and notes when which row was asked."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nvcf_emulator import Emulator, Received

__all__ = ["FAULTS", "Arrivals", "troubled_service"]

_ROW = re.compile(r"row (\d+)\.")

FAULTS: dict[str, Callable[[Emulator, str], None]] = {
    "429": lambda service, row: service.fail(429, retry_after=1, when=row),
    "500": lambda service, row: service.fail(500, when=row),
    "503": lambda service, row: service.fail(503, when=row),
    "504": lambda service, row: service.fail(504, when=row),
    "202 and a poll": lambda service, row: service.accept(1, when=row),
    "reset": lambda service, row: service.fault("reset", when=row),
    "close": lambda service, row: service.fault("close", when=row),
    "half-close": lambda service, row: service.fault("half-close", when=row),
    "garbage": lambda service, row: service.fault("garbage", when=row),
    "truncate": lambda service, row: service.fault("truncate", when=row),
    "stall": lambda service, row: service.fault("stall", when=row),
    "stall-body": lambda service, row: service.fault("stall-body", when=row),
    "bad-json": lambda service, row: service.fault("bad-json", when=row),
    "400": lambda service, row: service.fail(400, when=row),
}
"""What may befall a row, once."""

FINAL = frozenset(("bad-json", "400"))
"""Those that are not tried again: such a row fails, until failed rows are asked again."""


@dataclass
class Arrivals:
    """Requests for an answer, as the service counts them."""

    times: list[float] = field(default_factory=list[float])
    """Of all of them, by `time.monotonic`, in order."""
    of_row: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: Received) -> None:
        """Take a request that arrived."""
        if request.place != "ask":
            return
        found = _ROW.search(json.dumps(request.body["messages"][-1]["content"]))
        now = time.monotonic()
        with self._lock:
            self.times.append(now)
            if found is not None:
                self.of_row.setdefault(int(found[1]), []).append(now)

    def most_within(self, seconds: float) -> int:
        """The most that arrived within so many seconds, wherever they begin."""
        return max(
            (
                bisect_left(self.times, start + seconds) - place
                for place, start in enumerate(self.times)
            ),
            default=0,
        )

    def rows(self) -> dict[int, list[float]]:
        """When each row was asked; a copy."""
        with self._lock:
            return {row: list(times) for row, times in self.of_row.items()}


@contextmanager
def troubled_service(
    rows: int, share: float, seed: int
) -> Iterator[tuple[Emulator, Arrivals, set[int]]]:
    """An emulator where each fault befalls some rows, drawn by chance.

    Args:
        rows: how many there are.
        share: the part of them, for each fault.
        seed: of the chance.

    Yields:
        The emulator, what arrives at it, and the rows that fail for good.
    """
    chance = random.Random(seed)
    arrivals = Arrivals()
    failing: set[int] = set()
    with Emulator() as service:
        service.on_request = arrivals.note
        for name, befall in FAULTS.items():
            # No row meets two faults that are final: it would have to be asked again twice.
            choice = sorted(set(range(rows)) - failing) if name in FINAL else range(rows)
            for row in chance.sample(choice, max(1, int(rows * share))):
                befall(service, f"row {row}.")
                if name in FINAL:
                    failing.add(row)
        yield service, arrivals, failing
