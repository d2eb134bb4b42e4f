"""Batches: rows a second against a server that answers at once, beside a plain asyncio script with one client.

python benchmarks/batch.py --rows 100000 plain local 1 2 4
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from serving import MODEL, server

import nvcf_batch
from nvcf_batch.asker import AskerConfig
from nvcf_core import Message

WAYS = ("plain", "local", "1", "2", "4")
"""A script, a batch in this process, and batches on Ray with so many actors."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of one way."""

    seconds: float
    """Of the whole run."""
    processor: float
    """Of the processors, all processes but the server's."""
    start: float = 0.0
    """To start the workers and to end them, a part of `seconds`."""


def plain(source: Path, settings: dict[str, Any], concurrency: int) -> float:
    """Seconds of a loop of tasks over one client, which reads the rows and writes nothing."""

    async def ask_all() -> None:
        asker = AskerConfig.of(MODEL, settings).make()
        texts = iter(pq.read_table(source)["text"].to_pylist())

        async def work() -> None:
            for text in texts:
                result = await asker.ask([Message(role="user", parts=(text,))], {}, None)
                assert result.error is None, result.error

        await asyncio.gather(*(work() for _ in range(concurrency)))
        await asker.aclose()

    started = time.monotonic()
    asyncio.run(ask_all())
    return time.monotonic() - started


def batch(source: Path, output: Path, actors: int | None, **keywords: Any) -> float:
    """Seconds of a batch.

    Args:
        source: the rows.
        output: the folder to write.
        actors: workers; None: without Ray.
        keywords: of the run.
    """
    report = nvcf_batch.run(
        source,
        output=output,
        model=MODEL,
        prompt="text",
        local=actors is None,
        actors=actors or 1,
        progress=False,
        **keywords,
    )
    assert report.failed == 0
    return report.seconds


class Processors(threading.Thread):
    """What this process and those that it starts use of the processors, but for the server, while the block runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._before: dict[str, float] = {}
        self._used: dict[str, float] = {}

    def __enter__(self) -> Processors:
        self._before = _processor_seconds()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look now and then: Ray's workers end with their run."""
        last = False
        while not last:
            last = self._ended.wait(0.5)
            self._used |= _processor_seconds()

    @property
    def seconds(self) -> float:
        """Of all of them together."""
        return sum(used - self._before.get(pid, 0.0) for pid, used in self._used.items())


def _processor_seconds() -> dict[str, float]:
    """Seconds of each process."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,cputimes=,args="], capture_output=True, text=True, check=True
    )
    lines = [line.split(None, 3) for line in listed.stdout.splitlines()]
    parents = {pid: parent for pid, parent, *_ in lines}

    def is_ours(pid: str) -> bool:
        while pid in parents and pid != str(os.getpid()):
            pid = parents[pid]
        return pid == str(os.getpid())

    return {
        line[0]: float(line[2])
        for line in lines
        if is_ours(line[0]) and "serving.py" not in line[3]
    }


def on_ray(source: Path, folder: Path, actors: int, **keywords: Any) -> Measured:
    """A batch on Ray that runs already, and one of a single row: what starting the workers takes.

    Workers have the priority of the script, which Ray lowers otherwise: on a busy machine they would have what is left.
    """
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - so it is called
    ray.init(
        "local",
        num_cpus=2,
        object_store_memory=200 << 20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        one = folder / "one.parquet"
        pq.write_table(pa.table({"id": [-1], "text": ["row -1."]}), one)
        batch(one, folder / f"first-{actors}", actors, **keywords)  # Starts what Ray Data needs.
        start = batch(one, folder / f"one-{actors}", actors, **keywords)
        with Processors() as processors:
            seconds = batch(source, folder / f"{actors}", actors, **keywords)
        return Measured(seconds, processors.seconds, start)
    finally:
        ray.shutdown()


def measure(way: str, source: Path, folder: Path, concurrency: int) -> Measured:
    """One way to ask every row."""
    with server() as base_url:
        keywords: dict[str, Any] = {
            "settings": {"base_url": base_url, "api_key": "none-needed"},
            "concurrency": concurrency,
        }
        if way not in ("plain", "local"):
            return on_ray(source, folder, int(way), **keywords)
        with Processors() as processors:
            seconds = (
                plain(source, **keywords)
                if way == "plain"
                else batch(source, folder / way, None, **keywords)
            )
        return Measured(seconds, processors.seconds)


def main() -> None:
    """Parse the command line, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "ways", nargs="*", default=WAYS, metavar="way", help=f"of {', '.join(WAYS)}"
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=64)
    given = parser.parse_args()
    print(f"{given.rows:,} rows, {given.concurrency} requests under way at once")
    print(
        "| way | rows/s | seconds | of them to start | rows/s once started | processor, µs a row |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.parquet"
        texts = [f"row {number}." for number in range(given.rows)]
        pq.write_table(pa.table({"id": range(given.rows), "text": texts}), source)
        for way in given.ways:
            found = measure(way, source, Path(name), given.concurrency)
            print(
                f"| {way} | {given.rows / found.seconds:,.0f} | {found.seconds:.0f} | {found.start:.0f} | "
                f"{given.rows / (found.seconds - found.start):,.0f} | {found.processor / given.rows * 1e6:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
