"""The clients that are measured side by side, each behind the same calls."""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import re
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from serving import MODEL

__all__ = ["CONTENDERS", "Calls", "Contender"]

KEY = "nvapi-0123456789"
_IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4096
"""About 1 MB that begin as a picture does; nobody here looks further."""


class Calls:
    """The calls of a client, whose answers are thrown away. One that a client lacks raises NotImplementedError."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.model = make()

    def fresh(self) -> Any:
        """The same calls over a new object."""
        return type(self)(self._make)

    def prompt(self, text: str, before: int = 0) -> Any:
        """What is asked: a text, and so many messages of the conversation before it."""
        raise NotImplementedError

    def image(self) -> Any:
        """What is asked: a text and a picture of 1 MB, inline."""
        raise NotImplementedError

    def whole(self, prompt: Any) -> None:
        raise NotImplementedError

    def stream(self, prompt: Any) -> Iterator[Any]:
        raise NotImplementedError

    async def awhole(self, prompt: Any) -> None:
        raise NotImplementedError

    def astream(self, prompt: Any) -> AsyncIterator[Any]:
        raise NotImplementedError

    async def once(self, prompt: Any) -> None:
        """A call in an event loop that serves no other."""
        await self.awhole(prompt)

    def events(self, prompt: Any) -> Iterator[Any]:
        """langchain-core's stream events of version 3."""
        raise NotImplementedError

    def aevents(self, prompt: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


class LangChainCalls(Calls):
    def prompt(self, text: str, before: int = 0) -> Any:
        from langchain_core.messages import AIMessage, HumanMessage

        kinds = itertools.cycle((HumanMessage, AIMessage))
        said = [
            kind(f"message {n} " + "word " * 20)
            for n, kind in zip(range(before), kinds, strict=False)
        ]
        return [*said, HumanMessage(text)]

    def image(self) -> Any:
        from langchain_core.messages import HumanMessage

        url = "data:image/png;base64," + base64.b64encode(_IMAGE).decode()
        picture = {"type": "image_url", "image_url": {"url": url}}
        return [HumanMessage([{"type": "text", "text": "What is this?"}, picture])]

    def whole(self, prompt: Any) -> None:
        self.model.invoke(prompt)

    def stream(self, prompt: Any) -> Iterator[Any]:
        return self.model.stream(prompt)  # type: ignore[no-any-return]

    async def awhole(self, prompt: Any) -> None:
        await self.model.ainvoke(prompt)

    def astream(self, prompt: Any) -> AsyncIterator[Any]:
        return self.model.astream(prompt)  # type: ignore[no-any-return]

    def events(self, prompt: Any) -> Iterator[Any]:
        return iter(self.model.stream_events(prompt, version="v3"))

    async def aevents(self, prompt: Any) -> AsyncIterator[Any]:
        async for event in await self.model.astream_events(prompt, version="v3"):
            yield event


class LlamaIndexCalls(Calls):
    def prompt(self, text: str, before: int = 0) -> Any:
        from llama_index.core.llms import ChatMessage

        roles = itertools.cycle(("user", "assistant"))
        said = [
            ChatMessage(role=role, content=f"message {n} " + "word " * 20)
            for n, role in zip(range(before), roles, strict=False)
        ]
        return [*said, ChatMessage(role="user", content=text)]

    def image(self) -> Any:
        from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

        picture = ImageBlock(image=_IMAGE, image_mimetype="image/png")
        return [ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), picture])]

    def whole(self, prompt: Any) -> None:
        self.model.chat(prompt)

    def stream(self, prompt: Any) -> Iterator[Any]:
        return self.model.stream_chat(prompt)  # type: ignore[no-any-return]

    async def awhole(self, prompt: Any) -> None:
        await self.model.achat(prompt)

    async def astream(self, prompt: Any) -> AsyncIterator[Any]:
        async for response in await self.model.astream_chat(prompt):
            yield response


class HttpxCalls(Calls):
    """What a user writes without any client library: httpx, and the JSON of each event decoded."""

    def __init__(self, root: str) -> None:
        import httpx

        self._root = root
        self._url = f"{root}/chat/completions"
        self._headers = {"authorization": f"Bearer {KEY}"}
        many = httpx.Limits(max_keepalive_connections=20)
        self._client = httpx.Client(headers=self._headers)
        self._async_client = httpx.AsyncClient(headers=self._headers, limits=many)

    def fresh(self) -> Any:
        return HttpxCalls(self._root)

    def prompt(self, text: str, before: int = 0) -> Any:
        roles = itertools.cycle(("user", "assistant"))
        said = [
            {"role": role, "content": f"message {n} " + "word " * 20}
            for n, role in zip(range(before), roles, strict=False)
        ]
        return [*said, {"role": "user", "content": text}]

    def image(self) -> Any:
        url = "data:image/png;base64," + base64.b64encode(_IMAGE).decode()
        parts = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        return [{"role": "user", "content": parts}]

    def whole(self, prompt: Any) -> None:
        self._client.post(self._url, json=_body(prompt, stream=False)).json()

    def stream(self, prompt: Any) -> Iterator[Any]:
        body = _body(prompt, stream=True)
        with self._client.stream("POST", self._url, json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    async def awhole(self, prompt: Any) -> None:
        (await self._async_client.post(self._url, json=_body(prompt, stream=False))).json()

    async def once(self, prompt: Any) -> None:
        import httpx

        async with httpx.AsyncClient(headers=self._headers) as client:
            (await client.post(self._url, json=_body(prompt, stream=False))).json()

    async def astream(self, prompt: Any) -> AsyncIterator[Any]:
        body = _body(prompt, stream=True)
        async with self._async_client.stream("POST", self._url, json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])


def _body(messages: Any, *, stream: bool) -> dict[str, Any]:
    return {"model": MODEL, "messages": messages, "stream": stream}


def _asked(messages: Any) -> tuple[str, int]:
    """Kind and length of the stream that a prompt asks for."""
    found = re.match(r"stream (\w+) (\d+)", messages[-1].content)
    return (found[1], int(found[2])) if found else ("text", 1)


def _langchain_floor() -> Any:
    """What LangChain itself costs: no request and no decoding, only its objects, made by their constructors."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.messages.tool import tool_call_chunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    def message(kind: str, number: int) -> AIMessageChunk:
        word = f"word{number} "
        if kind == "reasoning":
            return AIMessageChunk(content="", additional_kwargs={"reasoning_content": word})
        if kind == "tools":
            fragment = tool_call_chunk(args=word, index=0)
            return AIMessageChunk(content="", tool_call_chunks=[fragment])
        return AIMessageChunk(content=word)

    class Floor(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "floor"

        def _generate(self, *_: Any, **__: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(" word" * 20))])

        async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
            return self._generate()

        def _stream(self, messages: Any, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
            kind, length = _asked(messages)
            for number in range(length):
                yield ChatGenerationChunk(message=message(kind, number))

        async def _astream(
            self, messages: Any, *_: Any, **__: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            for chunk in self._stream(messages):
                yield chunk

        def _stream_chat_model_events(self, messages: Any, *_: Any, **__: Any) -> Iterator[Any]:
            yield {"event": "message-start", "role": "ai", "id": "1", "metadata": {}}
            text = {"type": "text", "text": ""}
            yield {"event": "content-block-start", "index": 0, "content": text}
            words = [f"word{number} " for number in range(_asked(messages)[1])]
            for word in words:
                delta = {"type": "text-delta", "text": word}
                yield {"event": "content-block-delta", "index": 0, "delta": delta}
            text = {"type": "text", "text": "".join(words)}
            yield {"event": "content-block-finish", "index": 0, "content": text}
            yield {"event": "message-finish", "metadata": {}}

        async def _astream_chat_model_events(
            self, messages: Any, *_: Any, **__: Any
        ) -> AsyncIterator[Any]:
            for event in self._stream_chat_model_events(messages):
                yield event

    return LangChainCalls(Floor)


def _llamaindex_floor() -> Any:
    """What LlamaIndex itself costs, likewise."""
    from llama_index.core.llms import ChatMessage, ChatResponse, CustomLLM, LLMMetadata
    from llama_index.core.llms.callbacks import llm_chat_callback

    def responses(messages: Any) -> Iterator[ChatResponse]:
        said = ""
        for number in range(_asked(messages)[1]):
            word = f"word{number} "
            said += word
            message = ChatMessage(role="assistant", content=said)
            yield ChatResponse(message=message, delta=word, raw={})

    class Floor(CustomLLM):
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
            return responses(messages)

        @llm_chat_callback()
        async def astream_chat(self, messages: Any, **_: Any) -> Any:
            async def pieces() -> AsyncIterator[ChatResponse]:
                for response in responses(messages):
                    yield response

            return pieces()

    return LlamaIndexCalls(Floor)


def _chat_nvcf(root: str) -> Calls:
    from langchain_nvcf import ChatNVCF

    return LangChainCalls(lambda: ChatNVCF(model=MODEL, base_url=root, api_key=KEY))


def _nvcf(root: str) -> Calls:
    from llamaindex_nvcf import NVCF

    return LlamaIndexCalls(lambda: NVCF(model=MODEL, base_url=root, api_key=KEY))


def _langchain_nvidia(root: str) -> Calls:
    from langchain_nvidia_ai_endpoints import ChatNVIDIA

    warnings.filterwarnings("ignore", module="langchain_nvidia_ai_endpoints")
    return LangChainCalls(lambda: ChatNVIDIA(model=MODEL, base_url=root, api_key=KEY))


def _langchain_openai(root: str) -> Calls:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    key = SecretStr(KEY)
    return LangChainCalls(
        lambda: ChatOpenAI(model=MODEL, base_url=root, api_key=key, stream_usage=True)
    )


def _openai_like(root: str) -> Calls:
    from llama_index.llms.openai_like import OpenAILike

    return LlamaIndexCalls(
        lambda: OpenAILike(model=MODEL, api_base=root, api_key=KEY, is_chat_model=True)
    )


def _llamaindex_nvidia(root: str) -> Calls:
    from llama_index.llms.nvidia import NVIDIA

    warnings.filterwarnings("ignore", module="llama_index.llms.nvidia")
    return LlamaIndexCalls(
        lambda: NVIDIA(model=MODEL, base_url=root, api_key=KEY, is_chat_model=True)
    )


@dataclass(frozen=True)
class Contender:
    """One client."""

    name: str
    framework: str
    make: Callable[[str], Calls]
    """Gets the server's root."""
    module: str | None = None
    """What is imported for it, and has to be installed. None: nothing beside the framework."""

    @property
    def installed(self) -> bool:
        """Whether it is."""
        if self.module is None:
            return True
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False


CONTENDERS = (
    Contender("ChatNVCF", "LangChain", _chat_nvcf, "langchain_nvcf"),
    Contender(
        "langchain-nvidia-ai-endpoints",
        "LangChain",
        _langchain_nvidia,
        "langchain_nvidia_ai_endpoints",
    ),
    Contender("langchain-openai", "LangChain", _langchain_openai, "langchain_openai"),
    Contender("LangChain alone", "LangChain", lambda _: _langchain_floor()),
    Contender("httpx alone", "LangChain", HttpxCalls),
    Contender("NVCF", "LlamaIndex", _nvcf, "llamaindex_nvcf"),
    Contender(
        "llama-index-llms-openai-like", "LlamaIndex", _openai_like, "llama_index.llms.openai_like"
    ),
    Contender(
        "llama-index-llms-nvidia", "LlamaIndex", _llamaindex_nvidia, "llama_index.llms.nvidia"
    ),
    Contender("LlamaIndex alone", "LlamaIndex", lambda _: _llamaindex_floor()),
)
