"""The clients that are measured side by side, each behind the same four calls."""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from llama_index.core.llms import ChatMessage, ChatResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback
from pydantic import SecretStr
from serving import MODEL

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF


@dataclass(frozen=True)
class Contender:
    """One client."""

    name: str
    framework: str
    make: Callable[[str], Any]
    """Gets the server's root, and returns something with the four calls."""
    package: str = "nvcf_core"
    """What has to be installed for it."""

    @property
    def installed(self) -> bool:
        """Whether it is."""
        try:
            return importlib.util.find_spec(self.package) is not None
        except ModuleNotFoundError:
            return False


class LangChainCalls:
    """The four calls of a LangChain model; what was answered is thrown away."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def whole(self, text: str) -> None:
        self.model.invoke(text)

    def stream(self, text: str) -> int:
        return sum(1 for _ in self.model.stream(text))

    async def awhole(self, text: str) -> None:
        await self.model.ainvoke(text)

    async def astream(self, text: str) -> int:
        return sum([1 async for _ in self.model.astream(text)])


class LlamaIndexCalls:
    """The four calls of a LlamaIndex model."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def whole(self, text: str) -> None:
        self.model.chat([ChatMessage(content=text)])

    def stream(self, text: str) -> int:
        return sum(1 for _ in self.model.stream_chat([ChatMessage(content=text)]))

    async def awhole(self, text: str) -> None:
        await self.model.achat([ChatMessage(content=text)])

    async def astream(self, text: str) -> int:
        return sum([1 async for _ in await self.model.astream_chat([ChatMessage(content=text)])])


class HttpxCalls:
    """What the transport costs: the same requests, whose answers are read and thrown away."""

    def __init__(self, root: str) -> None:
        self.url = f"{root}/chat/completions"
        self.client, self.async_client = httpx.Client(), httpx.AsyncClient()

    def _body(self, text: str, *, stream: bool) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": MODEL, "messages": messages, "stream": stream}

    def whole(self, text: str) -> None:
        self.client.post(self.url, json=self._body(text, stream=False)).json()

    def stream(self, text: str) -> int:
        body = self._body(text, stream=True)
        with self.client.stream("POST", self.url, json=body) as response:
            return sum(1 for _ in response.iter_bytes())

    async def awhole(self, text: str) -> None:
        (await self.async_client.post(self.url, json=self._body(text, stream=False))).json()

    async def astream(self, text: str) -> int:
        body = self._body(text, stream=True)
        async with self.async_client.stream("POST", self.url, json=body) as response:
            return sum([1 async for _ in response.aiter_bytes()])


def _length(text: str) -> int:
    found = re.search(r"chunks=(\d+)", text)
    return int(found[1]) if found else 1


class LangChainFloor(BaseChatModel):
    """What LangChain itself costs: no request, no decoding, chunks that are there already."""

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(" word" * 20))])

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        return self._generate()

    def _stream(self, messages: Any, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for _piece in range(_length(messages[-1].content)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=" word"))

    async def _astream(
        self, messages: Any, *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


class LlamaIndexFloor(CustomLLM):
    """What LlamaIndex itself costs, likewise."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True)

    def complete(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("not measured")

    stream_complete = complete

    @llm_chat_callback()
    def chat(self, *_: Any, **__: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role="assistant", content=" word" * 20))

    @llm_chat_callback()
    async def achat(self, *_: Any, **__: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role="assistant", content=" word" * 20))

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **_: Any) -> Any:
        return self._pieces(messages)

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **_: Any) -> Any:
        async def pieces() -> AsyncIterator[ChatResponse]:
            for piece in self._pieces(messages):
                yield piece

        return pieces()

    def _pieces(self, messages: Any) -> Iterator[ChatResponse]:
        said = ""
        for _piece in range(_length(messages[-1].content)):
            said += " word"
            yield ChatResponse(
                message=ChatMessage(role="assistant", content=said), delta=" word", raw={}
            )


def _openai(root: str) -> LangChainCalls:
    from langchain_openai import ChatOpenAI

    return LangChainCalls(
        ChatOpenAI(model=MODEL, base_url=root, api_key=SecretStr("key"), stream_usage=True)
    )


def _endpoints(root: str) -> LangChainCalls:
    from langchain_nvidia_ai_endpoints import ChatNVIDIA

    with warnings.catch_warnings(action="ignore"):
        return LangChainCalls(ChatNVIDIA(model=MODEL, base_url=root, api_key="key"))


def _nvidia(root: str) -> LlamaIndexCalls:
    from llama_index.llms.nvidia import NVIDIA

    with warnings.catch_warnings(action="ignore"):
        model = NVIDIA(model=MODEL, base_url=root, api_key="key", is_chat_model=True)
    return LlamaIndexCalls(model)


def _chat_nvcf(root: str) -> LangChainCalls:
    return LangChainCalls(ChatNVCF(model=MODEL, base_url=root, api_key="key"))


def _nvcf(root: str) -> LlamaIndexCalls:
    return LlamaIndexCalls(NVCF(model=MODEL, base_url=root, api_key="key"))


CONTENDERS = (
    Contender("ChatNVCF", "LangChain", _chat_nvcf),
    Contender("langchain-openai", "LangChain", _openai, "langchain_openai"),
    Contender(
        "langchain-nvidia-ai-endpoints", "LangChain", _endpoints, "langchain_nvidia_ai_endpoints"
    ),
    Contender("(LangChain alone)", "LangChain", lambda _: LangChainCalls(LangChainFloor())),
    Contender("(httpx alone)", "LangChain", HttpxCalls),
    Contender("NVCF", "LlamaIndex", _nvcf),
    Contender("llama-index-llms-nvidia", "LlamaIndex", _nvidia, "llama_index.llms.nvidia"),
    Contender("(LlamaIndex alone)", "LlamaIndex", lambda _: LlamaIndexCalls(LlamaIndexFloor())),
)
