"""A refusal reaches the caller through whatever LlamaIndex builds on a model: its engines swallow every ValueError."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import (
    Document,
    MockEmbedding,
    SummaryIndex,
    VectorStoreIndex,
)
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.evaluation import FaithfulnessEvaluator, RelevancyEvaluator
from llama_index.core.extractors import KeywordExtractor, SummaryExtractor, TitleExtractor
from llama_index.core.indices.property_graph import SimpleLLMPathExtractor
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import TextNode
from llama_index.core.tools import QueryEngineTool

from llamaindex_nvcf import NVCF, InvalidRequestError

# LlamaIndex's extractors and engines leave event loops of their own open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

DOCUMENTS = [Document(text="The lighthouse of Alexandria stood on the island of Pharos.")]
QUESTION = "Where stood the lighthouse?"
Ask = Callable[[NVCF], Any]


@pytest.fixture
def keyless(monkeypatch: pytest.MonkeyPatch) -> NVCF:
    """A model whose every call is refused before anything is sent: there is no key for NVIDIA's host."""
    for name in ("NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL"):
        monkeypatch.delenv(name, raising=False)
    return NVCF(model="moonshotai/kimi-k2.6")


def vectors() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(DOCUMENTS, embed_model=MockEmbedding(embed_dim=8))


def sub_questions(llm: NVCF) -> Any:
    tool = QueryEngineTool.from_defaults(
        vectors().as_query_engine(llm=llm), name="sea", description="It."
    )
    generator = LLMQuestionGenerator.from_defaults(llm=llm)
    engine = SubQuestionQueryEngine.from_defaults(
        [tool], llm=llm, question_gen=generator, use_async=False
    )
    return engine.query(QUESTION)


def extract(extractor: Any) -> Any:
    return extractor.extract([TextNode(text=DOCUMENTS[0].text)])


def chat(llm: NVCF, mode: ChatMode) -> Any:
    memory = ChatMemoryBuffer.from_defaults(token_limit=1000)
    return vectors().as_chat_engine(llm=llm, chat_mode=mode, memory=memory).chat(QUESTION)


WAYS: dict[str, Ask] = {
    "query": lambda llm: vectors().as_query_engine(llm=llm).query(QUESTION),
    "aquery": lambda llm: asyncio.run(vectors().as_query_engine(llm=llm).aquery(QUESTION)),
    "streamed query": lambda llm: str(
        vectors().as_query_engine(llm=llm, streaming=True).query(QUESTION)
    ),
    "chat engine": lambda llm: chat(llm, ChatMode.CONTEXT),
    "condensing chat engine": lambda llm: chat(llm, ChatMode.CONDENSE_PLUS_CONTEXT),
    "best chat engine": lambda llm: chat(llm, ChatMode.BEST),
    "faithfulness": lambda llm: asyncio.run(
        FaithfulnessEvaluator(llm=llm).aevaluate(
            response="On Pharos.", contexts=[DOCUMENTS[0].text]
        )
    ),
    "relevancy": lambda llm: asyncio.run(
        RelevancyEvaluator(llm=llm).aevaluate(
            query=QUESTION, response="On Pharos.", contexts=[DOCUMENTS[0].text]
        )
    ),
    "sub questions": sub_questions,
    "titles": lambda llm: extract(TitleExtractor(llm=llm)),
    "keywords": lambda llm: extract(KeywordExtractor(llm=llm)),
    "summaries": lambda llm: extract(SummaryExtractor(llm=llm)),
    "paths": lambda llm: asyncio.run(
        SimpleLLMPathExtractor(llm=llm).acall([TextNode(text=DOCUMENTS[0].text)])
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_key_is_told(keyless: NVCF, way: str):
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY"):
        WAYS[way](keyless)


@pytest.mark.parametrize(
    "mode",
    [
        mode
        for mode in ResponseMode
        if mode not in (ResponseMode.NO_TEXT, ResponseMode.CONTEXT_ONLY)
    ],
)
@pytest.mark.parametrize("structured", [False, True])
def test_every_response_mode_tells_it(keyless: NVCF, mode: ResponseMode, structured: bool):
    engine = SummaryIndex.from_documents(DOCUMENTS).as_query_engine(
        llm=keyless,
        response_mode=mode,
        structured_answer_filtering=structured and mode == ResponseMode.REFINE,
    )
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY"):
        engine.query(QUESTION)
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY"):
        asyncio.run(engine.aquery(QUESTION))
