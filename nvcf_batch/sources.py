"""Where rows come from: files of Parquet or JSON lines, on a disk or behind any url that fsspec knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.json as pajson
import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

from nvcf_core.errors import InvalidRequestError

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
        except pa.ArrowException as error:
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
        for batch in self._dataset().to_batches(batch_size=rows, batch_readahead=2):
            for start in range(0, batch.num_rows, rows):
                yield pa.Table.from_batches([batch.slice(start, rows)])

    def ray_dataset(self) -> Any:
        """The files as a Ray Dataset."""
        import ray.data  # Runs without a cluster need not wait for it.

        if self.format == "parquet":
            return ray.data.read_parquet(self.paths, filesystem=self.filesystem)
        return ray.data.read_json(
            self.paths, filesystem=self.filesystem, parse_options=self._json_options()
        )

    def _dataset(self) -> pads.Dataset:
        format = "parquet" if self.format == "parquet" else self._json_format()
        return pads.dataset(
            self.paths, schema=self.schema, format=format, filesystem=self.filesystem
        )

    def _json_format(self) -> pads.JsonFileFormat:
        return pads.JsonFileFormat(parse_options=self._json_options())

    def _json_options(self) -> pajson.ParseOptions:
        return pajson.ParseOptions(explicit_schema=self.schema)


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
    with filesystem.open_input_file(path) as file:
        table = pajson.read_json(file)
    # Texts that look like dates are left as they are written.
    fields = [field.with_type(_without_dates(field.type)) for field in table.schema]
    return pa.schema(fields), table.num_rows


def _without_dates(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_without_dates(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_dates(field.type)) for field in kind])
    return kind
