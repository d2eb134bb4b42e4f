"""What the emulator's tests share: a server, plain HTTP clients, and small media files."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from nvcf_emulator import Emulator

GEMMA = "google/gemma-3n-e2b-it"
NANO = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
PALI = "google/paligemma"
KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 3, height: int = 2, padding: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(3 * width) for _ in range(height)))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"teXt", bytes(padding))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def jpeg(width: int = 5, height: int = 4) -> bytes:
    app = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    frame = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + app + frame + b"\xff\xd9"


def gif(width: int = 7, height: int = 6) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def webp(width: int = 9, height: int = 8) -> bytes:
    bits = struct.pack("<I", (width - 1) | (height - 1) << 14)
    body = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + bits
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(seconds: float = 0.5, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * int(seconds * rate)))
    return out.getvalue()


def mp3(frames: int = 10) -> bytes:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 0, 6]) + bytes(6)
    return tag + (b"\xff\xfb\x90\xc4" + bytes(413)) * frames


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def mp4(seconds: float = 2.5, brand: bytes = b"isom", padding: int = 0) -> bytes:
    header = bytes(12) + struct.pack(">II", 1000, int(seconds * 1000)) + bytes(80)
    return (
        box(b"ftyp", brand + bytes(4) + brand)
        + box(b"mdat", bytes(padding))
        + box(b"moov", box(b"mvhd", header))
    )


def element(name: bytes, body: bytes) -> bytes:
    return name + bytes([0x80 | len(body)]) + body


def webm(seconds: float = 1.5, doctype: bytes = b"webm") -> bytes:
    info = element(b"\x2a\xd7\xb1", (1_000_000).to_bytes(3, "big"))
    info += element(b"\x44\x89", struct.pack(">d", seconds * 1000))
    segment = element(b"\x15\x49\xa9\x66", info)
    return element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", doctype)) + element(
        b"\x18\x53\x80\x67", segment
    )


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{b64(data)}"


def events(text: str) -> list[Any]:
    """The data of a stream's events, parsed; strict about what separates them."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            assert len(lines) == 1, lines
            assert lines[0].startswith("data: "), lines
            data = lines[0].removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


def gathered(found: list[Any]) -> SimpleNamespace:
    """A stream put together again: text, reasoning, tool calls by index, finish, usage."""
    whole = SimpleNamespace(text="", reasoning="", calls={}, finish=None, usage=None, roles=[])
    for event in found:
        if event == "[DONE]":
            continue
        whole.usage = event.get("usage") or whole.usage
        for choice in event["choices"]:
            delta = choice["delta"]
            whole.roles.append(delta.get("role", "absent"))
            whole.text += delta.get("content") or ""
            whole.reasoning += delta.get("reasoning_content") or ""
            whole.finish = choice["finish_reason"] or whole.finish
            for call in delta.get("tool_calls", ()):
                known = whole.calls.setdefault(call.get("index"), {"name": "", "arguments": ""})
                known["name"] = call["function"].get("name") or known["name"]
                arguments = call["function"].get("arguments")
                if isinstance(arguments, str):
                    known["arguments"] += arguments
    return whole


@pytest.fixture
def files() -> SimpleNamespace:
    return SimpleNamespace(
        png=png,
        jpeg=jpeg,
        gif=gif,
        webp=webp,
        wav=wav,
        mp3=mp3,
        mp4=mp4,
        webm=webm,
        b64=b64,
        data_url=data_url,
        short_hash=lambda data: hashlib.sha256(data).hexdigest()[:12],
    )


@pytest.fixture
def sse() -> SimpleNamespace:
    return SimpleNamespace(events=events, gathered=gathered)


@pytest.fixture
def server(nvcf_emulator: Emulator) -> Emulator:
    return nvcf_emulator


@pytest.fixture(scope="session")
def _client() -> Iterator[httpx.Client]:
    # One for all: making one loads the system's certificates, which takes longer than a test.
    with httpx.Client(timeout=10) as made:
        yield made


@pytest.fixture(scope="session")
def bare() -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(timeout=10) as made:
        yield made


@pytest.fixture
def client(server: Emulator, _client: httpx.Client) -> httpx.Client:
    """A client with the key."""
    _client.headers["authorization"] = f"Bearer {server.api_key}"
    return _client


@pytest.fixture
def post(server: Emulator, client: httpx.Client) -> Callable[..., httpx.Response]:
    """Post a body to the path of its model."""

    def run(
        model: str, body: dict[str, Any], headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        path = "/vlm/google/paligemma" if model == PALI else "/chat/completions"
        named = {} if model == PALI else {"model": model}
        whole = {"stream": False, **named, **body}
        return client.post(server.base_url + path, json=whole, headers=headers, **more)

    return run


@pytest.fixture
def ask(post: Callable[..., httpx.Response]) -> Callable[..., httpx.Response]:
    """Ask one question of the user, with further body fields."""

    def run(
        model: str,
        content: Any = "Hello there",
        /,
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> httpx.Response:
        messages = [{"role": "user", "content": content}]
        return post(model, {"messages": messages, **fields}, headers)

    return run


@pytest.fixture
def said(ask: Callable[..., httpx.Response]) -> Callable[..., str]:
    """The text that answers a question that must be accepted."""

    def run(model: str, content: Any = "Hello there", /, **fields: Any) -> str:
        response = ask(model, content, **fields)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["message"]["content"])

    return run


@pytest.fixture
def upload(server: Emulator, client: httpx.Client, bare: httpx.Client) -> Callable[..., str]:
    """Create an asset and put its bytes; its id."""

    def run(data: bytes, content_type: str, description: str = "a test") -> str:
        made = client.post(
            f"{server.nvcf_url}/assets",
            json={"contentType": content_type, "description": description},
        ).json()
        headers = {
            "content-type": content_type,
            "x-amz-meta-nvcf-asset-description": description,
        }
        assert bare.put(made["uploadUrl"], content=data, headers=headers).status_code == 200
        return str(made["assetId"])

    return run
