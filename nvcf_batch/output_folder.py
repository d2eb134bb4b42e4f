"""The folder of results: Parquet files that are whole or absent, each of which says which rows it has."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from nvcf_core.errors import InvalidRequestError

from .report import Counts
from .row_ids import ID_BYTES

__all__ = ["Footer", "OutputFolder"]

_FOOTER = b"nvcf_batch"
_READERS = 16
_ATOMIC_PUT = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory"))
"""Protocols of stores where an object appears when it is whole."""


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of its rows, besides them."""

    run: str
    """The id of the run that wrote it."""
    ids: tuple[bytes, ...]
    """What each row is known by, in order."""
    failed: frozenset[int]
    """The places of the rows that have an error."""
    counts: Counts

    @classmethod
    def of(cls, run: str, ids: Sequence[bytes], table: pa.Table) -> Footer:
        """The footer of a table of results."""
        errors = table.column("error_type").to_pylist()
        failed = frozenset(place for place, error in enumerate(errors) if error is not None)
        counts = Counts(
            answered=len(ids) - len(failed),
            failed=len(failed),
            prompt_tokens=sum(filter(None, table.column("prompt_tokens").to_pylist())),
            completion_tokens=sum(filter(None, table.column("completion_tokens").to_pylist())),
        )
        return cls(run, tuple(ids), failed, counts)

    def dump(self) -> bytes:
        """The footer as the metadata of a schema."""
        return json.dumps(
            {
                "run": self.run,
                "ids": base64.b64encode(b"".join(self.ids)).decode(),
                "failed": sorted(self.failed),
                "prompt_tokens": self.counts.prompt_tokens,
                "completion_tokens": self.counts.completion_tokens,
            }
        ).encode()

    @classmethod
    def load(cls, data: bytes) -> Footer:
        """The footer that `dump` gave."""
        stored = json.loads(data)
        joined = base64.b64decode(stored["ids"])
        ids = tuple(joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES))
        failed = frozenset(stored["failed"])
        counts = Counts(
            answered=len(ids) - len(failed),
            failed=len(failed),
            prompt_tokens=stored["prompt_tokens"],
            completion_tokens=stored["completion_tokens"],
        )
        return cls(stored["run"], ids, failed, counts)


class OutputFolder:
    """A folder of results, local or at any url that fsspec knows.

    Args:
        url: a path, or a url such as `s3://bucket/folder`.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        self._fs, self._path = fsspec.core.url_to_fs(self.url)
        self._path = self._path.rstrip("/")
        protocol = self._fs.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        if self.local_path is not None:
            self.url = self._path  # Absolute: workers may have been started in other folders.

    def __reduce__(self) -> tuple[Any, ...]:
        return OutputFolder, (self.url,)

    @property
    def local_path(self) -> str | None:
        """The path on this machine's disk; None where it lies elsewhere."""
        return self._path if "file" in self._protocols else None

    def make(self) -> None:
        """Make the folder where there is none.

        Raises:
            OSError: that cannot be done.
        """
        self._fs.makedirs(self._path, exist_ok=True)

    def remove_half_written(self) -> None:
        """Remove what killed runs left half written. For one run that has the folder for itself.

        Raises:
            OSError: that cannot be done.
        """
        for name in self._names():
            if name.startswith(".") and name.endswith(".tmp"):
                self._fs.rm_file(f"{self._path}/{name}")

    def read_text(self, name: str) -> str | None:
        """A small file beside the results; None where there is none."""
        try:
            text: bytes = self._fs.cat_file(f"{self._path}/{name}")
        except FileNotFoundError:
            return None
        return text.decode()

    def write_text(self, name: str, text: str) -> None:
        """Write a small file beside the results. It is whole or as before.

        Raises:
            OSError: it cannot be written.
        """
        self._put(name, text.encode())

    def footers(self, run: str | None = None) -> Iterator[tuple[str, Footer, pa.Schema]]:
        """The files that there are: name, footer, and columns.

        Args:
            run: only those of this run.

        Raises:
            InvalidRequestError: a Parquet file was not written by a run.
        """
        names = [
            name
            for name in self._names()
            if name.endswith(".parquet") and (run is None or name.startswith(f"part-{run}-"))
        ]
        with ThreadPoolExecutor(_READERS) as readers:
            for name, (footer, schema) in zip(names, readers.map(self._footer, names), strict=True):
                yield name, footer, schema

    def write(self, name: str, table: pa.Table, footer: Footer) -> None:
        """Write a file of results. At any moment it is whole, as it was before, or absent.

        Raises:
            OSError: it cannot be written.
        """
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({_FOOTER: footer.dump()}), sink)
        self._put(name, sink.getvalue())

    def remove_failed(self) -> int:
        """Take out the rows that have an error, so that they are asked again. Returns how many."""
        removed = 0
        for name, footer, _ in list(self.footers()):
            if footer.failed:
                self._without_failed(name, footer)
                removed += len(footer.failed)
        return removed

    def _without_failed(self, name: str, footer: Footer) -> None:
        kept = [place for place in range(len(footer.ids)) if place not in footer.failed]
        if not kept:
            self._fs.rm_file(f"{self._path}/{name}")
            return
        with self._fs.open(f"{self._path}/{name}", "rb") as file:
            table = pq.read_table(file).take(kept)
        ids = [footer.ids[place] for place in kept]
        self.write(name, table, Footer.of(footer.run, ids, table))

    def _footer(self, name: str) -> tuple[Footer, pa.Schema]:
        try:
            with self._fs.open(f"{self._path}/{name}", "rb") as file:
                schema = pq.read_schema(file)
        except pa.ArrowInvalid:
            raise self._foreign(name) from None
        metadata = schema.metadata or {}
        if _FOOTER not in metadata:
            raise self._foreign(name)
        return Footer.load(metadata[_FOOTER]), schema.remove_metadata()

    def _foreign(self, name: str) -> InvalidRequestError:
        return InvalidRequestError(
            f"output: {self.url} holds {name}, which no run has written; choose another folder",
            field="output",
        )

    def _names(self) -> list[str]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._path, detail=False)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def _put(self, name: str, data: bytes | pa.Buffer) -> None:
        path, temporary = f"{self._path}/{name}", f"{self._path}/.{name}.{os.getpid()}.tmp"
        if self.local_path is not None:
            _replace(path, temporary, data)
        elif self._protocols & _ATOMIC_PUT:
            self._fs.pipe_file(path, bytes(data))
        else:
            self._fs.pipe_file(temporary, bytes(data))
            self._fs.mv(temporary, path)


def _replace(path: str, temporary: str, data: bytes | pa.Buffer) -> None:
    """Write a local file under another name, and rename it when all of it is on the disk."""
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # A rename lasts when its folder is on the disk.
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
