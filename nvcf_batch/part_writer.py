"""Writes results as they come: into one file that is written anew as it grows, until it is full and another begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from uuid import uuid4

import pyarrow as pa

from .output_folder import Footer, OutputFolder
from .report import Counts
from .results import RESULT_NAMES, Result
from .run_lock import check_still_ours

__all__ = ["PartWriter", "Row"]

_PART_ROWS = 1_000
_PART_BYTES = 8 << 20
_SHORTEST_PAUSE = 0.1
"""Seconds between two writes, unless enough rows wait: what is answered within them is written together."""

_PAUSE_FOR_EACH_SECOND = 4.0
"""Seconds of pause for each that the last write took: large files are written anew less often."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the source."""

    id: bytes
    table: pa.Table
    """What it came with."""
    place: int
    """Its number there."""


@dataclass(slots=True)
class _Answered:
    row: Row
    result: Result
    written: asyncio.Future[None]


class PartWriter:
    """The files of one worker. To be used in one event loop.

    Args:
        folder: where they are written.
        schema: the columns of the output.
        run: the id of the run, a part of the files' names.
        on_written: called with what has just been written.
        enough: rows that are written without a pause when they wait.
    """

    def __init__(
        self,
        folder: OutputFolder,
        schema: pa.Schema,
        run: str,
        on_written: Callable[[Counts], None],
        enough: int,
    ) -> None:
        self._folder, self._schema, self._run, self._on_written = folder, schema, run, on_written
        fields, added = list(schema), len(RESULT_NAMES)
        self._source_schema = pa.schema(fields[:-added])
        self._result_schema = pa.schema(fields[-added:])
        self._pending: list[_Answered] = []
        self._enough, self._enough_wait = enough, asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._last_write = 0.0
        # One thread for all writes: Arrow's allocator keeps memory for each thread that has used it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nvcf_batch")
        self._name = ""
        self._rows: pa.Table = schema.empty_table()
        self._ids: list[bytes] = []
        self._begin_part()

    def add(self, row: Row, result: Result) -> asyncio.Future[None]:
        """Take a row. The future is done when the row is in a file, or carries the `OSError` that kept it out."""
        answered = _Answered(row, result, asyncio.get_running_loop().create_future())
        self._pending.append(answered)
        if len(self._pending) >= self._enough:
            self._enough_wait.set()
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._write_pending())
        return answered.written

    def check(self) -> None:
        """Make sure that what is asked now can be written.

        Raises:
            OSError: something could not be written before.
        """
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Write what has been taken, and end."""
        if self._task is not None:
            await asyncio.shield(self._task)
        self._thread.shutdown(wait=False)

    async def _write_pending(self) -> None:
        while self._pending:
            pause = max(_SHORTEST_PAUSE, _PAUSE_FOR_EACH_SECOND * self._last_write)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough_wait.wait(), pause)
            self._enough_wait.clear()
            rows, self._pending = self._pending[:_PART_ROWS], self._pending[_PART_ROWS:]
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows)
            except Exception as error:  # noqa: BLE001 - it is raised where the rows are waited for
                self._failure = self._failure or error
                for row in rows:
                    if not row.written.done():
                        row.written.set_exception(error)
                continue
            for row in rows:
                if not row.written.done():
                    row.written.set_result(None)

    def _write(self, rows: list[_Answered]) -> None:
        started = time.monotonic()
        if self._rows.num_rows + len(rows) > _PART_ROWS or self._rows.nbytes >= _PART_BYTES:
            self._begin_part()
        rows = sorted(rows, key=_table_of)
        added, added_ids = self._table(rows), [answered.row.id for answered in rows]
        table = pa.concat_tables([self._rows, added]).combine_chunks()
        ids = [*self._ids, *added_ids]
        check_still_ours(self._folder, self._run)
        self._folder.write(self._name, table, Footer.of(self._run, ids, table))
        self._rows, self._ids = table, ids
        self._last_write = time.monotonic() - started
        self._on_written(Footer.of(self._run, added_ids, added).counts)

    def _table(self, rows: list[_Answered]) -> pa.Table:
        """Rows as the output has them; one copy for all that came in one table."""
        together = [list(group) for _, group in groupby(rows, key=_table_of)]
        source = pa.concat_tables(
            [
                group[0].row.table.take([answered.row.place for answered in group])
                for group in together
            ]
        )
        results = [
            pa.array([getattr(answered.result, field.name) for answered in rows], field.type)
            for field in self._result_schema
        ]
        columns = [*source.cast(self._source_schema).columns, *results]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _begin_part(self) -> None:
        self._name = f"part-{self._run}-{uuid4().hex[:12]}.parquet"
        self._rows, self._ids = self._schema.empty_table(), []


def _table_of(answered: _Answered) -> int:
    """What rows that came in one table have in common."""
    return id(answered.row.table)
