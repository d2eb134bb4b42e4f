"""`nvcf chat` in a pipe: what is sent, what is printed, and how it ends."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from nvcf_cli.samples import AUDIO, IMAGE, VIDEO
from nvcf_core import BaseNVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
WEATHER = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture
def media(tmp_path: Path) -> dict[str, Path]:
    """Small files of each kind, and an image that is too large to go inline."""
    contents = {
        "image.png": IMAGE,
        "audio.wav": AUDIO,
        "video.mp4": VIDEO,
        "large.png": IMAGE[:-12] + b"\0\x03\0\0teXt" + bytes(3 << 16) + bytes(4) + IMAGE[-12:],
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {Path(name).stem: tmp_path / name for name in contents}


def test_the_text_alone_goes_into_a_pipe(nvcf: Any, service: Emulator) -> None:
    service.reply(text=["Because ", "of Rayleigh."], reasoning="Light scatters.")
    ended = nvcf("chat", KIMI, "Why is the sky blue?")
    assert (ended.status, ended.out, ended.err) == (0, "Because of Rayleigh.\n", "")
    (chat,) = service.chats
    assert chat.body["stream"] is True
    assert chat.body["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]


def test_reasoning_on_demand(nvcf: Any, service: Emulator) -> None:
    service.reply(text="Blue.", reasoning="Light scatters.")
    assert nvcf("chat", KIMI, "Why?", "--show-reasoning").out == "Light scatters.\n\nBlue.\n"


def test_json_is_one_document(nvcf: Any, service: Emulator) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    service.reply(text="Blue.", reasoning="Light scatters.", usage=usage)
    ended = nvcf("chat", KIMI, "Why?", "--json")
    assert (ended.status, ended.err) == (0, "")
    said = ended.document
    assert said["model"] == KIMI
    assert (said["text"], said["reasoning"]) == ("Blue.", "Light scatters.")
    assert said["finish_reason"] == "stop"
    assert said["usage"]["total_tokens"] == 12
    assert said["request_id"]


def test_the_standard_input(nvcf: Any, service: Emulator) -> None:
    for arguments in (("-",), ()):
        nvcf("chat", KIMI, *arguments, stdin="Tell me.\nAll of it.\n")
    assert [chat.body["messages"][0]["content"] for chat in service.chats] == [
        "Tell me.\nAll of it."
    ] * 2


def test_settings_reach_the_body(nvcf: Any, service: Emulator) -> None:
    nvcf(
        "chat", KIMI, "Hi", "--system", "Be short.", "--reasoning-effort", "none",
        "--max-tokens", "9", "--temperature", "0.5",
    )  # fmt: skip
    body = service.chats[0].body
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert (body["max_tokens"], body["temperature"]) == (9, 0.5)
    assert body["chat_template_kwargs"] == {"thinking": False}


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_small_media_go_inline(
    nvcf: Any, service: Emulator, media: dict[str, Path], kind: str
) -> None:
    ended = nvcf("chat", NANO, "What is it?", f"--{kind}", str(media[kind]))
    assert ended.status == 0, ended.err
    part, text = service.chats[0].body["messages"][-1]["content"]
    assert part["type"] == f"{kind}_url"
    assert part[f"{kind}_url"]["url"].startswith(f"data:{kind}/")
    assert text == {"type": "text", "text": "What is it?"}
    assert not service.assets


def test_large_media_are_uploaded_and_deleted(
    nvcf: Any, service: Emulator, media: dict[str, Path]
) -> None:
    ended = nvcf("chat", KIMI, "What is it?", "--image", str(media["large"]))
    assert ended.status == 0, ended.err
    (asset,) = service.assets.values()
    assert asset.sha256 == hashlib.sha256(media["large"].read_bytes()).hexdigest()
    assert asset.state == "deleted"
    (asset_id,) = service.assets
    assert service.chats[0].headers["nvcf-input-asset-references"] == asset_id


def test_large_media_go_inline_without_an_asset_api(
    nvcf: Any, service: Emulator, media: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVCF_URL")
    service.fail(413)
    ended = nvcf("chat", KIMI, "What is it?", "--image", str(media["large"]))
    assert ended.status == 1
    assert "HTTP 413" in ended.err
    assert not service.assets


def test_a_file_of_another_kind(nvcf: Any, service: Emulator, media: dict[str, Path]) -> None:
    ended = nvcf("chat", NANO, "Look.", "--image", str(media["audio"]))
    assert ended.status == 1
    assert "audio.wav is not image, but audio/" in ended.err
    assert not service.requests


@pytest.mark.parametrize("wrapped", [True, False])
def test_calls_of_tools_are_shown_and_not_made(
    nvcf: Any, service: Emulator, tmp_path: Path, wrapped: bool
) -> None:
    tool = {"type": "function", "function": WEATHER}
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([tool] if wrapped else WEATHER))
    call = {"name": "get_weather", "arguments": {"city": "Rome"}}
    service.reply(tool_calls=[call], times=2)
    ended = nvcf("chat", KIMI, "Weather in Rome?", "--tool", str(path))
    assert (ended.status, ended.out) == (0, 'get_weather({"city": "Rome"})\n')
    assert service.chats[0].body["tools"] == [tool]
    (said,) = nvcf("chat", KIMI, "Weather in Rome?", "--tool", str(path), "--json").document[
        "tool_calls"
    ]
    assert said["name"] == "get_weather"
    assert json.loads(said["arguments"]) == {"city": "Rome"}


def test_what_goes_wrong_is_named(nvcf: Any, service: Emulator) -> None:
    service.fail("gone", times=2)
    ended = nvcf("chat", KIMI, "Hi")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("nvcf: HTTP 410: Gone")
    ended = nvcf("chat", KIMI, "Hi", "--json")
    assert ended.status == 1
    assert ended.document["error"]["type"] == "ModelGoneError"
    assert ended.document["error"]["status"] == 410
    assert ended.document["error"]["request_id"]


def test_an_answer_that_breaks_off(nvcf: Any, service: Emulator) -> None:
    service.error_in_stream("error-object", after=1)
    service.reply(text=["One ", "two ", "three"])
    ended = nvcf("chat", KIMI, "Count.")
    assert ended.status == 1
    assert "One" in ended.out
    assert "the engine has stopped" in ended.err


def test_an_answer_that_was_cut(nvcf: Any, service: Emulator) -> None:
    service.reply(text="One two", finish_reason="length")
    ended = nvcf("chat", KIMI, "Count.")
    assert ended.status == 0
    assert ended.err == "The answer ended early: length\n"


def test_warnings_are_one_line(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("chat", "google/paligemma", "Hi", "--reasoning-effort", "high")
    assert ended.status == 0
    assert ended.err.startswith("note: ")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "MODEL"),
        ((KIMI, "Hi", "--image", "missing.png"), "no such file: missing.png"),
        ((KIMI, "Hi", "--tool", "missing.json"), "cannot read missing.json"),
        ((KIMI, "Hi", "--temperature", "warm"), "--temperature"),
        ((KIMI, "Hi", "--api-key", "nvapi-x"), "--api-key"),
    ],
)
def test_a_wrong_call(nvcf: Any, service: Emulator, arguments: tuple[str, ...], said: str) -> None:
    ended = nvcf("chat", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert not service.requests


def test_an_effort_that_the_model_lacks(nvcf: Any, service: Emulator) -> None:
    ended = nvcf("chat", KIMI, "Hi", "--reasoning-effort", "some")
    assert ended.status == 1
    assert "reasoning_effort='some' is not one of none, minimal, low, medium, high" in ended.err
    assert not service.requests


def test_a_tool_that_is_none(nvcf: Any, service: Emulator, tmp_path: Path) -> None:
    (tmp_path / "tool.json").write_text('{"type": "function"}')
    ended = nvcf("chat", KIMI, "Hi", "--tool", str(tmp_path / "tool.json"))
    assert ended.status == 2
    assert "is not a tool's definition" in ended.err


def test_the_program_streams_and_ends_with_the_same_status(program: Any, service: Emulator) -> None:
    service.reply(text="Hello.")
    assert program("chat", KIMI, "-", stdin="Hi").out == "Hello.\n"


def test_settings_that_the_command_has_are_settings_of_the_core() -> None:
    assert {"reasoning_effort", "max_tokens", "temperature"} <= set(BaseNVCF.model_fields)
