"""What LlamaIndex itself builds on an LLM: workflows of agents, query engines, evaluators, extractors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import CompletionResponse, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.evaluation import CorrectnessEvaluator, FaithfulnessEvaluator
from llama_index.core.extractors import KeywordExtractor, TitleExtractor
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index.core.query_engine import SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.schema import TextNode
from llama_index.core.tools import QueryEngineTool
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
PHAROS = Document(text="The lighthouse of Alexandria stood on the island of Pharos.")


class Answers(BaseEventHandler):
    """Keeps what the model answered to each chat and completion."""

    responses: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **_: Any) -> None:
        if isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            self.responses.append(event.response)


@pytest.fixture
def answers() -> Iterator[Answers]:
    """What LlamaIndex's instrumentation tells of the answers."""
    handler, dispatcher = Answers(), get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield handler
    dispatcher.event_handlers.remove(handler)


def check_answers(answers: Answers, *reasoning: str) -> None:
    """Each answer tells its tokens, its model and its reasoning, whatever asked for it."""
    thoughts = []
    for response in answers.responses:
        assert response.raw["model"] == KIMI
        assert response.additional_kwargs["total_tokens"] == 18
        if isinstance(response, CompletionResponse):
            thoughts.append(response.additional_kwargs["thinking"])
        else:
            thoughts += [
                block.content
                for block in response.message.blocks
                if isinstance(block, ThinkingBlock)
            ]
    assert thoughts == list(reasoning)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def test_agent_workflow(
    llm: NVCF, nvcf_emulator: Emulator, call: Any, usage: dict[str, int]
) -> None:
    nvcf_emulator.reply(
        reasoning="Not for me.",
        tool_calls=[call("c1", "handoff", to_agent="Expert", reason="weather")],
        usage=usage,
    )
    nvcf_emulator.reply(
        reasoning="I ask.", tool_calls=[call("c2", "weather", city="Cairo")], usage=usage
    )
    nvcf_emulator.reply(text="It is sunny.", usage=usage)
    host = FunctionAgent(
        name="Host", description="Talks.", llm=llm, tools=[], can_handoff_to=["Expert"]
    )
    expert = FunctionAgent(name="Expert", description="Knows.", llm=llm, tools=[weather])
    handler = AgentWorkflow(agents=[host, expert], root_agent="Host").run(user_msg="Cairo?")
    thinking = ""
    async for event in handler.stream_events():
        if isinstance(event, AgentStream):
            thinking += event.thinking_delta or ""
    result = await handler
    assert str(result) == "It is sunny."
    assert thinking == "Not for me.I ask."
    assert [made.tool_name for made in result.tool_calls] == ["handoff", "weather"]
    assert [made.tool_id for made in result.tool_calls] == ["c1", "c2"]
    assert result.raw["model"] == KIMI
    assert result.raw["usage"]["total_tokens"] == 18
    last = nvcf_emulator.chats[-1].body["messages"]
    assert [message["tool_call_id"] for message in last if message["role"] == "tool"] == [
        "c1",
        "c2",
    ]


def test_a_query_engine_counts_tokens(
    llm: NVCF,
    nvcf_emulator: Emulator,
    usage: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    answers: Answers,
) -> None:
    counter = TokenCountingHandler()
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([counter]))
    nvcf_emulator.reply(text=["On ", "Pharos."], reasoning="It says so.", usage=usage)
    index = VectorStoreIndex.from_documents([PHAROS], embed_model=MockEmbedding(embed_dim=2))
    answer = index.as_query_engine(llm=llm).query("Where stood it?")
    assert str(answer) == "On Pharos."
    assert counter.prompt_llm_token_count == 11
    assert counter.completion_llm_token_count == 7
    check_answers(answers, "It says so.")
    assert PHAROS.text in str(nvcf_emulator.chats[0].body["messages"])


def test_sub_questions(
    llm: NVCF, nvcf_emulator: Emulator, usage: dict[str, int], answers: Answers
) -> None:
    questions = {"items": [{"sub_question": "Where stood it?", "tool_name": "wonders"}]}
    nvcf_emulator.reply(text=json.dumps(questions), reasoning="One will do.", usage=usage)
    nvcf_emulator.reply(text="On Pharos.", reasoning="It says so.", usage=usage)
    nvcf_emulator.reply(text="It stood on Pharos.", reasoning="Summed up.", usage=usage)
    wonders = SummaryIndex.from_documents([PHAROS]).as_query_engine(llm=llm)
    tool = QueryEngineTool.from_defaults(wonders, name="wonders", description="Of the world.")
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm),
        use_async=False,
        verbose=False,
    )
    answer = engine.query("Where stood the lighthouse?")
    assert str(answer) == "It stood on Pharos."
    assert "On Pharos." in str(nvcf_emulator.chats[-1].body["messages"])
    check_answers(answers, "One will do.", "It says so.", "Summed up.")


@pytest.mark.parametrize(("said", "passing"), [("YES", True), ("NO", False)])
async def test_faithfulness(
    llm: NVCF,
    nvcf_emulator: Emulator,
    usage: dict[str, int],
    answers: Answers,
    said: str,
    passing: bool,
) -> None:
    nvcf_emulator.reply(text=said, reasoning="Compared.", usage=usage)
    result = await FaithfulnessEvaluator(llm=llm).aevaluate(
        response="On Pharos.", contexts=[PHAROS.text]
    )
    assert result.passing is passing
    check_answers(answers, "Compared.")


async def test_correctness(
    llm: NVCF, nvcf_emulator: Emulator, usage: dict[str, int], answers: Answers
) -> None:
    nvcf_emulator.reply(text="4.5\nNearly all of it.", reasoning="Compared.", usage=usage)
    result = await CorrectnessEvaluator(llm=llm).aevaluate(
        query="Where?", response="On Pharos.", reference="On the island of Pharos."
    )
    assert (result.score, result.feedback, result.passing) == (4.5, "Nearly all of it.", True)
    check_answers(answers, "Compared.")


async def test_extractors(
    llm: NVCF, nvcf_emulator: Emulator, usage: dict[str, int], answers: Answers
) -> None:
    nvcf_emulator.reply(text="lighthouse, Pharos", reasoning="Two.", usage=usage)
    nodes = [TextNode(text=PHAROS.text)]
    (keywords,) = await KeywordExtractor(llm=llm, keywords=2, show_progress=False).aextract(nodes)
    assert keywords == {"excerpt_keywords": "lighthouse, Pharos"}
    nvcf_emulator.reply(text="A wonder", reasoning="One.", usage=usage, times=2)
    (title,) = await TitleExtractor(llm=llm, show_progress=False).aextract(nodes)
    assert title == {"document_title": "A wonder"}
    assert len(nvcf_emulator.chats) == 3
    check_answers(answers, "Two.", "One.", "One.")
