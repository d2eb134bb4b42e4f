"""A run that goes on where another was: nothing asked twice, nothing lost, whoever was killed and when."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import nvcf_batch
from nvcf_batch.output_folder import OutputFolder
from nvcf_core.errors import InvalidRequestError

RUNNING = """
import json, sys
import nvcf_batch

if __name__ == "__main__":
    keywords = json.loads(sys.argv[1])
    print(nvcf_batch.run(**keywords, progress=False))
"""

CONCURRENCY = 8


def start(bench: Any, source: Path, code: str = RUNNING, **keywords: Any) -> subprocess.Popen[str]:
    """A run in another process."""
    given = {
        "source": str(source),
        "output": str(bench.output),
        "model": "moonshotai/kimi-k2.6",
        "prompt": "text",
        "settings": bench.settings,
        "concurrency": CONCURRENCY,
        "local": True,
        **keywords,
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("key", [None, "id"])
def test_a_second_run_asks_nothing(bench: Any, key: str | None) -> None:
    source = bench.source(70)
    first = bench.run(source, key=key)
    assert (first.rows, first.answered, first.skipped) == (70, 70, 0)
    second = bench.run(source, key=key, settings={"timeout": 5}, concurrency=3)
    assert (second.rows, second.answered, second.skipped) == (70, 0, 70)
    assert second.prompt_tokens == 0
    assert bench.asked() == dict.fromkeys(range(70), 1)
    assert len(bench.rows()) == 70


def test_more_rows_are_asked_alone(bench: Any) -> None:
    bench.run(bench.source(5))
    assert bench.run(bench.source(8)).answered == 3
    assert [row["id"] for row in bench.rows()] == list(range(8))


def test_another_request_is_another_row_without_a_key(bench: Any) -> None:
    source = bench.source(2)
    bench.run(source)
    assert bench.run(source, settings={"temperature": 0.5}).answered == 2
    assert bench.run(source, prompt="Once more: {text}").answered == 2
    assert bench.run(source, prompt="Once more: {text}", key="id").skipped == 0


def test_rows_that_are_the_same_are_each_asked_and_with_a_key_once(bench: Any) -> None:
    source = bench.source([{"id": 1, "text": "row 1."}] * 3)
    assert bench.run(source).answered == 3
    assert bench.run(source).skipped == 3
    assert len(bench.rows()) == 3
    bench.output.rename(bench.folder / "before")
    report = bench.run(source, key="id")
    assert (report.answered, report.skipped) == (1, 2)


def test_a_key_that_is_null_stops_the_run(bench: Any) -> None:
    with pytest.raises(InvalidRequestError, match="null"):
        bench.run(bench.source([{"id": None, "text": "x"}, {"id": 1, "text": "y"}]), key="id")
    assert not bench.server.requests


@pytest.mark.parametrize("key", [None, "id"])
def test_failed_rows_are_asked_again_only_where_told(bench: Any, key: str | None) -> None:
    bench.server.fail(400, when="row 2.", times=2)
    source = bench.source(4)
    assert bench.run(source, key=key).failed == 1
    again = bench.run(source, key=key)
    assert (again.answered, again.failed, again.skipped) == (0, 0, 4)
    still = bench.run(source, key=key, retry_errors=True)
    assert (still.answered, still.failed, still.skipped) == (0, 1, 3)
    at_last = bench.run(source, key=key, retry_errors=True)
    assert (at_last.answered, at_last.failed, at_last.skipped) == (1, 0, 3)
    assert [row["id"] for row in bench.rows()] == [0, 1, 2, 3]
    assert not any(row["error"] for row in bench.rows())
    assert bench.asked() == {0: 1, 1: 1, 2: 3, 3: 1}


def test_many_rows_make_files_of_some_size(bench: Any) -> None:
    bench.run(bench.source(1_300), concurrency=50)
    sizes = [pq.read_metadata(path).num_rows for path in bench.output.glob("*.parquet")]
    assert sum(sizes) == 1_300
    assert max(sizes) <= 1_000
    assert len(sizes) <= 3


def test_a_second_run_on_the_same_output_is_refused_while_the_first_lives(
    bench: Any, written_ids: Callable[[Path], list[int]]
) -> None:
    bench.server.fault("stall", times=1, when="row 19.")
    source = bench.source(20)
    first = start(bench, source, settings={**bench.settings, "timeout": 100})
    assert bench.server.wait_until(lambda: len(bench.server.chats) >= 20, 60)
    with pytest.raises(InvalidRequestError, match="another run is writing to") as caught:
        bench.run(source)
    assert caught.value.field == "output"
    assert len(bench.server.chats) == 20
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert bench.run(source).rows == 20
    assert sorted(written_ids(bench.output)) == list(range(20))


def test_a_second_run_of_the_same_process_is_refused(bench: Any) -> None:
    source = bench.source(3)
    refused: list[InvalidRequestError] = []

    def run_once_more(request: Any) -> str:
        try:
            bench.run(source)
        except InvalidRequestError as error:
            refused.append(error)
        return "Well."

    bench.server.reply(run_once_more, times=1)
    assert bench.run(source).answered == 3
    assert "another run" in str(refused[0])


def test_where_there_are_no_locks_the_later_run_has_the_output(bench: Any) -> None:
    url = f"memory://batch-{os.getpid()}/taken"
    folder, source = OutputFolder(url), bench.source(200)
    reports: list[nvcf_batch.Report] = []
    later = threading.Thread(target=lambda: reports.append(bench.run(source, output=url)))

    def begin_another(request: Any) -> str:
        first = folder.read_text("_run")
        later.start()
        while folder.read_text("_run") == first:
            time.sleep(0.01)
        return "Well."

    bench.server.reply(begin_another, times=1, when="row 50.")
    with pytest.raises(OSError, match="another run has begun"):
        bench.run(source, output=url, concurrency=4)
    later.join()
    ids = [id for _, footer, _ in folder.footers() for id in footer.ids]
    assert len(ids) == len(set(ids)) == reports[0].rows == 200


def test_no_row_is_asked_again_once_it_is_written(
    bench: Any, written_ids: Callable[[Path], list[int]]
) -> None:
    source = bench.source(150)
    running = start(bench, source)
    assert bench.server.wait_until(lambda: bench.output.exists() and written_ids(bench.output), 60)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    written, before = written_ids(bench.output), len(bench.server.chats)
    bench.run(source)
    again = {
        int(request.body["messages"][-1]["content"].removeprefix("row ").rstrip("."))
        for request in bench.server.chats[before:]
    }
    assert written
    assert not again & set(written)
    assert again | set(written) == set(range(150))


def test_an_interrupt_ends_the_run_and_keeps_what_was_answered(
    bench: Any, written_ids: Callable[[Path], list[int]]
) -> None:
    bench.server.fault("stall", times=1, when="row 149.")
    source = bench.source(150)
    running = start(bench, source, settings={**bench.settings, "timeout": 60})
    assert bench.server.wait_until(lambda: len(bench.server.chats) >= 150, 60)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode != 0
    assert "KeyboardInterrupt" in err
    assert len(written_ids(bench.output)) >= 150 - 2 * CONCURRENCY
    assert bench.run(source).rows == 150
    assert sorted(written_ids(bench.output)) == list(range(150))


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(
    bench: Any, monkeypatch: pytest.MonkeyPatch, written_ids: Callable[[Path], list[int]]
) -> None:
    source = bench.source(200)
    sync = os.fsync
    calls = iter(range(10_000))

    def full(file: int) -> None:
        if next(calls) >= 4:  # A file and its folder, twice.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            bench.run(source, concurrency=4)
    ids = written_ids(bench.output)
    assert 0 < len(ids) == len(set(ids)) < 200
    assert len(bench.server.chats) < 200
    assert not list(bench.output.glob(".*.tmp"))
    assert bench.run(source).skipped == len(ids)
    assert sorted(written_ids(bench.output)) == list(range(200))


def test_what_a_killed_run_left_half_written_is_removed(bench: Any) -> None:
    bench.output.mkdir()
    (bench.output / ".part-x.parquet.1.tmp").write_bytes(b"PAR1")
    bench.run(bench.source(1))
    assert not [path.name for path in bench.output.iterdir() if path.name.startswith(".")]
    assert [row["id"] for row in bench.rows()] == [0]


def test_files_of_others_in_the_output_are_refused(bench: Any) -> None:
    bench.output.mkdir()
    pq.write_table(pa.table({"text": ["x"]}), bench.output / "mine.parquet")
    with pytest.raises(InvalidRequestError, match=r"mine\.parquet"):
        bench.run(bench.source(1))
    assert not bench.server.requests


def test_results_of_other_columns_in_the_output_are_refused(bench: Any) -> None:
    bench.run(bench.source(1))
    with pytest.raises(InvalidRequestError, match="other columns"):
        bench.run(bench.source([{"other": 1, "text": "x"}]))


def test_the_output_may_be_any_url(bench: Any) -> None:
    url = f"memory://batch-{os.getpid()}/out"
    source = bench.source(20)
    for answered in (20, 0):
        report = nvcf_batch.run(
            source, model="moonshotai/kimi-k2.6", output=url, prompt="text",
            settings=bench.settings, local=True, progress=False,
        )  # fmt: skip
        assert (report.answered, report.skipped) == (answered, 20 - answered)
    ids = [id for _, footer, _ in OutputFolder(url).footers() for id in footer.ids]
    assert len(set(ids)) == 20


def test_the_output_may_be_a_url_of_this_machine(bench: Any) -> None:
    source = bench.source(20)
    assert bench.run(source, output=f"file://{bench.output}").answered == 20
    assert bench.run(source).skipped == 20


def test_where_files_appear_before_they_are_whole_they_are_renamed(bench: Any) -> None:
    """As on SFTP or HDFS, whose files are seen while they are written."""
    seen: list[str] = []

    class Plain(MemoryFileSystem):
        protocol = "plain"
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

        def pipe_file(self, path: str, value: bytes, **more: Any) -> None:
            seen.append(path.rpartition("/")[2])
            super().pipe_file(path, value, **more)

    fsspec.register_implementation("plain", Plain, clobber=True)
    source = bench.source(20)
    assert bench.run(source, output="plain://out").answered == 20
    assert bench.run(source, output="plain://out").skipped == 20
    assert seen
    assert all(name.startswith(".") and name.endswith(".tmp") for name in seen)
    names = {path.rpartition("/")[2] for path in Plain.store}
    assert {name for name in names if name.endswith(".parquet")}
    assert not {name for name in names if name.startswith(".")}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_file_that_may_not_grow_ends_the_run_and_what_was_written_stays(
    bench: Any, written_ids: Callable[[Path], list[int]]
) -> None:
    """The limit of the system on the size of files stands for a disk that is full."""
    rows = [{"id": number, "text": f"row {number}. " + "x" * 400} for number in range(300)]
    source = bench.source(rows)
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
    bench.server.reply(lambda request: f"{request.user!r} is what was said.", times=None)
    running = start(bench, source, code=limited + RUNNING)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 1
    assert "OSError: [Errno 27]" in err
    ids = written_ids(bench.output)
    assert 0 < len(ids) == len(set(ids)) < 300
    assert not list(bench.output.glob(".*.tmp"))
    assert len(bench.asked()) <= len(ids) + 2 * CONCURRENCY
    assert bench.run(source).skipped == len(ids)
    assert sorted(written_ids(bench.output)) == list(range(300))


@pytest.mark.slow
def test_the_limit_holds_over_a_restart(bench: Any) -> None:
    source = bench.source(30)
    running = start(bench, source, requests_per_minute=10)
    assert bench.server.wait_until(lambda: len(bench.server.chats) >= 10, 60)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    running = start(bench, source, requests_per_minute=10)
    with pytest.raises(subprocess.TimeoutExpired):
        running.communicate(timeout=8)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert len(bench.server.chats) == 10


def test_no_more_than_the_concurrency_is_under_way(bench: Any) -> None:
    class Gauge:
        now = most = 0

        def acquire(self) -> None:
            raise AssertionError("a batch is asynchronous")

        async def acquire_async(self) -> None:
            self.now += 1
            self.most = max(self.most, self.now)

        def feedback(self, status: int, retry_after: float | None) -> None:
            self.now -= 1

    gauge = Gauge()
    bench.run(bench.source(100), concurrency=7, settings={"request_limiter": gauge})
    assert gauge.most == 7
