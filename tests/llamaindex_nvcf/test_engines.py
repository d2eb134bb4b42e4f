"""Chat engines, query engines and prompts over a real retriever, with what each of them asks."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Any

import pytest
from llama_index.core import Document, PromptTemplate, Settings, SummaryIndex
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    MultiModalContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.chat_engine.multi_modal_condense_plus_context import (
    MultiModalCondensePlusContextChatEngine,
)
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from packaging.version import Version
from rank_bm25 import BM25Okapi

from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
GEMMA = "google/gemma-3n-e2b-it"
MODELS = [KIMI, "nvidia/nemotron-3-super-120b-a12b", GEMMA]
LIGHTHOUSE = "The lighthouse of Alexandria stood on the island of Pharos."
TEXTS = [
    LIGHTHOUSE,
    "Bees dance to tell each other where the flowers are.",
    "Basalt cools quickly and has small crystals.",
]
QUESTION = "Where stood the lighthouse?"


class Words(BaseRetriever):
    """BM25 over whole nodes: a real retriever that needs no model."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        parser = SentenceSplitter(chunk_size=200, chunk_overlap=0)
        self._nodes = parser.get_nodes_from_documents([Document(text=text) for text in texts])
        self._scores = BM25Okapi([node.get_content().lower().split() for node in self._nodes])

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        scores = self._scores.get_scores(query_bundle.query_str.lower().strip("?").split())
        best = max(range(len(scores)), key=scores.__getitem__)
        return [NodeWithScore(node=self._nodes[best], score=float(scores[best]))]


@pytest.fixture
def retriever() -> Words:
    return Words(TEXTS)


@pytest.fixture(params=MODELS)
def llm(make: Any, request: pytest.FixtureRequest) -> NVCF:
    return make(request.param)


def engine_of(kind: str, llm: NVCF, retriever: Words) -> BaseChatEngine:
    common: dict[str, Any] = {"llm": llm, "memory": ChatMemoryBuffer.from_defaults(llm=llm)}
    if kind == "simple":
        return SimpleChatEngine.from_defaults(system_prompt="Be brief.", **common)
    if kind == "condense question":
        query_engine = RetrieverQueryEngine.from_args(retriever, llm=llm, streaming=True)
        return CondenseQuestionChatEngine.from_defaults(query_engine=query_engine, **common)
    kinds: dict[str, Any] = {
        "context": ContextChatEngine,
        "condense plus context": CondensePlusContextChatEngine,
        "pictures in context": MultiModalContextChatEngine,
        "pictures condensed": MultiModalCondensePlusContextChatEngine,
    }
    if kind.startswith("pictures"):
        return kinds[kind].from_defaults(retriever=retriever, multi_modal_llm=llm, **common)
    return kinds[kind].from_defaults(retriever=retriever, system_prompt="Be brief.", **common)


OLD_SIMPLE_ENGINE = Version(version("llama-index-core")) < Version("0.14.24")

ENGINES = [
    "simple", "context", "condense question", "condense plus context", "pictures in context",
    "pictures condensed",
]  # fmt: skip


def said(engine: BaseChatEngine, question: str, mode: str) -> str:
    """The answer, by one of the four ways to ask an engine."""
    if mode == "chat":
        return str(engine.chat(question))
    if mode == "stream":
        return "".join(engine.stream_chat(question).response_gen)
    if mode == "achat":
        return str(asyncio.run(engine.achat(question)))

    async def streamed() -> str:
        response = await engine.astream_chat(question)
        return "".join([token async for token in response.async_response_gen()])

    return asyncio.run(streamed())


@pytest.mark.parametrize("mode", ["chat", "stream", "achat", "astream"])
@pytest.mark.parametrize("kind", ENGINES)
def test_every_chat_engine_twice(server: Emulator, llm: NVCF, retriever: Words, kind: str, mode):
    if kind == "simple" and "stream" in mode and llm.model != GEMMA and OLD_SIMPLE_ENGINE:
        pytest.skip("the SimpleChatEngine before llama-index-core 0.14.24 streams no reasoning")
    engine = engine_of(kind, llm, retriever)
    server.reply(text=["On", " Pharos", "."], reasoning="hm" if llm.model != GEMMA else None)
    assert said(engine, QUESTION, mode) == "On Pharos."
    first = json.dumps(server.chats[0].body["messages"])
    assert QUESTION in first
    assert (LIGHTHOUSE in first) == (kind != "simple")
    assert ("Be brief." in first) == (kind in ("simple", "context", "condense plus context"))

    condenses = "condense" in kind
    if condenses:
        server.reply(text="Where stood the lighthouse of Alexandria?")
    server.reply(text="As I said.")
    assert said(engine, "Where?", mode) == "As I said."
    bodies = [request.body for request in server.chats[1:]]
    assert len(bodies) == (2 if condenses else 1)
    assert "On Pharos." in json.dumps(bodies[0]["messages"])
    assert bodies[-1]["stream"] is ("stream" in mode)
    engine.reset()
    assert engine.chat_history == []


@pytest.mark.parametrize(
    "mode", sorted(set(ResponseMode) - {ResponseMode.NO_TEXT, ResponseMode.CONTEXT_ONLY})
)
def test_every_way_to_put_an_answer_together(
    make, server: Emulator, retriever: Words, mode: ResponseMode
):
    engine = RetrieverQueryEngine.from_args(retriever, llm=make(KIMI), response_mode=mode)
    server.reply(text="On Pharos.", times=2)
    assert "On Pharos." in str(engine.query(QUESTION))
    assert server.chats


def test_a_query_engine_that_streams(make, server: Emulator, retriever: Words, colour):
    llm = make(KIMI)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, streaming=True)
    server.reply(text=["On", " Pharos", "."], reasoning="the context says so")
    if colour.name == "sync":
        tokens = list(engine.query(QUESTION).response_gen)
    else:

        async def read() -> list[str]:
            return [token async for token in (await engine.aquery(QUESTION)).async_response_gen()]

        tokens = asyncio.run(read())
    assert [token for token in tokens if token] == ["On", " Pharos", "."]
    (request,) = server.chats
    assert request.body["stream"] is True
    roles = [message["role"] for message in request.body["messages"]]
    assert roles in (["user"], ["system", "user"])


def test_a_query_engine_for_a_model_that_takes_one_message(make, server: Emulator, retriever):
    engine = RetrieverQueryEngine.from_args(retriever, llm=make("google/paligemma"))
    server.reply(text="On Pharos.")
    assert str(engine.query(QUESTION)) == "On Pharos."
    (message,) = server.chats[0].body["messages"]
    assert message["role"] == "user"
    assert LIGHTHOUSE in json.dumps(message["content"])


def test_a_long_text_is_packed_by_the_real_context_window(make, server: Emulator):
    text = "Bees dance to tell each other where the flowers are. " * 400
    for model, asks in (("google/paligemma", range(3, 20)), (KIMI, range(1, 2))):
        server.clear()
        server.reply(text="They dance.", times=20)
        index = SummaryIndex.from_documents([Document(text=text)])
        engine = index.as_query_engine(llm=make(model), response_mode="compact")
        assert str(engine.query("What do bees do?")) == "They dance."
        assert len(server.chats) in asks


def test_settings_llm(make, server: Emulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Settings, "_llm", None)
    Settings.llm = make(KIMI)
    server.reply(text="On Pharos.")
    index = SummaryIndex.from_documents([Document(text=LIGHTHOUSE)])
    assert str(index.as_query_engine().query(QUESTION)) == "On Pharos."


def test_prompts(make, server: Emulator, colour):
    llm = make(KIMI, system_prompt="Be brief.")
    prompt = PromptTemplate("Say {word}.")
    server.reply(text="hi there", times=2)
    assert colour.call(llm, "predict", prompt, word="hi") == "hi there"
    assert "".join(colour.stream(llm, "stream", prompt, word="hi")) == "hi there"
    for request in server.chats:
        assert request.body["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say hi."},
        ]


def test_a_completion_prompt_is_applied_once(make, server: Emulator, colour):
    llm = make(KIMI, completion_to_prompt=lambda prompt: f"<<{prompt}>>")
    colour.call(llm, "complete", "a")
    colour.call(llm, "complete", "b", formatted=True)
    colour.stream(llm, "stream_complete", "c")
    said = [request.body["messages"][0]["content"] for request in server.chats]
    assert said == ["<<a>>", "b", "<<c>>"]
