"""What the tests of the pages share: both frameworks behind one face, and small media of every format."""

from __future__ import annotations

import base64
import io
import logging
import struct
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    VideoBlock,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from PIL import Image
from pydantic import BaseModel

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.observability.otel import uninstrument
from nvcf_emulator import Emulator


@dataclass(frozen=True)
class Medium:
    """A picture, sound or film of a message."""

    kind: str
    data: bytes = b""
    mime: str = ""
    url: str = ""


@dataclass(frozen=True)
class Said:
    """One message."""

    role: str
    parts: tuple[str | Medium, ...]
    reasoning: str = ""


@dataclass
class Answer:
    """What is looked at in an answer."""

    text: str
    reasoning: str = ""
    calls: list[str] = field(default_factory=list)
    usage: bool = False
    logprobs: bool = False


class Person(BaseModel):
    """Somebody."""

    name: str


def lookup(key: str) -> str:
    """Look a key up."""
    return key


class LangChain:
    """`ChatNVCF`, asked."""

    make = ChatNVCF

    def chat(self, model: ChatNVCF, conversation: list[Said], **given: Any) -> Answer:
        return self._answer(model.invoke(self._messages(conversation), **given))

    def stream(self, model: ChatNVCF, conversation: list[Said], **given: Any) -> Answer:
        pieces = list(model.stream(self._messages(conversation), **given))
        return self._answer(sum(pieces[1:], start=pieces[0]))

    def call_tools(self, model: ChatNVCF, text: str, parallel: bool = True) -> Answer:
        more = {} if parallel else {"parallel_tool_calls": False}
        return self._answer(model.bind_tools([tool(lookup)], **more).invoke(text))

    def structured(self, model: ChatNVCF, text: str) -> Any:
        return model.with_structured_output(Person).invoke(text)

    def window(self, model: ChatNVCF) -> int:
        assert model.profile is not None
        return model.profile["max_input_tokens"]

    def _messages(self, conversation: list[Said]) -> list[BaseMessage]:
        kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
        return [
            kinds[said.role](
                [self._block(part) for part in said.parts],
                additional_kwargs=({"reasoning_content": said.reasoning} if said.reasoning else {}),
            )
            for said in conversation
        ]

    def _block(self, part: str | Medium) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if part.url:
            return {"type": part.kind, "url": part.url}
        data = base64.b64encode(part.data).decode()
        return {"type": part.kind, "base64": data, "mime_type": part.mime}

    def _answer(self, message: AIMessage) -> Answer:
        return Answer(
            text=message.text,
            reasoning=message.additional_kwargs.get("reasoning_content", ""),
            calls=[call["name"] for call in message.tool_calls],
            usage=bool(message.usage_metadata),
            logprobs=bool(message.response_metadata.get("logprobs")),
        )


class LlamaIndex:
    """`NVCF`, asked."""

    make = NVCF

    def chat(self, model: NVCF, conversation: list[Said], **given: Any) -> Answer:
        return self._answer(model.chat(self._messages(conversation), **given))

    def stream(self, model: NVCF, conversation: list[Said], **given: Any) -> Answer:
        return self._answer(list(model.stream_chat(self._messages(conversation), **given))[-1])

    def call_tools(self, model: NVCF, text: str, parallel: bool = True) -> Answer:
        tools = [FunctionTool.from_defaults(lookup)]
        return self._answer(model.chat_with_tools(tools, text, allow_parallel_tool_calls=parallel))

    def structured(self, model: NVCF, text: str) -> Any:
        return model.structured_predict(Person, PromptTemplate(text))

    def window(self, model: NVCF) -> int:
        return model.metadata.context_window

    def _messages(self, conversation: list[Said]) -> list[ChatMessage]:
        return [
            ChatMessage(
                role=said.role,
                blocks=[
                    *([ThinkingBlock(content=said.reasoning)] if said.reasoning else []),
                    *(self._block(part) for part in said.parts),
                ],
            )
            for said in conversation
        ]

    def _block(self, part: str | Medium) -> Any:
        if isinstance(part, str):
            return TextBlock(text=part)
        kinds = {"image": ImageBlock, "audio": AudioBlock, "video": VideoBlock}
        place = {"url": part.url} if part.url else {part.kind: part.data}
        return kinds[part.kind](**place)

    def _answer(self, response: ChatResponse) -> Answer:
        blocks = response.message.blocks
        calls = response.message.additional_kwargs.get("tool_calls", [])
        return Answer(
            text=response.message.content or "",
            reasoning="".join(b.content or "" for b in blocks if isinstance(b, ThinkingBlock)),
            calls=[call["function"]["name"] for call in calls],
            usage="total_tokens" in response.additional_kwargs,
            logprobs=bool(response.logprobs),
        )


@pytest.fixture(params=[LangChain, LlamaIndex], ids=["langchain", "llamaindex"])
def framework(request: pytest.FixtureRequest) -> LangChain | LlamaIndex:
    made: LangChain | LlamaIndex = request.param()
    return made


@pytest.fixture
def make(
    framework: LangChain | LlamaIndex, nvcf_emulator: Emulator
) -> Iterator[Callable[..., Any]]:
    """Models that ask the emulator, closed after the test."""
    made: list[Any] = []

    def build(model: str, **settings: Any) -> Any:
        server = nvcf_emulator
        places: dict[str, Any] = {"base_url": server.base_url, "nvcf_url": server.nvcf_url}
        made.append(framework.make(model=model, api_key=server.api_key, **places, **settings))
        return made[-1]

    yield build
    for model in made:
        model.close()


def _picture(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, name)
    return file.getvalue()


def _wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(800))
    return file.getvalue()


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _film(brand: bytes) -> bytes:
    header = bytes(12) + struct.pack(">II", 1000, 2000) + bytes(80)
    return _box(b"ftyp", brand + bytes(4) + brand) + _box(b"moov", _box(b"mvhd", header))


def _element(name: bytes, body: bytes) -> bytes:
    return name + bytes([0x80 | len(body)]) + body


def _webm() -> bytes:
    seconds = _element(b"\x44\x89", struct.pack(">d", 1500.0))
    info = _element(b"\x15\x49\xa9\x66", seconds)
    head = _element(b"\x1a\x45\xdf\xa3", _element(b"\x42\x82", b"webm"))
    return head + _element(b"\x18\x53\x80\x67", info)


@pytest.fixture(scope="session")
def samples() -> dict[str, dict[str, Medium]]:
    """A small medium of each format, by kind."""
    pictures = ("png", "jpeg", "webp", "gif")
    mp3 = b"ID3\x04\0\0" + bytes([0, 0, 0, 6]) + bytes(6) + (b"\xff\xfb\x90\xc4" + bytes(413)) * 9
    return {
        "image": {name: Medium("image", _picture(name), f"image/{name}") for name in pictures},
        "audio": {
            "wav": Medium("audio", _wav(), "audio/wav"),
            "mp3": Medium("audio", mp3, "audio/mpeg"),
            "flac": Medium("audio", b"fLaC" + bytes(60), "audio/flac"),
        },
        "video": {
            "mp4": Medium("video", _film(b"isom"), "video/mp4"),
            "mov": Medium("video", _film(b"qt  "), "video/quicktime"),
            "webm": Medium("video", _webm(), "video/webm"),
            "avi": Medium("video", b"RIFF" + bytes(4) + b"AVI " + bytes(60), "video/x-msvideo"),
        },
    }


@pytest.fixture
def said() -> type[Said]:
    return Said


@pytest.fixture(autouse=True)
def _observed_as_before() -> Iterator[None]:
    """What a page switches on, of spans and of the log, is off again after it."""
    log = logging.getLogger("nvcf")
    handlers, level = list(log.handlers), log.level
    yield
    uninstrument()
    log.handlers[:] = handlers
    log.setLevel(level)
