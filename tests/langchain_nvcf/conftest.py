"""What the tests of the LangChain adapter share: models that talk to the emulator, both colours, small media."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_nvcf import NVCFLLM, ChatNVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


@pytest.fixture
def wiring(nvcf_emulator: Emulator) -> dict[str, Any]:
    """The keywords that lead to the emulator."""
    return {
        "base_url": nvcf_emulator.base_url,
        "nvcf_url": nvcf_emulator.nvcf_url,
        "api_key": nvcf_emulator.api_key,
        "max_retries": 0,
    }


@pytest.fixture
def chat(wiring: dict[str, Any]) -> Iterator[Callable[..., ChatNVCF]]:
    """Makes chat models, of kimi-k2.6 unless told otherwise, and closes them."""
    made: list[ChatNVCF] = []

    def make(model: str = KIMI, **keywords: Any) -> ChatNVCF:
        made.append(ChatNVCF(model=model, **{**wiring, **keywords}))
        return made[-1]

    yield make
    for model in made:
        model.close()


@pytest.fixture
def llm(wiring: dict[str, Any]) -> Iterator[Callable[..., NVCFLLM]]:
    """Makes LLMs, of kimi-k2.6 unless told otherwise, and closes them."""
    made: list[NVCFLLM] = []

    def make(model: str = KIMI, **keywords: Any) -> NVCFLLM:
        made.append(NVCFLLM(model=model, **{**wiring, **keywords}))
        return made[-1]

    yield make
    for model in made:
        model.close()


def _sync_stream(runnable: Any, value: Any, **keywords: Any) -> list[Any]:
    return list(runnable.stream(value, **keywords))


def _async_stream(runnable: Any, value: Any, **keywords: Any) -> list[Any]:
    async def collect() -> list[Any]:
        return [chunk async for chunk in runnable.astream(value, **keywords)]

    return asyncio.run(collect())


def _sync_events(runnable: Any, value: Any, **keywords: Any) -> SimpleNamespace:
    stream = runnable.stream_events(value, version="v3", **keywords)
    return SimpleNamespace(events=list(stream), message=stream.output)


def _async_events(runnable: Any, value: Any, **keywords: Any) -> SimpleNamespace:
    async def collect() -> SimpleNamespace:
        stream = await runnable.astream_events(value, version="v3", **keywords)
        try:
            events = [event async for event in stream]
            return SimpleNamespace(events=events, message=await stream.output)
        finally:
            # langchain-core's producer still has to tell the callbacks of the end.
            producers = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*producers, return_exceptions=True)

    return asyncio.run(collect())


_COLOURS = {
    "sync": SimpleNamespace(
        name="sync",
        invoke=lambda runnable, value, *rest, **more: runnable.invoke(value, *rest, **more),
        stream=_sync_stream,
        batch=lambda runnable, values, **more: runnable.batch(values, **more),
        events=_sync_events,
        upload=lambda model, *rest, **more: model.upload(*rest, **more),
        models=lambda model: model.available_models(),
    ),
    "async": SimpleNamespace(
        name="async",
        invoke=lambda runnable, value, *rest, **more: asyncio.run(
            runnable.ainvoke(value, *rest, **more)
        ),
        stream=_async_stream,
        batch=lambda runnable, values, **more: asyncio.run(runnable.abatch(values, **more)),
        events=_async_events,
        upload=lambda model, *rest, **more: asyncio.run(model.aupload(*rest, **more)),
        models=lambda model: asyncio.run(model.aavailable_models()),
    ),
}


@pytest.fixture(params=_COLOURS)
def colour(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Calls a runnable, synchronously or asynchronously: `invoke`, `stream` (a list), `batch`, `events`."""
    return _COLOURS[request.param]


@pytest.fixture(params=("whole", "streamed"))
def ask(request: pytest.FixtureRequest, colour: SimpleNamespace) -> Callable[..., Any]:
    """Asks for one answer in each of four ways: whole or through a stream, sync or async."""

    def whole(runnable: Any, value: Any, **keywords: Any) -> Any:
        return colour.invoke(runnable, value, **keywords)

    def streamed(runnable: Any, value: Any, **keywords: Any) -> Any:
        first, *others = colour.stream(runnable, value, **keywords)
        return first + others if others else first

    return whole if request.param == "whole" else streamed


def _png(padding: int = 0) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(9) for _ in range(2))))
    text = chunk(b"teXt", bytes(padding))
    return b"\x89PNG\r\n\x1a\n" + head + rows + text + chunk(b"IEND", b"")


def _wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return out.getvalue()


def _mp4() -> bytes:
    def box(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", 8 + len(body)) + name + body

    header = bytes(12) + struct.pack(">II", 1000, 2500) + bytes(80)
    return box(b"ftyp", b"isom" + bytes(4) + b"isom") + box(b"moov", box(b"mvhd", header))


def _medium(kind: str, mime: str, data: bytes) -> SimpleNamespace:
    text = base64.b64encode(data).decode()
    url = f"data:{mime};base64,{text}"
    return SimpleNamespace(kind=kind, mime=mime, data=data, base64=text, url=url)


@pytest.fixture(scope="session")
def image() -> SimpleNamespace:
    """A small PNG: `data`, `base64`, data `url`, `mime`, `kind`."""
    return _medium("image", "image/png", _png())


@pytest.fixture(scope="session")
def large_image() -> SimpleNamespace:
    """A PNG that is too large to go inline."""
    return _medium("image", "image/png", _png(padding=200_000))


@pytest.fixture(scope="session")
def audio() -> SimpleNamespace:
    """A WAV of a tenth of a second, likewise."""
    return _medium("audio", "audio/wav", _wav())


@pytest.fixture(scope="session")
def video() -> SimpleNamespace:
    """The head of an MP4, likewise."""
    return _medium("video", "video/mp4", _mp4())
