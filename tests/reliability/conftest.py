"""The core and both adapters under one face: one test body asks all of them, sync and async, whole and streamed."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import ssl
import struct
import types
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core import BaseNVCF, Media, Message, errors
from nvcf_core.media.sources import BytesSource
from nvcf_core.protocol import retry
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


class Face(ABC):
    """One model object, asked in its framework's own way."""

    model: Any

    @abstractmethod
    def __init__(self, **settings: Any) -> None: ...

    @abstractmethod
    def messages(self, text: str, picture: bytes | None) -> Any:
        """A user's message as the framework has it."""

    @abstractmethod
    def complete(self, messages: Any, **given: Any) -> str: ...

    @abstractmethod
    async def acomplete(self, messages: Any, **given: Any) -> str: ...

    @abstractmethod
    def stream(self, messages: Any, **given: Any) -> Iterator[Any]:
        """The framework's own iterator."""

    @abstractmethod
    async def astream(self, messages: Any, **given: Any) -> AsyncIterator[Any]:
        """The framework's own asynchronous iterator."""

    @abstractmethod
    def text(self, piece: Any) -> str:
        """The new text of a streamed piece."""


class CoreFace(Face):
    model: BaseNVCF

    def __init__(self, **settings: Any) -> None:
        self.model = BaseNVCF(**settings)

    def messages(self, text: str, picture: bytes | None) -> list[Message]:
        shown = () if picture is None else (Media(kind="image", source=BytesSource(picture)),)
        return [Message(role="user", parts=(text, *shown))]

    def complete(self, messages: Any, **given: Any) -> str:
        return self.model._client.complete(
            self.model._build_request(messages, given, stream=False)
        ).text

    async def acomplete(self, messages: Any, **given: Any) -> str:
        call = self.model._build_request(messages, given, stream=False)
        return (await self.model._client.acomplete(call)).text

    def stream(self, messages: Any, **given: Any) -> Iterator[Any]:
        return self.model._client.stream(self.model._build_request(messages, given, stream=True))

    async def astream(self, messages: Any, **given: Any) -> AsyncIterator[Any]:
        return self.model._client.astream(self.model._build_request(messages, given, stream=True))

    def text(self, piece: Any) -> str:
        return str(piece.text)


class LangChainFace(Face):
    model: ChatNVCF

    def __init__(self, **settings: Any) -> None:
        self.model = ChatNVCF(**settings)

    def messages(self, text: str, picture: bytes | None) -> list[HumanMessage]:
        if picture is None:
            return [HumanMessage(text)]
        encoded = base64.b64encode(picture).decode()
        image = {"type": "image", "base64": encoded, "mime_type": "image/png"}
        return [HumanMessage([{"type": "text", "text": text}, image])]

    def complete(self, messages: Any, **given: Any) -> str:
        return self.model.invoke(messages, **given).text

    async def acomplete(self, messages: Any, **given: Any) -> str:
        return (await self.model.ainvoke(messages, **given)).text

    def stream(self, messages: Any, **given: Any) -> Iterator[Any]:
        return self.model.stream(messages, **given)

    async def astream(self, messages: Any, **given: Any) -> AsyncIterator[Any]:
        return self.model.astream(messages, **given)

    def text(self, piece: Any) -> str:
        return str(piece.text)


class LlamaIndexFace(Face):
    model: NVCF

    def __init__(self, **settings: Any) -> None:
        self.model = NVCF(**settings)

    def messages(self, text: str, picture: bytes | None) -> list[ChatMessage]:
        shown = [] if picture is None else [ImageBlock(image=base64.b64encode(picture))]
        return [ChatMessage(role="user", blocks=[TextBlock(text=text), *shown])]

    def complete(self, messages: Any, **given: Any) -> str:
        return self.model.chat(messages, **given).message.content or ""

    async def acomplete(self, messages: Any, **given: Any) -> str:
        return (await self.model.achat(messages, **given)).message.content or ""

    def stream(self, messages: Any, **given: Any) -> Iterator[Any]:
        return self.model.stream_chat(messages, **given)

    async def astream(self, messages: Any, **given: Any) -> AsyncIterator[Any]:
        return await self.model.astream_chat(messages, **given)

    def text(self, piece: Any) -> str:
        return str(piece.delta or "")


FACES: dict[str, type[Face]] = {
    "core": CoreFace,
    "langchain": LangChainFace,
    "llamaindex": LlamaIndexFace,
}


@dataclass
class Way:
    """One of the ways to ask: a face, sync or async, whole or streamed. Tests await it in any case."""

    face: Face
    colour: str = "async"
    mode: str = "whole"

    @property
    def model(self) -> Any:
        return self.face.model

    async def ask(self, text: str = "hi", picture: bytes | None = None, **given: Any) -> str:
        """The text of an answer, however it comes."""
        messages = self.face.messages(text, picture)
        if self.colour == "sync":
            return await asyncio.to_thread(self._ask, messages, given)
        if self.mode == "whole":
            return await self.face.acomplete(messages, **given)
        stream = await self.face.astream(messages, **given)
        return "".join([self.face.text(piece) async for piece in stream])

    def _ask(self, messages: Any, given: dict[str, Any]) -> str:
        if self.mode == "whole":
            return self.face.complete(messages, **given)
        return "".join([self.face.text(piece) for piece in self.face.stream(messages, **given)])

    async def close(self) -> None:
        if self.colour == "sync":
            await asyncio.to_thread(self.model.close)
        else:
            await self.model.aclose()


@pytest.fixture(scope="session", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Leave what the frameworks bring along out of the collections that tests ask for."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
def settings(nvcf_emulator: Emulator, _context: ssl.SSLContext) -> dict[str, Any]:
    """What leads any model to the emulator. One TLS context for all: making one takes longer than most tests."""
    return {
        "model": KIMI,
        "base_url": nvcf_emulator.base_url,
        "nvcf_url": nvcf_emulator.nvcf_url,
        "api_key": nvcf_emulator.api_key,
        "verify": _context,
    }


@pytest.fixture(params=list(FACES))
def face(request: pytest.FixtureRequest, settings: dict[str, Any]) -> Callable[..., Face]:
    """Makes a model of each framework, asking the emulator."""
    return lambda **more: FACES[request.param](**{**settings, **more})


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["whole", "stream"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def way(face: Callable[..., Face], colour: str, mode: str) -> Callable[..., Way]:
    """Makes a model to be asked in each of the twelve ways."""
    return lambda **more: Way(face(**more), colour, mode)


@pytest.fixture
def core(settings: dict[str, Any]) -> Callable[..., CoreFace]:
    """Makes a model of the core alone, where the frameworks have no part in what is tested."""
    return lambda **more: CoreFace(**{**settings, **more})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Retries that wait 10 ms instead of their backoff. Returns the longest waits that there could have been."""
    asked: list[float] = []
    real = retry.RetryPolicy.next_delay

    def delay(policy: retry.RetryPolicy, retries: int, error: errors.NVCFError) -> float | None:
        wait = real(policy, retries, error)
        if wait is None:
            return None
        asked.append(wait)
        return 0.01

    monkeypatch.setattr(retry, "random", types.SimpleNamespace(uniform=lambda _, longest: longest))
    monkeypatch.setattr(retry.RetryPolicy, "next_delay", delay)
    return asked


@pytest.fixture(scope="session")
def large_picture() -> bytes:
    """A PNG that is too large to go inline: noise does not compress."""
    return make_png(260)


def make_png(side: int) -> bytes:
    """A square picture of noise."""

    def block(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + os.urandom(side * 3) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    blocks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(block(*parts) for parts in blocks)
