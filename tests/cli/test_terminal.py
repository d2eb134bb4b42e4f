"""The command in a terminal: dimmed reasoning, progress, a conversation, Ctrl-C."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from nvcf_cli.samples import IMAGE
from nvcf_emulator import API_KEY, Emulator

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

KIMI = "moonshotai/kimi-k2.6"

Terminal = Callable[..., Any]


@pytest.fixture
def terminal(service: Emulator) -> Iterator[Terminal]:
    """Starts the command in a terminal of its own; what it printed is in `.before`."""
    started: list[Any] = []

    def start(*arguments: str) -> Any:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}",
            "TERM": "xterm-256color",
        }
        environment.pop("NO_COLOR", None)
        started.append(
            pexpect.spawn(
                sys.executable,
                ["-m", "nvcf_cli", *arguments],
                env=environment,
                timeout=60,
                encoding="utf-8",
                dimensions=(40, 100),
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.close(force=True)


def ended(process: Any) -> str:
    """All that it printed until its end."""
    process.expect(pexpect.EOF)
    process.close()
    assert API_KEY not in process.before
    return str(process.before)


def test_reasoning_is_dimmed(terminal: Terminal, service: Emulator) -> None:
    service.reply(text="Blue.", reasoning="Light scatters.")
    process = terminal("chat", KIMI, "Why?")
    printed = ended(process)
    assert process.exitstatus == 0
    dimmed = re.findall(r"\x1b\[2m(.*?)\x1b\[0m", printed)
    assert "".join(dimmed) == "Light scatters."
    assert printed.endswith("Blue.\r\n")


def test_an_answer_cannot_change_the_terminal(terminal: Terminal, service: Emulator) -> None:
    service.reply(text="a\x1b]0;title\x07b\x1b[31mc\x9b2Jd\te")
    printed = ended(terminal("chat", KIMI, "Hi", "--reasoning-effort", "none"))
    assert printed == "a]0;titleb[31mc2Jd\te\r\n"


def test_an_upload_shows_its_progress(
    terminal: Terminal, service: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(IMAGE[:-12] + b"\0\x10\0\0teXt" + bytes(1 << 20) + bytes(4) + IMAGE[-12:])
    process = terminal("chat", KIMI, "What is it?", "--image", str(path))
    printed = ended(process)
    assert process.exitstatus == 0, printed
    assert "uploading large.png" in printed
    assert "1.0/1.0 MB" in printed
    assert [asset.length for asset in service.assets.values()] == [path.stat().st_size]


def test_a_conversation_remembers(terminal: Terminal, service: Emulator) -> None:
    service.reply(text="Hello, Ann.", when="Ann")
    service.reply(text="You are Ann.", when="Who")
    process = terminal("chat", KIMI, "--system", "Be short.", "--reasoning-effort", "none")
    process.expect("> ")
    process.sendline("I am Ann")
    process.expect_exact("Hello, Ann.")
    process.expect("> ")
    process.sendline("")
    process.expect("> ")
    process.sendline("Who am I?")
    process.expect_exact("You are Ann.")
    process.expect("> ")
    process.sendeof()
    ended(process)
    assert process.exitstatus == 0
    assert service.chats[1].body["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "I am Ann"},
        {"role": "assistant", "content": "Hello, Ann."},
        {"role": "user", "content": "Who am I?"},
    ]


def test_an_error_ends_no_conversation(terminal: Terminal, service: Emulator) -> None:
    service.fail(400, body="too clever a question")
    service.reply(text="Yes.")
    process = terminal("chat", KIMI)
    process.expect("> ")
    process.sendline("First")
    process.expect_exact("too clever a question")
    process.expect("> ")
    process.sendline("Second")
    process.expect_exact("Yes.")
    process.expect("> ")
    process.sendeof()
    ended(process)
    assert process.exitstatus == 0
    assert [message["content"] for message in service.chats[1].body["messages"]] == ["Second"]


def test_a_person_is_asked_what_a_tool_returned(
    terminal: Terminal, service: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "tool.json"
    path.write_text('{"name": "add", "description": "Add.", "parameters": {"type": "object"}}')
    service.reply(tool_calls=[{"name": "add", "arguments": {"a": 1}}])
    service.reply(text="It is 42.", when={"tool_result": "42"})
    process = terminal("chat", KIMI, "--tool", str(path), "--reasoning-effort", "none")
    process.expect("> ")
    process.sendline("Add them")
    process.expect_exact('add({"a": 1})')
    process.expect("result of add: ")
    process.sendline("42")
    process.expect_exact("It is 42.")
    process.expect("> ")
    process.sendeof()
    ended(process)
    assert service.chats[1].body["messages"][-1]["role"] == "tool"


def test_a_result_that_is_refused_leaves_no_call_behind(
    terminal: Terminal, service: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "tool.json"
    path.write_text('{"name": "add", "description": "Add.", "parameters": {"type": "object"}}')
    service.reply(tool_calls=[{"name": "add", "arguments": {"a": 1}}], when="Add")
    service.fail(400, body="a result too many", when={"tool_result": "42"})
    service.reply(text="Fine.", when="Never mind")
    process = terminal("chat", KIMI, "--tool", str(path), "--reasoning-effort", "none")
    process.expect("> ")
    process.sendline("Add them")
    process.expect("result of add: ")
    process.sendline("42")
    process.expect_exact("a result too many")
    process.expect("> ")
    process.sendline("Never mind")
    process.expect_exact("Fine.")
    process.expect("> ")
    process.sendeof()
    ended(process)
    assert [message["content"] for message in service.chats[-1].body["messages"]] == ["Never mind"]


def test_control_c_stops_an_answer_and_not_the_conversation(
    terminal: Terminal, service: Emulator
) -> None:
    service.reply(text=["One ", *["more "] * 200], chunk_delay=0.5)
    service.reply(text="Still here.")
    process = terminal("chat", KIMI, "--reasoning-effort", "none")
    process.expect("> ")
    process.sendline("Count")
    process.expect_exact("One ")
    process.sendintr()
    process.expect_exact("stopped")
    assert service.wait_until(lambda: service.streaming == 0, 10)
    process.expect("> ")
    process.sendline("And now?")
    process.expect_exact("Still here.")
    process.expect("> ")
    process.sendeof()
    ended(process)
    assert process.exitstatus == 0


def test_the_lines_of_a_diagnosis_have_colours(terminal: Terminal, service: Emulator) -> None:
    process = terminal("doctor", "no/such-model")
    printed = ended(process)
    assert process.exitstatus == 1
    assert "\x1b[32mok" in printed
    assert "\x1b[1;31mfailed" in printed
    assert printed.rstrip().endswith("nvcf: failed: model no/such-model\x1b[0m")


def test_a_conversation_needs_a_terminal(program: Any, service: Emulator) -> None:
    ended = program("chat", KIMI, "--json", stdin="Hi")
    assert ended.status == 0
    assert ended.document["text"]
