"""One run at a time for each output: a second one is refused, or else takes over, and the first notices."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from nvcf_core.errors import InvalidRequestError

from .output_folder import OutputFolder

__all__ = ["check_shared", "check_still_ours", "claimed"]

_LOCK_FILE = "_lock.sqlite"
_RUN_FILE = "_run"


@contextmanager
def claimed(folder: OutputFolder, run: str) -> Iterator[None]:
    """Keep an output for one run while the block runs.

    On a local disk there is a lock, which the system frees when its holder is killed. Elsewhere, and for workers that
    outlive their driver, the output names the run that began last.

    Args:
        folder: the output.
        run: the id of the run.

    Raises:
        InvalidRequestError: another run holds the lock.
        OSError: the output cannot be written.
    """
    folder.make()
    with _locked(folder):
        folder.write_text(_RUN_FILE, run)
        yield


@contextmanager
def _locked(folder: OutputFolder) -> Iterator[None]:
    if folder.local_path is None:
        yield
        return
    path = os.path.join(folder.local_path, _LOCK_FILE)
    # An open transaction of SQLite: a lock that every platform frees when the process ends, however it ends.
    with closing(
        sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    ) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise InvalidRequestError(
                    f"output: another run is writing to {folder.url}; wait for its end, or choose another folder",
                    field="output",
                ) from None
            raise OSError(f"output: {folder.url} cannot be locked: {error}") from error
        yield


def check_shared(folder: OutputFolder, run: str) -> None:
    """Make sure that a worker writes where its driver does.

    Raises:
        InvalidRequestError: the folder is not the driver's.
        OSError: another run has taken over.
    """
    if folder.read_text(_RUN_FILE) is None:
        raise InvalidRequestError(
            f"output: {folder.url} is not the same folder for a worker as for the driver; "
            "choose storage that all nodes share",
            field="output",
        )
    check_still_ours(folder, run)


def check_still_ours(folder: OutputFolder, run: str) -> None:
    """Make sure that no other run has begun on the same output.

    Raises:
        OSError: one has: what this run wrote besides, the other would not know of.
    """
    if folder.read_text(_RUN_FILE) != run:
        raise OSError(f"output: another run has begun to write to {folder.url}; this one ends")
