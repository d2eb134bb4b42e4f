"""No async method blocks the event loop: files are opened and read in threads, TLS contexts are made there."""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import certifi
import pytest
from blockbuster import BlockingError, blockbuster_ctx
from llama_index.core.llms import AudioBlock, ChatMessage, DocumentBlock, ImageBlock, TextBlock

from langchain_nvcf import NVCFLLM, ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.transport import tls
from nvcf_emulator import Emulator

OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"


def _png(padding: int) -> bytes:
    """A PNG with so many bytes of a text that nobody reads."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"tEXt", b"x" * padding),
        (b"IDAT", zlib.compress(b"\0\0\0\0")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.fixture(params=[10, 400_000], ids=["inline", "uploaded"])
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(_png(request.param))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    sound = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    head = b"RIFF" + struct.pack("<I", 38) + b"WAVEfmt " + struct.pack("<I", 16) + sound
    path.write_bytes(head + b"data" + struct.pack("<I", 2) + b"\0\0")
    return path


@pytest.fixture(params=[True, certifi.where()], ids=["verify=True", "verify=a file"])
def make(
    request: pytest.FixtureRequest, nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[Any]], Any]:
    """Makes models whose TLS context nobody has made before."""
    monkeypatch.setattr(tls, "_of_path", tls._of_path.__wrapped__)
    monkeypatch.setattr(tls, "_of_environment", tls._of_environment.__wrapped__)

    def build(kind: type[Any]) -> Any:
        return kind(
            model=OMNI,
            base_url=nvcf_emulator.base_url,
            nvcf_url=nvcf_emulator.nvcf_url,
            api_key=nvcf_emulator.api_key,
            verify=request.param,
        )

    return build


def _watched(model: Any, use: Callable[[Any], Awaitable[Any]]) -> Any:
    """Use a model in an event loop that must not be blocked, and close it there."""

    async def main() -> Any:
        with blockbuster_ctx():
            try:
                return await use(model)
            finally:
                await model.aclose()

    return asyncio.run(main())


async def _pieces(stream: Any) -> list[Any]:
    return [piece async for piece in stream]


async def _awaited_pieces(stream: Any) -> list[Any]:
    return await _pieces(await stream)


CALLS: dict[str, tuple[type[Any], Callable[[Any], Awaitable[Any]]]] = {
    "ainvoke": (ChatNVCF, lambda model: model.ainvoke("Hello")),
    "astream": (ChatNVCF, lambda model: _pieces(model.astream("Hello"))),
    "astream_events": (ChatNVCF, lambda model: _pieces(model.astream_events("Hello", version="v2"))),
    "NVCFLLM.ainvoke": (NVCFLLM, lambda model: model.ainvoke("Hello")),
    "NVCFLLM.astream": (NVCFLLM, lambda model: _pieces(model.astream("Hello"))),
    "achat": (NVCF, lambda model: model.achat([ChatMessage("Hello")])),
    "astream_chat": (NVCF, lambda model: _awaited_pieces(model.astream_chat([ChatMessage("Hello")]))),
    "acomplete": (NVCF, lambda model: model.acomplete("Hello")),
    "astream_complete": (NVCF, lambda model: _awaited_pieces(model.astream_complete("Hello"))),
    "aavailable_models": (ChatNVCF, lambda model: model.aavailable_models()),
    "NVCF.aavailable_models": (NVCF, lambda model: model.aavailable_models()),
}  # fmt: skip


def test_blocking_is_found() -> None:
    async def block() -> None:
        with blockbuster_ctx():
            os.stat(os.curdir)

    with pytest.raises(BlockingError):
        asyncio.run(block())


@pytest.mark.parametrize("name", CALLS)
def test_calls(nvcf_emulator: Emulator, make: Any, name: str) -> None:
    kind, use = CALLS[name]
    assert _watched(make(kind), use)
    assert nvcf_emulator.requests


@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
@pytest.mark.parametrize("kind", [ChatNVCF, NVCF])
def test_uploads(
    nvcf_emulator: Emulator, make: Any, picture: Path, kind: type[Any], opened: bool
) -> None:
    with picture.open("rb") as file:
        assert _watched(make(kind), lambda model: model.aupload(file if opened else picture))
    (asset,) = nvcf_emulator.assets.values()
    assert (asset.length, asset.state) == (picture.stat().st_size, "deleted")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", ["image", "audio", "document", "open file"])
def test_files_in_messages(
    nvcf_emulator: Emulator, make: Any, picture: Path, recording: Path, form: str, stream: bool
) -> None:
    text = picture.with_suffix(".txt")
    text.write_text("What is this?")
    with picture.open("rb") as file:
        blocks: dict[str, Any] = {
            "image": ImageBlock(path=picture),
            "audio": AudioBlock(path=recording, format="wav"),
            "document": DocumentBlock(path=text, document_mimetype="text/plain"),
            "open file": ImageBlock(image=file),
        }
        question = [ChatMessage(role="user", blocks=[TextBlock(text="Look:"), blocks[form]])]

        def use(model: Any) -> Awaitable[Any]:
            return (
                _awaited_pieces(model.astream_chat(question)) if stream else model.achat(question)
            )

        assert _watched(make(NVCF), use)
    assert len(nvcf_emulator.chats) == 1
