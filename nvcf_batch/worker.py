"""A worker: takes batches of rows, asks them side by side, and writes what comes back."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nvcf_core.errors import NVCFError

from .answer_schema import ParsedAnswers
from .asker import Asker, AskerConfig, take_error
from .ledger import AsyncLedger
from .output_folder import OutputFolder
from .part_writer import PartWriter, Row
from .question import Question
from .results import Result
from .row_ids import key_digests, request_digests
from .run_lock import check_shared

__all__ = ["Job", "Worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a worker needs to know, as it travels."""

    question: Question
    asker: AskerConfig
    parser: ParsedAnswers | None
    folder: OutputFolder
    schema: pa.Schema
    """The columns of the output."""
    run: str
    """The id of the run."""
    key: str | None
    """The column that rows are known by. None: they are known by all that they hold, and by `request`."""
    request: str
    """How rows are asked, as text."""
    concurrency: int
    """Requests that one worker has under way at once."""

    def digests(self, table: pa.Table) -> list[bytes]:
        """What the rows of a table are known by.

        Raises:
            InvalidRequestError: a key is null.
        """
        if self.key is not None:
            return key_digests(table.column(self.key).to_pylist(), self.key)
        return request_digests(table.to_pylist(), self.request)


class Worker:
    """Asks and writes, with one client. To be used in one event loop, as a context manager.

    Args:
        job: what to do.
        ledger: says which rows are to be asked.
    """

    def __init__(self, job: Job, ledger: AsyncLedger) -> None:
        self._job, self._ledger = job, ledger
        self._asker = job.asker.make()
        self._given = dict(job.asker.given)
        if job.parser is not None:
            self._given |= job.parser.keywords(self._asker.spec)
        self._places = asyncio.Semaphore(job.concurrency)
        # No more rows than these are asked and not written: so many a killed worker loses at most.
        self._unwritten = asyncio.Semaphore(2 * job.concurrency)
        self._writer = PartWriter(
            job.folder, job.schema, job.run, ledger.note, enough=job.concurrency
        )

    async def __aenter__(self) -> Worker:
        await self._asker.check_key()
        await asyncio.to_thread(check_shared, self._job.folder, self._job.run)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._writer.aclose()
        await self._asker.aclose()

    async def process(self, token: str, table: pa.Table) -> None:
        """Ask the rows of a table that are not done, and write them.

        Args:
            token: what this batch is known by, the same at a second try.
            table: columns of the source.

        Raises:
            InvalidRequestError: a key is null.
            OSError: the output cannot be written.
        """
        ids = await self._ledger.claim(token, await asyncio.to_thread(self._job.digests, table))
        wanted = [(place, id) for place, id in enumerate(ids) if id is not None]
        if not wanted:
            return
        async with AsyncExitStack() as stack:
            asker = self._asker
            if self._job.question.media:
                # What a batch uploads is deleted after it: the service keeps only so many assets.
                asker = await stack.enter_async_context(copy.deepcopy(asker))
            await _all([self._row(asker, Row(id, table, place)) for place, id in wanted])

    async def _row(self, asker: Asker, row: Row) -> None:
        async with self._unwritten:
            async with self._places:
                self._writer.check()
                result = await self._result(asker, row)
            await self._writer.add(row, result)

    async def _result(self, asker: Asker, row: Row) -> Result:
        try:
            (values,) = row.table.slice(row.place, 1).to_pylist()
            messages = self._job.question.conversation(values)
        except NVCFError as error:
            refused = Result()
            take_error(refused, error)
            return refused
        return await asker.ask(messages, self._given, self._job.parser)


async def _all(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Wait for all. Once one has failed, the others are ended, and what it raised is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
