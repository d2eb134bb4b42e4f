"""Where rows come from: files of Parquet or JSON lines, on a disk or behind any url that fsspec knows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

from nvcf_core.errors import InvalidRequestError

from .json_lines import infer_columns, lines_to_table

__all__ = ["FileSource"]

_FORMATS = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "json", ".ndjson": "json"}
_ENDINGS = ", ".join(_FORMATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Files of one format."""

    paths: list[str]
    format: str
    """`"parquet"` or `"json"`."""
    filesystem: PyFileSystem
    schema: pa.Schema
    """The columns of all files."""
    rows: int

    @classmethod
    def open(cls, source: str) -> FileSource:
        """Find the files, and look at their columns.

        Args:
            source: a path, a glob, a folder, or a url.

        Raises:
            FileNotFoundError: there are none.
            InvalidRequestError: they are of other formats, or of more than one, or cannot be read.
        """
        fs, pattern = fsspec.core.url_to_fs(source)
        paths = _found(fs, pattern)
        if not paths:
            raise FileNotFoundError(f"source: there is no file {source} (wanted: {_ENDINGS})")
        formats = {_FORMATS.get(_ending(path)) for path in paths}
        if len(formats) != 1 or None in formats:
            raise InvalidRequestError(
                f"source: {source} must be files of one format, {_ENDINGS}", field="source"
            )
        filesystem = PyFileSystem(FSSpecHandler(fs))
        (format,) = formats
        look = _parquet_columns if format == "parquet" else _json_columns
        try:
            found = [look(filesystem, path) for path in paths]
            schema = pa.unify_schemas([schema for schema, _ in found], promote_options="permissive")
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise InvalidRequestError(
                f"source: {source} cannot be read: {error}", field="source"
            ) from None
        return cls(
            paths=paths,
            format=str(format),
            filesystem=filesystem,
            schema=schema.remove_metadata(),
            rows=sum(rows for _, rows in found),
        )

    def batches(self, rows: int) -> Iterator[pa.Table]:
        """The rows in tables of at most so many."""
        if self.format == "json":
            yield from self._json_batches(rows)
            return
        files = pads.dataset(self.paths, schema=self.schema, filesystem=self.filesystem)
        for batch in files.to_batches(batch_size=rows, batch_readahead=2):
            for start in range(0, batch.num_rows, rows):
                yield pa.Table.from_batches([batch.slice(start, rows)])

    def ray_dataset(self) -> Any:
        """The files as a Ray Dataset."""
        import ray.data  # Runs without a cluster need not wait for it.

        if self.format == "parquet":
            return ray.data.read_parquet(self.paths, filesystem=self.filesystem)
        lines = ray.data.read_text(self.paths, filesystem=self.filesystem)
        to_table = partial(_text_to_table, schema=self.schema)
        return lines.map_batches(to_table, batch_format="pyarrow")

    def _json_batches(self, rows: int) -> Iterator[pa.Table]:
        for path in self.paths:
            with _lines(self.filesystem, path) as lines:
                while chunk := list(islice(lines, rows)):
                    yield lines_to_table(chunk, self.schema)


def _text_to_table(batch: pa.Table, schema: pa.Schema) -> pa.Table:
    """Lines, as Ray reads them, as a table."""
    return lines_to_table(batch.column("text").to_pylist(), schema)


def _found(fs: Any, pattern: str) -> list[str]:
    if any(letter in pattern for letter in "*?["):
        return sorted(fs.glob(pattern))
    if not fs.isdir(pattern):
        return [pattern] if fs.exists(pattern) else []
    return sorted(path for path in fs.ls(pattern, detail=False) if _ending(path) in _FORMATS)


def _ending(path: str) -> str:
    return "." + path.rpartition("/")[2].rpartition(".")[2].lower()


def _parquet_columns(filesystem: PyFileSystem, path: str) -> tuple[pa.Schema, int]:
    with filesystem.open_input_file(path) as file:
        found = pq.ParquetFile(file)
        return found.schema_arrow, found.metadata.num_rows


def _json_columns(filesystem: PyFileSystem, path: str) -> tuple[pa.Schema, int]:
    with _lines(filesystem, path) as lines:
        return infer_columns(lines)


def _lines(filesystem: PyFileSystem, path: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(filesystem.open_input_stream(path), encoding="utf-8")
