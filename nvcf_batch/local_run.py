"""A run in this process, without Ray: one worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pyarrow as pa

from .background_loop import BackgroundLoop
from .ledger import Ledger, LocalLedger
from .sources import FileSource
from .worker import Job, Worker

__all__ = ["run_locally"]

_BATCH_ROWS = 64


def run_locally(source: FileSource, job: Job, ledger: Ledger) -> None:
    """Ask every row of files that is not done. Where it is interrupted, what was answered is written.

    Raises:
        InvalidRequestError: a key is null, or there is no API key.
        OSError: the output cannot be written.
    """
    with BackgroundLoop() as loop:
        loop.run(_ask_all(source.batches(_BATCH_ROWS), job, ledger))


async def _ask_all(batches: Iterator[pa.Table], job: Job, ledger: Ledger) -> None:
    most = -(-job.concurrency // _BATCH_ROWS) + 2
    under_way: set[asyncio.Task[None]] = set()
    async with Worker(job, LocalLedger(ledger)) as worker:
        try:
            number = 0
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                under_way.add(asyncio.create_task(worker.process(str(number), batch)))
                number += 1
                if len(under_way) >= most:
                    under_way = await _some(under_way)
            while under_way:
                under_way = await _some(under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


async def _some(under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait until one of them is done, and return the others.

    Raises:
        Exception: one of them has failed.
    """
    done, rest = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return rest
