"""What these tests share: one way to ask in each framework, and to script exact answers."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from langchain_core._api import LangChainBetaWarning
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"


@dataclass(frozen=True)
class Said:
    """What an answer says, whichever framework gave it."""

    text: str
    reasoning: str
    finish_reason: str | None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Name and arguments of the calls that may be made."""
    bad: list[str] = field(default_factory=list)
    """The names of those that must not be."""


class LangChainWay:
    """Asks `ChatNVCF`."""

    def __init__(self, way: str, colour: str) -> None:
        self.way, self.colour = way, colour

    def ask(self, server: Emulator, model: str = KIMI, **keywords: Any) -> Said:
        settings = {"max_retries": 0, **keywords.pop("settings", {})}
        chat = ChatNVCF(
            model=model,
            base_url=server.base_url,
            nvcf_url=server.nvcf_url,
            api_key=server.api_key,
            **settings,
        )
        with chat:
            return self._said(getattr(self, f"_{self.way}")(chat, keywords))

    def _whole(self, chat: ChatNVCF, keywords: dict[str, Any]) -> AIMessage:
        if self.colour == "sync":
            return chat.invoke("Hello", **keywords)
        return asyncio.run(chat.ainvoke("Hello", **keywords))

    def _stream(self, chat: ChatNVCF, keywords: dict[str, Any]) -> AIMessage:
        async def collect() -> list[AIMessageChunk]:
            return [chunk async for chunk in chat.astream("Hello", **keywords)]

        sync = self.colour == "sync"
        first, *others = list(chat.stream("Hello", **keywords)) if sync else asyncio.run(collect())
        total = first + others
        assert isinstance(total, AIMessage)
        return total

    def _events(self, chat: ChatNVCF, keywords: dict[str, Any]) -> AIMessage:
        with warnings.catch_warnings():
            # langchain-core still calls its own protocol of events beta.
            warnings.simplefilter("ignore", LangChainBetaWarning)
            return self._from_events(chat, keywords)

    def _from_events(self, chat: ChatNVCF, keywords: dict[str, Any]) -> AIMessage:
        if self.colour == "sync":
            stream = chat.stream_events("Hello", version="v3", **keywords)
            for _ in stream:
                pass
            message: AIMessage = stream.output
            return message

        async def collect() -> AIMessage:
            stream = await chat.astream_events("Hello", version="v3", **keywords)
            try:
                async for _ in stream:
                    pass
                return cast(AIMessage, await stream.output)
            finally:
                producers = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*producers, return_exceptions=True)

        return asyncio.run(collect())

    @staticmethod
    def _said(message: AIMessage) -> Said:
        return Said(
            text=str(message.text),
            reasoning=message.additional_kwargs.get("reasoning_content", ""),
            finish_reason=message.response_metadata.get("finish_reason"),
            calls=[(call["name"], call["args"]) for call in message.tool_calls],
            bad=[str(call["name"]) for call in message.invalid_tool_calls],
        )


class LlamaIndexWay:
    """Asks `NVCF`."""

    def __init__(self, way: str, colour: str) -> None:
        self.way, self.colour = way, colour

    def ask(self, server: Emulator, model: str = KIMI, **keywords: Any) -> Said:
        settings = {"max_retries": 0, **keywords.pop("settings", {})}
        llm = NVCF(
            model=model,
            base_url=server.base_url,
            nvcf_url=server.nvcf_url,
            api_key=server.api_key,
            **settings,
        )
        with llm:
            return self._said(llm, self._response(llm, keywords))

    def _response(self, llm: NVCF, keywords: dict[str, Any]) -> ChatResponse:
        messages = [ChatMessage(content="Hello")]
        if self.way == "whole":
            if self.colour == "sync":
                return llm.chat(messages, **keywords)
            return asyncio.run(llm.achat(messages, **keywords))

        async def collect() -> list[ChatResponse]:
            return [each async for each in await llm.astream_chat(messages, **keywords)]

        sync = self.colour == "sync"
        return (list(llm.stream_chat(messages, **keywords)) if sync else asyncio.run(collect()))[-1]

    @staticmethod
    def _said(llm: NVCF, response: ChatResponse) -> Said:
        thought = [b.content or "" for b in response.message.blocks if b.block_type == "thinking"]
        names = [b.tool_name for b in response.message.blocks if b.block_type == "tool_call"]
        said = Said(
            text=response.message.content or "",
            reasoning="".join(thought),
            finish_reason=response.additional_kwargs.get("finish_reason"),
        )
        try:
            found = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        except ValueError:
            said.bad.extend(names)
            return said
        for call in found:
            if "self" in call.tool_kwargs:
                said.bad.append(call.tool_name)
            else:
                said.calls.append((call.tool_name, call.tool_kwargs))
        return said


WAYS = [
    *(
        LangChainWay(way, colour)
        for way in ("whole", "stream", "events")
        for colour in ("sync", "async")
    ),
    *(LlamaIndexWay(way, colour) for way in ("whole", "stream") for colour in ("sync", "async")),
]


@pytest.fixture(params=WAYS, ids=lambda way: f"{type(way).__name__}-{way.way}-{way.colour}")
def way(request: pytest.FixtureRequest) -> LangChainWay | LlamaIndexWay:
    """Every way to ask: framework, whole or streamed, sync or async."""
    found: LangChainWay | LlamaIndexWay = request.param
    return found


@pytest.fixture
def server(nvcf_emulator: Emulator) -> Emulator:
    return nvcf_emulator


Answer = Callable[..., None]


@pytest.fixture
def answer(server: Emulator, way: LangChainWay | LlamaIndexWay) -> Answer:
    """Scripts one answer, as the way of asking wants it: one JSON text, or events."""

    def script(
        events: list[Any], body: dict[str, Any] | None = None, kind: str | None = None
    ) -> None:
        """Script it.

        Args:
            events: the events of a stream: objects, or exact bytes.
            body: the same as a whole answer.
            kind: the content type, where it is not what it should be.
        """
        if way.way == "whole" and body is not None:
            headers = {"content-type": "application/json" if kind is None else kind}
            server.raw(headers=headers, chunks=[json.dumps(body).encode()])
            return
        chunks = [
            each if isinstance(each, bytes) else b"data: " + json.dumps(each).encode() + b"\n\n"
            for each in events
        ]
        headers = {"content-type": "text/event-stream" if kind is None else kind}
        server.raw(headers={name: value for name, value in headers.items() if value}, chunks=chunks)

    return script
