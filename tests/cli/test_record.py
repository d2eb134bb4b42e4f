"""`nvcf record -- COMMAND`: the command finds the proxy, and what it asks is written down."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nvcf_emulator import API_KEY, Emulator

pytestmark = pytest.mark.slow

KIMI = "moonshotai/kimi-k2.6"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
ASKS = (sys.executable, "-m", "nvcf_cli", "chat", KIMI, "Hello")


def exchanges(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_options_it_writes_below_the_current_folder(
    program: Any, service: Emulator, tmp_path: Path
) -> None:
    service.reply(text="Four.")
    ended = program("record", "--", *ASKS)
    assert ended.status == 0, ended.err
    assert ended.out == "Four.\n"
    (path,) = (tmp_path / "recordings").iterdir()
    assert f"recorded in recordings/{path.name}" in ended.err
    text = path.read_text()
    assert API_KEY not in text
    assert "/chat/completions" in text
    assert len(service.chats) == 1
    assert service.chats[0].headers["authorization"] == f"Bearer {service.api_key}"


def test_options_of_the_command_are_its_own(
    program: Any, service: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "here" / "session.jsonl"
    ended = program("record", "--output", str(path), *ASKS, "--json")
    assert ended.status == 0, ended.err
    assert ended.document["text"]
    assert exchanges(path)


def test_a_recording_is_replayed(
    program: Any, service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "session.jsonl"
    service.reply(text=["Fo", "ur."], reasoning="Two and two.")
    first = program("record", "--output", str(path), "--", *ASKS, "--show-reasoning")
    with Emulator.replay(path) as replayed:
        again = program("chat", KIMI, "Hello", "--show-reasoning", "--base-url", replayed.base_url)
    assert again.out == first.out == "Two and two.\n\nFour.\n"


def test_uploads_are_recorded_and_replayed(program: Any, service: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    image = Path(__file__).parents[2] / "examples" / "media" / "lake.png"
    asking = ("chat", NANO, "What is this?", "--image", str(image))
    first = program(
        "record", "--output", str(path), "--", sys.executable, "-m", "nvcf_cli", *asking
    )
    assert "image image/png, 360x240 pixels" in first.out
    kinds = [
        (item["request"]["method"], item["response"]["status"]) for item in exchanges(path)[1:]
    ]
    assert kinds == [("POST", 200), ("PUT", 200), ("POST", 200), ("DELETE", 204)]
    service.clear()
    with Emulator.replay(path) as replayed:
        where = ("--base-url", replayed.base_url, "--nvcf-url", replayed.nvcf_url)
        assert program(*asking, *where).out == first.out
        assert replayed.unused == []
    assert service.requests == []


def test_a_command_that_fails(program: Any, service: Emulator) -> None:
    ended = program("record", "--", sys.executable, "-c", "raise SystemExit(7)")
    assert ended.status == 1
    assert "ended with status 7" in ended.err


def test_a_command_that_is_not_there(program: Any, service: Emulator) -> None:
    ended = program("record", "--", "no-such-program")
    assert ended.status == 1
    assert "no-such-program cannot be run" in ended.err


def test_a_file_that_cannot_be_written(program: Any, service: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = program("record", "--output", "file/session.jsonl", "--", *ASKS)
    assert ended.status == 1
    assert "cannot record in file/session.jsonl" in ended.err
    assert not service.requests


def test_no_command_is_a_wrong_call(program: Any) -> None:
    assert program("record").status == 2
