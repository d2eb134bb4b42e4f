"""A run that is killed at random moments, and started again until it is done.

After every kill the output must be readable, hold each of its rows once, and be complete up to what was in flight.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nvcf_emulator import Emulator

from .findings import Findings
from .processes import start_run
from .service import Arrivals

MODEL = "moonshotai/kimi-k2.6"
CONCURRENCY = 8
IN_FLIGHT = 2 * CONCURRENCY
SECONDS_OF_AN_ANSWER = 0.03
LONGEST = 300.0
"""Seconds to wait for anything."""


class Trial:
    """One table and one output, whoever writes to it.

    Args:
        service: what is asked.
        folder: where the table and the output are.
        rows: of the table.
        key: the column that rows are known by; None: by all that they hold.
    """

    def __init__(self, service: Emulator, folder: Path, rows: int, key: str | None) -> None:
        self.rows, self.findings, self.arrivals = rows, Findings(), Arrivals()
        service.on_request = self.arrivals.note
        service.reply("Well.", delay=SECONDS_OF_AN_ANSWER, times=None)
        source = folder / "in.jsonl"
        lines = [json.dumps({"id": number, "text": f"row {number}."}) for number in range(rows)]
        source.write_text("\n".join(lines))
        self.output = folder / "out"
        self._written: dict[int, float] = {}
        self._begun = 0.0
        self._keywords: dict[str, Any] = {
            "source": str(source),
            "output": str(self.output),
            "model": MODEL,
            "prompt": "text",
            "key": key,
            "concurrency": CONCURRENCY,
            "settings": {
                "base_url": service.base_url,
                "nvcf_url": service.nvcf_url,
                "api_key": service.api_key,
            },
        }

    def kill(self, chance: random.Random, *, local: bool) -> str:
        """Start a run, and kill it at some moment: while it starts, or while it asks.

        Returns:
            When that was, in words.
        """
        self._begun = time.monotonic()
        run = start_run(**self._keywords, local=local)
        try:
            if chance.random() < 0.3:
                seconds, since = chance.uniform(0, 2.0 if local else 8.0), "its start"
            else:
                seconds, since = chance.uniform(0, 0.5), "its first request"
                before = len(self.arrivals.times)
                wait_until(lambda: len(self.arrivals.times) > before or run.poll() is not None)
            time.sleep(seconds)
            self.findings.check(run.poll() is None, f"a run ended before it was killed: {since}")
        finally:
            run.kill()
            run.communicate()
        return f"{seconds:.2f} s after {since}"

    def look(self, when: str, lost: int) -> None:
        """Judge the output.

        Args:
            when: the run was killed, in words.
            lost: the most rows that may be missing of those that the last run asked.
        """
        asked = self.arrivals.rows()
        ids = [
            id
            for path in self.output.glob("*.parquet")
            for id in pq.read_table(path)["id"].to_pylist()
        ]
        now = time.monotonic()
        for id in ids:
            self._written.setdefault(id, now)
        self.findings.check(len(ids) == len(set(ids)), f"{when}: rows are there twice")
        self.findings.check(self._written.keys() == set(ids), f"{when}: rows are there no more")
        missing = {row for row, times in asked.items() if times[-1] > self._begun} - set(ids)
        self.findings.check(
            len(missing) <= lost, f"{when}: {len(missing)} rows were asked and are missing"
        )

    def finish(self, kills: int, *, local: bool) -> None:
        """Run to the end, and judge all of it."""
        printed, complaints = start_run(**self._keywords, local=local).communicate(timeout=LONGEST)
        self.findings.check(f"rows={self.rows}," in printed, f"the last run: {complaints}")
        self.look("at the end", 0)
        self.findings.check(
            len(self._written) == self.rows, f"{len(self._written)} rows of {self.rows}"
        )
        self.findings.check(not list(self.output.glob(".*")), "half a file is left")
        asked = self.arrivals.rows()
        twice = sum(len(times) - 1 for times in asked.values())
        late = [row for row, seen in self._written.items() if asked[row][-1] > seen]
        self.findings.check(not late, f"asked again after they were written: {late[:10]}")
        self.findings.check(twice <= kills * IN_FLIGHT, f"{twice} rows were asked twice")
        print(
            f"{self.rows:,} rows, killed {kills} times: {twice} requests more than rows, "
            f"{twice / kills:.1f} for each kill, {IN_FLIGHT} in flight at most"
        )


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something.

    Raises:
        TimeoutError: it takes too long.
    """
    deadline = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing happens")
        time.sleep(0.005)


def kill_often(kills: int, seed: int, key: str | None, *, local: bool) -> Findings:
    """Kill runs, and judge what is left each time.

    Args:
        kills: how many.
        seed: of their moments.
        key: the column that rows are known by.
        local: without Ray.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, Emulator() as service:
        trial = Trial(service, Path(folder), rows=100 * kills + 200, key=key)
        for number in range(kills):
            moment = trial.kill(chance, local=local)
            if not local:  # Its workers notice a little later that it is gone.
                asked = -1
                while asked != len(trial.arrivals.times):
                    asked = len(trial.arrivals.times)
                    time.sleep(2.0)
            trial.look(f"kill {number}, {moment}", lost=IN_FLIGHT)
        trial.finish(kills, local=local)
    return trial.findings


def main() -> int:
    """Parse the command line, run, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.batch.trials.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--key", help="the column that rows are known by (default: all that they hold)"
    )
    parser.add_argument("--ray", action="store_true", help="on Ray, and not in one process")
    given = parser.parse_args()
    return kill_often(given.kills, given.seed, given.key, local=not given.ray).tell()


if __name__ == "__main__":
    sys.exit(main())
