"""Batches: rows a second with 1, 2 and 4 actors beside plain asyncio, and a run that meets faults and is killed twice.

python benchmarks/batch.py rate --rows 100000
python benchmarks/batch.py faults --rows 5000
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from serving import MODEL, server

import nvcf_batch
from nvcf_batch.asker import AskerConfig
from nvcf_core import Message
from nvcf_emulator import Emulator

CONCURRENCY = 64
OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
FAULTS: tuple[Callable[[Emulator, str], None], ...] = (
    lambda emulator, row: emulator.fail(429, when=row),
    lambda emulator, row: emulator.fail(503, when=row),
    lambda emulator, row: emulator.fault("reset", when=row),
    lambda emulator, row: emulator.fault("truncate", when=row),
    lambda emulator, row: emulator.fault("garbage", when=row),
)
SHARE = 0.02
"""Of the rows, for each fault."""


def start_ray() -> None:
    ray.init(
        num_cpus=2,
        object_store_memory=200 << 20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def rate(rows: int, folder: Path) -> None:
    """Rows a second against a server that answers at once."""
    source = folder / "in.parquet"
    pq.write_table(
        pa.table({"id": range(rows), "text": [f"row {n}." for n in range(rows)]}), source
    )
    with server() as base_url:
        settings = {"base_url": base_url, "api_key": "none-needed"}
        print(f"{rows} rows, {CONCURRENCY} requests under way")
        print(f"plain asyncio, one client   {rows / plain(rows, settings):8.0f} rows/s")
        given: dict[str, Any] = {
            "model": MODEL,
            "prompt": "text",
            "settings": settings,
            "concurrency": CONCURRENCY,
            "progress": False,
        }
        local = nvcf_batch.run(source, output=folder / "local", local=True, **given)
        print(f"nvcf_batch, without Ray     {local.answered / local.seconds:8.0f} rows/s")
        start_ray()
        for actors in (1, 2, 4):
            report = nvcf_batch.run(source, output=folder / f"{actors}", actors=actors, **given)
            print(
                f"nvcf_batch, {actors} actor(s)      {report.answered / report.seconds:8.0f} rows/s"
            )
        ray.shutdown()


def plain(rows: int, settings: dict[str, Any]) -> float:
    """Seconds of a loop of tasks over one client, which writes nothing."""

    async def ask_all() -> None:
        asker = AskerConfig.of(MODEL, settings).make()
        numbers = iter(range(rows))

        async def work() -> None:
            for number in numbers:
                message = Message(role="user", parts=(f"row {number}.",))
                result = await asker.ask([message], {}, None)
                assert result.error is None, result.error

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        await asker.aclose()

    started = time.monotonic()
    asyncio.run(ask_all())
    return time.monotonic() - started


def faults(rows: int, per_minute: int, folder: Path) -> None:
    """Rows with images, each fault for some of them, a limit, a killed worker, and a killed driver."""
    source = folder / "in.parquet"
    texts = [f"row {n}." for n in range(rows)]
    images = [_image(number) for number in range(rows)]
    pq.write_table(
        pa.table({"id": range(rows), "text": texts, "image": pa.array(images, pa.binary())}), source
    )
    with Emulator() as emulator:
        chance = random.Random(1)
        for break_it in FAULTS:
            for number in chance.sample(range(rows), int(rows * SHARE)):
                break_it(emulator, f"row {number}.")
        arrivals: list[float] = []
        watcher = threading.Thread(target=_watch, args=(emulator, arrivals), daemon=True)
        watcher.start()
        driver = _driver(emulator, source, folder / "out", per_minute)
        assert emulator.wait_until(lambda: len(emulator.chats) > rows * 0.25, 3_600)
        for worker in _workers(driver.pid)[:1]:
            os.kill(worker, signal.SIGKILL)
        assert emulator.wait_until(lambda: len(emulator.chats) > rows * 0.5, 3_600)
        driver.kill()
        driver.wait()
        memory = _finish(emulator, source, folder / "out", per_minute)
        _judge(rows, per_minute, emulator, arrivals, folder / "out")
        print(f"memory of the workers, MiB, first and last third: {memory}")


def _image(number: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (32, 32), (number % 256, number // 256 % 256, 7)).save(file, "png")
    return file.getvalue()


def _watch(emulator: Emulator, arrivals: list[float]) -> None:
    while True:
        missing = len(emulator.chats) - len(arrivals)
        arrivals += [time.monotonic()] * missing
        time.sleep(0.005)


DRIVER = """
import json, sys
import ray
import nvcf_batch

if __name__ == "__main__":
    ray.init(num_cpus=2, object_store_memory=200 << 20, include_dashboard=False, log_to_driver=False)
    nvcf_batch.run(**json.loads(sys.argv[1]), progress=False)
"""


def _driver(
    emulator: Emulator, source: Path, output: Path, per_minute: int
) -> subprocess.Popen[bytes]:
    given = {
        "source": str(source),
        "output": str(output),
        "model": OMNI,
        "prompt": "text",
        "image": "image",
        "key": "id",
        "concurrency": 16,
        "requests_per_minute": per_minute,
        "settings": {
            "base_url": emulator.base_url,
            "nvcf_url": emulator.nvcf_url,
            "api_key": emulator.api_key,
        },
    }
    return subprocess.Popen([sys.executable, "-c", DRIVER, json.dumps(given)])


def _finish(emulator: Emulator, source: Path, output: Path, per_minute: int) -> tuple[float, float]:
    """Start again and run to the end. Returns the workers' mean memory in MiB at first and at last."""
    driver = _driver(emulator, source, output, per_minute)
    samples = []
    while driver.poll() is None:
        found = [_resident(pid) for pid in _workers(driver.pid)]
        if found:
            samples.append(sum(found) / len(found))
        time.sleep(1)
    third = max(1, len(samples) // 3)
    return sum(samples[:third]) / third, sum(samples[-third:]) / third


def _workers(driver: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _ in lines}

    def belongs(pid: int) -> bool:
        while pid in parents and pid != driver:
            pid = parents[pid]
        return pid == driver

    return [int(pid) for pid, _, name in lines if "MapWorker" in name and belongs(int(pid))]


def _resident(pid: int) -> float:
    found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True)
    return int(found.stdout or 0) / 1024


def _judge(
    rows: int, per_minute: int, emulator: Emulator, arrivals: list[float], output: Path
) -> None:
    table = pq.read_table(output)
    ids = Counter(table["id"].to_pylist())
    errors = Counter(filter(None, table["error_type"].to_pylist()))
    asked: Counter[str] = Counter()
    for request in emulator.chats:
        found = re.search(r"row \d+\.", json.dumps(request.body))
        asked[found[0] if found else ""] += 1
    most = max(sum(start <= at < start + 60 for at in arrivals) for start in arrivals[::10])
    print(f"rows {len(ids)} of {rows}, more than once {sum(n > 1 for n in ids.values())}")
    print(f"failed {dict(errors)}")
    print(f"requests {len(emulator.chats)}, tries included; most in 60 s {most} of {per_minute}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rate", "faults"])
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--requests-per-minute", type=int, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.what == "rate":
            rate(options.rows, Path(name))
        else:
            faults(options.rows, options.requests_per_minute, Path(name))
