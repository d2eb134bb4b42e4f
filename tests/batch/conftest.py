"""What the tests of batches share: tables, runs against the emulator, and a look at the output."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import nvcf_batch
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


@dataclass
class Bench:
    """A source, an output, and the emulator that is asked."""

    server: Emulator
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def settings(self) -> dict[str, Any]:
        server = self.server
        return {
            "base_url": server.base_url,
            "nvcf_url": server.nvcf_url,
            "api_key": server.api_key,
        }

    def source(self, rows: list[dict[str, Any]] | int, name: str = "in.jsonl") -> Path:
        """A file of these rows, or of so many with an id and a text."""
        if isinstance(rows, int):
            rows = [{"id": number, "text": f"row {number}."} for number in range(rows)]
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def run(self, source: Any, **keywords: Any) -> nvcf_batch.Report:
        """A run in this process, unless told otherwise."""
        settings = {**self.settings, **keywords.pop("settings", {})}
        given = {
            "model": KIMI, "prompt": "text", "output": self.output, "local": True, "progress": False,
            **keywords,
        }  # fmt: skip
        return nvcf_batch.run(source, settings=settings, **given)

    def rows(self) -> list[dict[str, Any]]:
        """The output, by id where there is one."""
        table = pq.read_table(self.output)
        return sorted(table.to_pylist(), key=lambda row: row.get("id") or 0)

    def asked(self, first: int = 0) -> Counter[int]:
        """How often each of the rows of `source(number)` was asked, from the request with this number on."""
        chats = self.server.chats[first:]
        texts = [str(request.body["messages"][-1]["content"]) for request in chats]
        return Counter(
            int(found[1]) for text in texts if (found := re.search(r"row (\d+)\.", text))
        )


@pytest.fixture(scope="session", autouse=True)
def _equal_ray() -> Iterator[None]:
    """Give Ray's processes the priority of others, so that tests beside them do not starve them, and start one less."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_worker_niceness", "0")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture
def bench(nvcf_emulator: Emulator, tmp_path: Path) -> Bench:
    return Bench(nvcf_emulator, tmp_path)


@pytest.fixture
def written_ids() -> Callable[[Path], list[int]]:
    """The ids in all Parquet files of a folder, each of which must be whole."""

    def read(folder: Path) -> list[int]:
        tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
        return [id for table in tables for id in table["id"].to_pylist()]

    return read
