"""A refusal reaches the caller through whatever LlamaIndex builds on a model: its engines swallow every ValueError."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import (
    Document,
    MockEmbedding,
    SummaryIndex,
    VectorStoreIndex,
)
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.evaluation import FaithfulnessEvaluator, RelevancyEvaluator
from llama_index.core.extractors import KeywordExtractor, SummaryExtractor, TitleExtractor
from llama_index.core.indices.property_graph import SimpleLLMPathExtractor
from llama_index.core.memory import ChatMemoryBuffer, ChatSummaryMemoryBuffer
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import FunctionTool, QueryEngineTool
from pydantic import BaseModel

from llamaindex_nvcf import NVCF, InvalidRequestError
from nvcf_emulator import Emulator

# LlamaIndex's extractors and engines leave event loops of their own open, its agents use old names of pydantic's.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
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
    generator = LLMQuestionGenerator.from_defaults(llm=llm)
    engine = SubQuestionQueryEngine.from_defaults(
        [engine_tool(llm)], llm=llm, question_gen=generator, use_async=False
    )
    return engine.query(QUESTION)


def extract(extractor: Any) -> Any:
    return extractor.extract([TextNode(text=DOCUMENTS[0].text)])


def chat(llm: NVCF, mode: ChatMode) -> Any:
    memory = ChatMemoryBuffer.from_defaults(token_limit=1000)
    return vectors().as_chat_engine(llm=llm, chat_mode=mode, memory=memory).chat(QUESTION)


class Place(BaseModel):
    """A place."""

    name: str


TOOL = FunctionTool.from_defaults(len, name="length", description="How long a word is.")


async def run(agent: Any) -> Any:
    return await agent.run(user_msg=QUESTION)


def engine_tool(llm: NVCF) -> QueryEngineTool:
    engine = vectors().as_query_engine(llm=llm)
    return QueryEngineTool.from_defaults(engine, name="sea", description="It.")


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
    "a router": lambda llm: RouterQueryEngine.from_defaults(
        [engine_tool(llm)], llm=llm, selector=LLMSingleSelector.from_defaults(llm=llm)
    ).query(QUESTION),
    "a router by a tool": lambda llm: RouterQueryEngine.from_defaults(
        [engine_tool(llm)], llm=llm, selector=PydanticSingleSelector.from_defaults(llm=llm)
    ).query(QUESTION),
    "citations": lambda llm: CitationQueryEngine.from_args(vectors(), llm=llm).query(QUESTION),
    "several questions at once": lambda llm: QueryFusionRetriever(
        [vectors().as_retriever()], llm=llm, use_async=False
    ).retrieve(QUESTION),
    "ranking": lambda llm: LLMRerank(llm=llm).postprocess_nodes(
        [NodeWithScore(node=TextNode(text=DOCUMENTS[0].text))], query_str=QUESTION
    ),
    "an object": lambda llm: vectors().as_query_engine(llm=llm, output_cls=Place).query(QUESTION),
    "an object from a structured model": lambda llm: (
        vectors().as_query_engine(llm=llm.as_structured_llm(Place)).query(QUESTION)
    ),
    "a streamed object": lambda llm: str(
        vectors().as_query_engine(llm=llm, output_cls=Place, streaming=True).query(QUESTION)
    ),
    "answers that are filtered": lambda llm: str(
        vectors()
        .as_query_engine(
            llm=llm, structured_answer_filtering=True, response_mode="refine", streaming=True
        )
        .query(QUESTION)
    ),
    "a program": lambda llm: LLMTextCompletionProgram.from_defaults(
        output_cls=Place, llm=llm, prompt_template_str="Where is {it}?"
    )(it="it"),
    "a program by a tool": lambda llm: FunctionCallingProgram.from_defaults(
        output_cls=Place, llm=llm, prompt_template_str="Where is {it}?"
    )(it="it"),
    "an agent": lambda llm: asyncio.run(run(FunctionAgent(llm=llm, tools=[TOOL]))),
    "an agent that reasons in text": lambda llm: asyncio.run(
        run(ReActAgent(llm=llm, tools=[TOOL]))
    ),
    "a memory that sums up": lambda llm: ChatSummaryMemoryBuffer.from_defaults(
        llm=llm, token_limit=5, chat_history=[ChatMessage(content=QUESTION * 9)] * 2
    ).get(),
    "paths": lambda llm: asyncio.run(
        SimpleLLMPathExtractor(llm=llm).acall([TextNode(text=DOCUMENTS[0].text)])
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_key_is_told(keyless: NVCF, way: str):
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY"):
        WAYS[way](keyless)


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_bound_is_told(make: Any, server: Emulator, way: str):
    llm = make("moonshotai/kimi-k2.6")
    llm.temperature = 7  # Changed after it was made: only a call can find out.
    with pytest.raises(InvalidRequestError, match="temperature=7"):
        WAYS[way](llm)
    assert not server.chats


class Pictures(BaseRetriever):
    """Finds a picture."""

    def __init__(self, picture: bytes) -> None:
        super().__init__()
        self._picture = base64.b64encode(picture).decode()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        node = ImageNode(image=self._picture, image_mimetype="image/png")
        return [NodeWithScore(node=node, score=1.0)]


def answered(engine: Any, asynchronous: bool) -> str:
    """What a query engine says, streamed or not."""
    if not asynchronous:
        return str(engine.query(QUESTION))

    async def ask() -> str:
        response = await engine.aquery(QUESTION)
        return str(await response.get_response() if hasattr(response, "get_response") else response)

    return asyncio.run(ask())


@pytest.mark.skipif(
    "multimodal" not in inspect.signature(get_response_synthesizer).parameters,
    reason="this llama-index-core reads the texts of nodes alone",
)
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "mode",
    [
        ResponseMode.REFINE,
        ResponseMode.COMPACT,
        ResponseMode.SIMPLE_SUMMARIZE,
        ResponseMode.TREE_SUMMARIZE,
        ResponseMode.ACCUMULATE,
        ResponseMode.COMPACT_ACCUMULATE,
    ],
)
def test_a_picture_is_sent_or_told_of(
    make: Any,
    server: Emulator,
    media: Any,
    mode: ResponseMode,
    streaming: bool,
    asynchronous: bool,
):
    if streaming and mode in (ResponseMode.ACCUMULATE, ResponseMode.COMPACT_ACCUMULATE):
        pytest.skip("LlamaIndex does not stream them")

    def engine(model: str) -> RetrieverQueryEngine:
        synthesizer = get_response_synthesizer(
            llm=make(model), response_mode=mode, multimodal=True, streaming=streaming
        )
        return RetrieverQueryEngine(Pictures(media.png()), synthesizer)

    with pytest.raises(InvalidRequestError, match="has image; the model takes no media"):
        answered(engine("nvidia/nemotron-3-super-120b-a12b"), asynchronous)
    assert not server.chats
    server.reply(text="A map.")
    assert "A map." in answered(engine("moonshotai/kimi-k2.6"), asynchronous)
    assert "image_url" in str(server.chats[0].body["messages"])


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
