"""What the tests of this folder share: models that ask the emulator, both colours, small media, a recorder."""

from __future__ import annotations

import asyncio
import io
import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

Make = Callable[..., NVCF]


@pytest.fixture
def server(nvcf_emulator: Emulator) -> Emulator:
    return nvcf_emulator


@pytest.fixture
def make(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Models that ask the emulator, closed after the test."""
    for name in ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL"):
        monkeypatch.delenv(name, raising=False)
    made: list[NVCF] = []

    def build(model: str = "moonshotai/kimi-k2.6", **settings: Any) -> NVCF:
        places = {
            "base_url": server.base_url,
            "nvcf_url": server.nvcf_url,
            "api_key": server.api_key,
        }
        made.append(NVCF(model=model, **{**places, **settings}))
        return made[-1]

    yield build
    for model in made:
        model.close()


class Colour:
    """Calls a method of a model, sync or async, so that one test covers both."""

    def __init__(self, name: str) -> None:
        self.name = name

    def call(self, llm: NVCF, method: str, *args: Any, **kwargs: Any) -> Any:
        if self.name == "sync":
            return getattr(llm, method)(*args, **kwargs)
        return asyncio.run(getattr(llm, f"a{method}")(*args, **kwargs))

    def stream(self, llm: NVCF, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        if self.name == "sync":
            return list(getattr(llm, method)(*args, **kwargs))

        async def collected() -> list[Any]:
            stream = await getattr(llm, f"a{method}")(*args, **kwargs)
            return [item async for item in stream]

        return asyncio.run(collected())

    def answer(self, llm: NVCF, way: str, messages: Any, **kwargs: Any) -> Any:
        """The response of a chat: the whole one, or the last of a stream."""
        if way == "whole":
            return self.call(llm, "chat", messages, **kwargs)
        return self.stream(llm, "stream_chat", messages, **kwargs)[-1]


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


@pytest.fixture(params=["whole", "stream"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Recorder(BaseEventHandler):
    """Keeps every event of LlamaIndex's dispatcher, exceptions and all."""

    seen: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **_: Any) -> None:
        self.seen.append(event)

    @property
    def names(self) -> list[str]:
        return [event.class_name() for event in self.seen]


@pytest.fixture
def events() -> Iterator[Recorder]:
    dispatcher = get_dispatcher()
    recorder = Recorder()
    dispatcher.add_event_handler(recorder)
    yield recorder
    dispatcher.event_handlers.remove(recorder)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 4, height: int = 3, padding: int = 0) -> bytes:
    rows = b"".join(b"\0" + bytes(3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    extra = _chunk(b"tEXt", b"pad\0" + b"x" * padding) if padding else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + extra
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def wav(seconds: float = 0.05) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * int(8000 * seconds)))
    return file.getvalue()


def mp4(padding: int = 0) -> bytes:
    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    duration = struct.pack(">IIIII", 0, 0, 0, 1000, 2000) + bytes(80)
    return (
        box(b"ftyp", b"isom\0\0\2\0isommp42")
        + box(b"moov", box(b"mvhd", duration))
        + box(b"mdat", bytes(padding))
    )


@pytest.fixture
def media() -> SimpleNamespace:
    """Small pictures, sounds and films, made on the spot."""
    return SimpleNamespace(png=png, wav=wav, mp4=mp4)
