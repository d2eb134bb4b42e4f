"""Writes results as they come: into one file that is written anew as it grows, until it is full and another begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa

from .output_folder import Footer, OutputFolder
from .report import Counts
from .results import Result
from .run_lock import check_still_ours

__all__ = ["PartWriter"]

_PART_ROWS = 1_000
_PART_BYTES = 8 << 20
_SHORTEST_PAUSE = 0.1
"""Seconds between two writes, unless enough rows wait: what is answered within them is written together."""

_PAUSE_FOR_EACH_SECOND = 4.0
"""Seconds of pause for each that the last write took: large files are written anew less often."""


@dataclass(slots=True)
class _Row:
    id: bytes
    source: pa.Table
    """The row's own columns, as a table of one row."""
    result: Result
    written: asyncio.Future[None]


class PartWriter:
    """The files of one worker. To be used in one event loop.

    Args:
        folder: where they are written.
        schema: the columns of the output.
        run: the id of the run, a part of the files' names.
        on_written: told of what has just been written.
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
        fields, added = list(schema), len(Result().as_row())
        self._source_schema = pa.schema(fields[:-added])
        self._result_schema = pa.schema(fields[-added:])
        self._pending: list[_Row] = []
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

    def add(self, id: bytes, source: pa.Table, result: Result) -> asyncio.Future[None]:
        """Take a row. The future is done when the row is in a file, or carries the `OSError` that kept it out."""
        row = _Row(id, source, result, asyncio.get_running_loop().create_future())
        self._pending.append(row)
        if len(self._pending) >= self._enough:
            self._enough_wait.set()
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._write_pending())
        return row.written

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

    def _write(self, rows: list[_Row]) -> None:
        started = time.monotonic()
        if self._rows.num_rows + len(rows) > _PART_ROWS or self._rows.nbytes >= _PART_BYTES:
            self._begin_part()
        added = self._table(rows)
        table = pa.concat_tables([self._rows, added]).combine_chunks()
        ids = [*self._ids, *(row.id for row in rows)]
        check_still_ours(self._folder, self._run)
        self._folder.write(self._name, table, Footer.of(self._run, ids, table))
        self._rows, self._ids = table, ids
        self._last_write = time.monotonic() - started
        self._on_written(Footer.of(self._run, [row.id for row in rows], added).counts)

    def _table(self, rows: list[_Row]) -> pa.Table:
        source = pa.concat_tables([row.source for row in rows]).cast(self._source_schema)
        results = pa.Table.from_pylist(
            [row.result.as_row() for row in rows], schema=self._result_schema
        )
        for name, column in zip(results.column_names, results.columns, strict=True):
            source = source.append_column(name, column)
        return source.cast(self._schema)

    def _begin_part(self) -> None:
        self._name = f"part-{self._run}-{uuid4().hex[:12]}.parquet"
        self._rows, self._ids = self._schema.empty_table(), []
