"""Which rows are done and which are under way: asked by every worker before it asks the model."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from .output_folder import OutputFolder
from .report import Counts
from .row_ids import ID_BYTES, numbered

__all__ = ["AsyncLedger", "Ledger", "LocalLedger"]

_NOT_ASKED = bytes(ID_BYTES)


class Ledger:
    """The rows of one run.

    Args:
        folder: the output, whose files say which rows are done.
        run: the id of this run.
        again: whether rows that failed are taken for not done.
        unique: whether rows have a key, so that a second row with the same key is not asked. Without, rows that are
            the same in everything are each asked.
    """

    def __init__(
        self, folder: OutputFolder, run: str, *, unique: bool, again: bool = False
    ) -> None:
        self._folder, self._run, self._unique = folder, run, unique
        self._done = {
            id
            for _, footer, _ in folder.footers()
            for place, id in enumerate(footer.ids)
            if not (again and place in footer.failed)
        }
        self._seen: Counter[bytes] = Counter()
        self._claims: dict[str, bytes] = {}
        self._counts = Counts()
        self._failure: Exception | None = None

    def claim(self, token: str, digests: list[bytes]) -> list[bytes | None]:
        """Take over a batch of rows.

        Who takes over a batch that another had before it was killed gets the same ids, but for the rows that were
        written.

        Args:
            token: what the batch is known by, the same at a second try.
            digests: one for each row.

        Returns:
            The id of each row; None: it is not to be asked.
        """
        if token in self._claims:
            written = self._folder.footers(self._run)
            self._done |= {id for _, footer, _ in written for id in footer.ids}
        else:
            ids = [self._id(digest) for digest in digests]
            self._claims[token] = b"".join(ids)
            self._counts.skipped += sum(id == _NOT_ASKED for id in ids)
        joined = self._claims[token]
        claimed = [joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)]
        return [None if id == _NOT_ASKED or id in self._done else id for id in claimed]

    def note(self, counts: Counts) -> None:
        """Add rows that were written to what progress shows."""
        self._counts.add(counts)

    def progress(self) -> Counts:
        """Rows and tokens so far."""
        return self._counts

    def fail(self, error: Exception) -> None:
        """Note what ended a worker. The first is the reason for the others."""
        self._failure = self._failure or error

    def failure(self) -> Exception | None:
        """Return the error that ended a worker, if one did."""
        return self._failure

    def _id(self, digest: bytes) -> bytes:
        number = self._seen[digest]
        self._seen[digest] += 1
        if self._unique:
            return _NOT_ASKED if number or digest in self._done else digest
        id = numbered(digest, number)
        return _NOT_ASKED if id in self._done else id


class AsyncLedger(Protocol):
    """A ledger as workers ask it, wherever it is."""

    async def claim(self, token: str, digests: list[bytes]) -> list[bytes | None]:
        """As `Ledger.claim`."""
        ...

    def note(self, counts: Counts) -> None:
        """As `Ledger.note`."""
        ...


class LocalLedger:
    """A ledger of the same process."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def claim(self, token: str, digests: list[bytes]) -> list[bytes | None]:
        """As `Ledger.claim`."""
        return self._ledger.claim(token, digests)

    def note(self, counts: Counts) -> None:
        """As `Ledger.note`."""
        self._ledger.note(counts)
