"""Rows with images on a cluster, a service that fails, a limit; a killed worker, and a killed driver.

Every row must be there once, none may be asked again after it was written, the limit must hold in every minute, and
the workers' memory must stay flat.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from nvcf_batch.output_folder import OutputFolder
from nvcf_emulator import Emulator

from .findings import Findings
from .processes import private_bytes, ray_cluster, start_run, workers
from .service import Arrivals, troubled_service

MODEL = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
CONCURRENCY = 24
MOST_GROWTH = 24 << 20
"""Bytes by which the memory of a worker may differ between the time after the warm-up and the end."""
LONGEST = 3_600.0
"""Seconds to wait for anything."""


class Watch(threading.Thread):
    """Looks at the output and at the workers while a run goes on."""

    def __init__(self, folder: OutputFolder) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._ended = threading.Event()
        self.written: dict[bytes, float] = {}
        """When each row was first seen in the output, by its id."""
        self.memory: list[dict[int, int]] = []
        """Bytes of each worker, about every second."""

    def run(self) -> None:
        """Look until told to end."""
        while not self._ended.wait(1.0):
            self.look()
            self.memory.append({pid: private_bytes(pid) for pid in workers()})

    def look(self) -> None:
        """Note which rows are written."""
        found = [id for _, footer, _ in self._folder.footers() for id in footer.ids]
        now = time.monotonic()
        for id in found:
            self.written.setdefault(id, now)

    def end(self) -> None:
        """Have it end, and wait for that."""
        self._ended.set()
        self.join()


@contextmanager
def watching(folder: OutputFolder) -> Iterator[Watch]:
    watch = Watch(folder)
    watch.start()
    try:
        yield watch
    finally:
        watch.end()


def image(number: int) -> bytes:
    """A small PNG of its own."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (number % 256, number // 256 % 256, 7)).save(file, "png")
    return file.getvalue()


def make_source(path: Path, rows: int) -> None:
    """A table with ids, texts and images."""
    columns = {
        "id": range(rows),
        "text": [f"row {number}." for number in range(rows)],
        "image": pa.array([image(number) for number in range(rows)], pa.binary()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=500)


def wait_for_requests(arrivals: Arrivals, count: int, run: subprocess.Popen[str]) -> None:
    """Wait until so many requests have arrived.

    Raises:
        RuntimeError: the run has ended, or takes too long.
    """
    deadline = time.monotonic() + LONGEST
    while len(arrivals.times) < count:
        if run.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{len(arrivals.times)} requests of {count}: {run.communicate()}")
        time.sleep(0.05)


def report_of(run: subprocess.Popen[str]) -> dict[str, int]:
    """What a run reports in the end.

    Raises:
        RuntimeError: it failed.
    """
    printed, complaints = run.communicate(timeout=LONGEST)
    if run.returncode:
        raise RuntimeError(complaints)
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", printed)}


def judge_rows(output: Path, rows: int, failing: set[int], findings: Findings) -> None:
    """Every row is there once, and none failed but those that may."""
    table = pq.read_table(output, columns=["id", "error_type", "error", "tries"]).to_pylist()
    ids = Counter(row["id"] for row in table)
    findings.check(sorted(ids) == list(range(rows)), f"{len(ids)} different rows of {rows}")
    findings.check(
        max(ids.values()) == 1, f"{sum(n > 1 for n in ids.values())} rows are there twice"
    )
    failed = {row["id"]: row for row in table if row["error"]}
    besides = [failed[id] for id in failed.keys() - failing]
    findings.check(not besides, f"failed besides: {besides[:5]}")
    print(f"rows in the output: {len(table):,}, failed {len(failed)} of {len(failing)} that may")


def judge_requests(
    arrivals: Arrivals, watch: Watch, digests: dict[bytes, int], findings: Findings
) -> None:
    """No row is asked after it was seen in the output."""
    asked = arrivals.rows()
    seen = {digests[id]: at for id, at in watch.written.items()}
    late = [row for row in seen if asked[row][-1] > seen[row]]
    findings.check(not late, f"asked again after they were written: rows {late[:10]}")
    print(
        f"requests: {len(arrivals.times):,}, tries included; asked again after it was written: {len(late)} rows"
    )


def judge_limit(arrivals: Arrivals, limit: int, findings: Findings) -> None:
    """In no minute there are more requests than the limit."""
    most = arrivals.most_within(60.0)
    findings.check(most <= limit, f"{most} requests within a minute")
    print(f"most requests within any 60 s: {most} of {limit}")


def judge_memory(samples: list[dict[int, int]], findings: Findings) -> None:
    """The memory of each worker of the last run is the same at its end as after its warm-up."""
    seen = Counter(pid for sample in samples for pid, used in sample.items() if used)
    # A worker that has nothing to do any more may end before the others.
    stayed = [pid for pid, looks in seen.items() if looks > len(samples) // 2]
    findings.check(bool(stayed), "no worker stayed")
    for pid in stayed:
        used = [sample[pid] for sample in samples if sample.get(pid)]
        warm = used[len(used) * 3 // 10 :]
        part = max(1, len(warm) // 4)
        growth = statistics.median(warm[-part:]) - statistics.median(warm[:part])
        print(
            f"a worker: {warm[0] >> 20} MiB after the warm-up, {growth / 2**20:+.1f} MiB to the end, {len(used)} looks"
        )
        findings.check(growth <= MOST_GROWTH, f"a worker grew by {growth / 2**20:.1f} MiB")


def trial(rows: int, limit: int, share: float, seed: int, folder: Path) -> Findings:
    """Run and kill, and judge what came of it."""
    from nvcf_batch.row_ids import key_digests

    findings = Findings()
    source, output = folder / "in.parquet", folder / "out"
    make_source(source, rows)
    digests = {digest: row for row, digest in enumerate(key_digests(range(rows), "id"))}
    with troubled_service(rows, share, seed) as (service, arrivals, failing):
        os.environ["NVIDIA_API_KEY"] = service.api_key  # The nodes have it of their environment.
        with ray_cluster(nodes=2) as cluster:
            given = keywords(service, source, output, limit) | {"address": cluster.address}
            with watching(OutputFolder(output)) as watch:
                begun = time.monotonic()
                run = start_run(**given)
                wait_for_requests(arrivals, rows // 4, run)
                os.kill(workers()[0], signal.SIGKILL)
                wait_for_requests(arrivals, rows // 2, run)
                run.kill()
                run.communicate()
                before = len(watch.memory)
                report = report_of(start_run(**given))
                watch.look()
            print(
                f"{rows:,} rows in {time.monotonic() - begun:.0f} s, killed twice; the last run: {report}"
            )
            judge_rows(output, rows, failing, findings)
            judge_requests(arrivals, watch, digests, findings)
            if rows >= 2_000:  # A shorter run ends before its workers are warm.
                judge_memory([sample for sample in watch.memory[before:-2] if sample], findings)
            report_of(start_run(**given, retry_errors=True))
            judge_rows(output, rows, set(), findings)
            judge_limit(arrivals, limit, findings)
    return findings


def keywords(service: Emulator, source: Path, output: Path, limit: int) -> dict[str, Any]:
    """What is given to each run."""
    return {
        "source": str(source),
        "output": str(output),
        "model": MODEL,
        "prompt": "text",
        "image": "image",
        "key": "id",
        "concurrency": CONCURRENCY,
        "requests_per_minute": limit,
        "settings": {"base_url": service.base_url, "nvcf_url": service.nvcf_url, "timeout": 5},
    }


def main() -> int:
    """Parse the command line, run, and say how it went."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.batch.trials.faults", description=__doc__
    )
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--requests-per-minute", type=int, default=700)
    parser.add_argument(
        "--share",
        type=float,
        default=0.02,
        help="of the rows, for each fault (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        findings = trial(
            given.rows, given.requests_per_minute, given.share, given.seed, Path(folder)
        )
    return findings.tell()


if __name__ == "__main__":
    sys.exit(main())
