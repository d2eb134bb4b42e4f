"""`nvcf batch` as a function: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nvcf_batch import command

COMMAND = """
import json, sys
from nvcf_batch.command import batch

sys.exit(batch(**json.loads(sys.argv[1])))
"""


def call(bench: Any, source: Any, **keywords: Any) -> int:
    given = {"model": "moonshotai/kimi-k2.6", "prompt": "text", "local": True, **keywords}
    return command.batch(str(source), str(bench.output), settings=bench.settings, **given)


def test_a_run(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(bench, bench.source(3)) == 0
    printed = capsys.readouterr()
    assert "3 rows: 3 answered, 0 failed, 0 skipped" in printed.out
    assert "3/3" in printed.err


def test_one_json_document(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(bench, bench.source(3), as_json=True) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert set(document) == {
        "rows", "answered", "failed", "skipped", "prompt_tokens", "completion_tokens", "seconds",
    }  # fmt: skip
    assert document["answered"] == 3
    assert not printed.err


def test_failed_rows_are_status_1(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bench.server.fail(400)
    assert call(bench, bench.source(3), as_json=True) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["failed"] == 1
    assert "1 of 3 rows failed" in printed.err
    assert call(bench, bench.source(3), retry_errors=True) == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_a_wrong_call_is_status_2(
    bench: Any, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(bench, bench.source(3), prompt="{txt}", as_json=as_json) == 2
    printed = capsys.readouterr()
    assert "'txt'" in printed.err
    if as_json:
        error = json.loads(printed.out)["error"]
        assert error["type"] == "InvalidRequestError"
        assert "'txt'" in error["message"]
    assert call(bench, bench.folder / "nothing.jsonl") == 2
    assert call(bench, bench.source(3), schema="nothing.json") == 2
    assert not bench.server.requests


def test_an_output_that_cannot_be_written_is_status_1(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.output.write_text("a file")
    assert call(bench, bench.source(3)) == 1
    assert str(bench.output) in capsys.readouterr().err


def test_a_dry_run_asks_and_writes_nothing(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bench.server.fail(400)
    bench.run(bench.source(1))
    asked = len(bench.server.requests)
    source = bench.source(80)
    keywords: dict[str, Any] = {"dry_run": True, "as_json": True, "requests_per_minute": 40}
    assert call(bench, source, **keywords) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["requests"], found["skipped"]) == (80, 79, 1)
    assert found["minutes"] == 79 / 40
    assert 79 * 2 <= found["prompt_tokens"] <= 79 * 10
    assert call(bench, source, retry_errors=True, dry_run=True) == 0
    assert "80 requests" in capsys.readouterr().out
    assert len(bench.server.requests) == asked
    assert bench.rows()[0]["error"]


def test_a_schema_from_a_file(bench: Any) -> None:
    schema = bench.folder / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    bench.server.reply(text='{"n": 3}')
    assert call(bench, bench.source(1), model="google/gemma-3n-e2b-it", schema=str(schema)) == 0
    assert bench.rows()[0]["parsed"] == {"n": 3}


@pytest.mark.skipif(sys.platform != "linux", reason="lists the processes of a session")
@pytest.mark.parametrize(
    "local", [True, pytest.param(False, marks=[pytest.mark.slow, pytest.mark.timeout(400)])]
)
def test_ctrl_c_at_a_terminal(
    bench: Any, local: bool, written_ids: Callable[[Path], list[int]]
) -> None:
    """All processes of the session get the signal, as from a terminal. None is left, and the output is whole."""
    bench.server.reply("Well.", delay=0.05, times=None)
    source, concurrency = bench.source(600), 8
    command = [
        sys.executable, "-m", "nvcf_cli", "batch", str(source), str(bench.output), "--model", "moonshotai/kimi-k2.6",
        "--prompt", "text", "--concurrency", str(concurrency), "--base-url", bench.server.base_url,
        "--nvcf-url", bench.server.nvcf_url, *(["--local"] if local else []),
    ]  # fmt: skip
    running = subprocess.Popen(
        command,
        env={**os.environ, "NVIDIA_API_KEY": bench.server.api_key},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert bench.server.wait_until(lambda: len(bench.server.chats) >= 60, 200)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 1
    assert "interrupted" in err
    assert "Traceback" not in err
    assert bench.server.wait_until(lambda: not session(running.pid), 60), session(running.pid)
    ids, asked = written_ids(bench.output), bench.asked()
    assert len(ids) == len(set(ids)) >= len(asked) - 2 * concurrency
    assert (
        bench.run(source, concurrency=200, settings={"nvcf_url": bench.server.nvcf_url}).rows == 600
    )
    assert sorted(written_ids(bench.output)) == list(range(600))


def session(leader: int) -> list[str]:
    """The processes of a session."""
    listed = subprocess.run(
        ["ps", "-eo", "sess=,pid=,args="], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if line.split(None, 1)[0] == str(leader)]


def test_an_interrupt_ends_it_clean(bench: Any) -> None:
    bench.server.fault("stall", when="row 9.")
    given = {
        "source": str(bench.source(10)),
        "output": str(bench.output),
        "model": "moonshotai/kimi-k2.6",
        "prompt": "text",
        "local": True,
        "settings": bench.settings,
    }
    running = subprocess.Popen(
        [sys.executable, "-c", COMMAND, json.dumps(given)], stderr=subprocess.PIPE, text=True
    )
    assert bench.server.wait_until(lambda: len(bench.server.chats) >= 10, 60)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "interrupted" in err
    assert "Traceback" not in err
