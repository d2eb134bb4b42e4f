"""Uploads a large file with `ChatNVCF.upload`, beside a bare httpx PUT of the same file: speed, and added memory."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from storing import server

_MEGABYTE = 1_000_000
_HTTPX_READS = 65_536
"""Bytes that httpx reads of a file at a time."""
_WAYS = ("bare sync", "ours sync", "bare async", "ours async")


def _peak() -> float:
    """The most memory that this process ever had, in MB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MEGABYTE


def _bare_sync(root: str) -> Callable[[Path], None]:
    import httpx

    client = httpx.Client()

    def put(path: Path) -> None:
        with path.open("rb") as file:
            client.put(f"{root}/upload/1", content=file).raise_for_status()

    return put


def _bare_async(root: str) -> Callable[[Path], None]:
    import httpx

    async def read(path: Path) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(_HTTPX_READS):
                yield piece

    async def put(path: Path, length: int) -> None:
        headers = {"content-length": str(length)}
        async with httpx.AsyncClient() as client:
            reply = await client.put(f"{root}/upload/1", content=read(path), headers=headers)
            reply.raise_for_status()

    return lambda path: asyncio.run(put(path, path.stat().st_size))


def _ours(root: str, colour: str) -> Callable[[Path], object]:
    from langchain_nvcf import ChatNVCF

    model = ChatNVCF(model="acme/any", base_url=f"{root}/v1", nvcf_url=root, api_key="none")
    if colour == "sync":
        return lambda path: model.upload(path)
    return lambda path: asyncio.run(model.aupload(path))


def _measure(way: str, root: str, file: Path, warm: Path) -> dict[str, float]:
    """One upload in this process, after one of a small file that loads and connects what there is."""
    who, colour = way.split()
    bare = _bare_sync if colour == "sync" else _bare_async
    upload = bare(root) if who == "bare" else _ours(root, colour)
    upload(warm)
    before, began = _peak(), time.perf_counter()
    upload(file)
    return {"seconds": time.perf_counter() - began, "added": _peak() - before}


def _in_a_process(way: str, *given: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", way, *given]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _compare(root: str, folder: Path, megabytes: int, rounds: int) -> bool:
    """Measure in turns and print a table; return whether both goals are met."""
    file, warm = folder / "large.mp4", folder / "small.mp4"
    for path, length in ((file, megabytes * _MEGABYTE), (warm, _MEGABYTE)):
        with path.open("wb") as sparse:
            sparse.write(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
            sparse.truncate(length)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    for _ in range(rounds):
        for way in _WAYS:
            found[way].append(_in_a_process(way, root, str(file), str(warm)))
    speed = {
        way: megabytes / statistics.median(one["seconds"] for one in found[way]) for way in _WAYS
    }
    added = {way: max(one["added"] for one in found[way]) for way in _WAYS}
    print(f"{megabytes} MB, {rounds} rounds: the median speed, the most memory\n")
    print(f"{'':12}{'MB/s':>8}{'of bare':>10}{'added MB':>10}")
    good = True
    for way in _WAYS:
        ratio = speed[way] / speed[way.replace("ours", "bare")]
        print(f"{way:12}{speed[way]:>8.0f}{ratio:>10.0%}{added[way]:>10.1f}")
        good = good and ratio >= 0.8 and (way.startswith("bare") or added[way] < 32)
    print(
        "\nGoal: 80% of the speed of a bare PUT or more, less than 32 MB added:",
        "met" if good else "MISSED",
    )
    return good


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the file (1000)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (5)")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        way, root, file, warm = given.measure
        print(json.dumps(_measure(way, root, Path(file), Path(warm))))
        return 0
    with server() as root, tempfile.TemporaryDirectory() as folder:
        return 0 if _compare(root, Path(folder), given.megabytes, given.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
