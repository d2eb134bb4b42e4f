"""Whole conversations of LangChain's agents: streamed and not, with memory, the bytes of each turn asserted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langchain_nvcf import ChatNVCF
from nvcf_emulator import Emulator

pytestmark = pytest.mark.filterwarnings("ignore:.*has no reasoning:nvcf_core.errors.NVCFWarning")
"""The emulator's kimi calls tools without a thought unless it is told to think; see test_history."""

KIMI = "moonshotai/kimi-k2.6"
SUPER = "nvidia/nemotron-3-super-120b-a12b"


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@tool
def population(city: str) -> str:
    """How many people live in a city."""
    raise ValueError(f"nobody counted {city}")


def call(number: int, name: str, city: str) -> dict[str, Any]:
    return {"id": f"c{number}", "name": name, "arguments": {"city": city}}


def sent_call(number: int, name: str, city: str) -> dict[str, Any]:
    function = {"name": name, "arguments": f'{{"city": "{city}"}}'}
    return {"id": f"c{number}", "type": "function", "function": function}


def run_streamed(agent: Any, value: Any, **keywords: Any) -> dict[str, Any]:
    """Stream tokens, as a chat window does, and return the state at the end."""
    state: dict[str, Any] = {}
    for mode, event in agent.stream(value, stream_mode=["messages", "values"], **keywords):
        if mode == "values":
            state = event
    return state


def arun_streamed(agent: Any, value: Any, **keywords: Any) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        state: dict[str, Any] = {}
        async for mode, event in agent.astream(
            value, stream_mode=["messages", "values"], **keywords
        ):
            if mode == "values":
                state = event
        return state

    return asyncio.run(run())


RUNS: dict[str, Callable[..., dict[str, Any]]] = {
    "invoke": lambda agent, value, **keywords: agent.invoke(value, **keywords),
    "ainvoke": lambda agent, value, **keywords: asyncio.run(agent.ainvoke(value, **keywords)),
    "stream": run_streamed,
    "astream": arun_streamed,
}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    return RUNS[request.param]


@pytest.mark.parametrize("model", [KIMI, SUPER])
def test_a_conversation_with_memory(
    chat: Callable[..., ChatNVCF],
    nvcf_emulator: Emulator,
    run: Callable[..., dict[str, Any]],
    model: str,
) -> None:
    nvcf_emulator.reply(
        reasoning="Two cities.",
        text="I look.",
        tool_calls=[call(0, "weather", "A"), call(1, "weather", "B")],
    )
    nvcf_emulator.reply(reasoning="Both sunny.", text="Sunny in both.")
    nvcf_emulator.reply(text="You asked about A and B.")
    agent: Any = create_agent(
        chat(model), [weather, population], system_prompt="Be brief.", checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "1"}}
    state = run(agent, {"messages": [("user", "Weather in A and B?")]}, config=thread)
    assert state["messages"][-1].text == "Sunny in both."
    state = run(agent, {"messages": [("user", "What did I ask?")]}, config=thread)
    assert state["messages"][-1].text == "You asked about A and B."

    reasons = model == KIMI
    history: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in A and B?"},
        {
            "role": "assistant", "content": "I look.",
            **({"reasoning_content": "Two cities."} if reasons else {}),
            "tool_calls": [sent_call(0, "weather", "A"), sent_call(1, "weather", "B")],
        },
        {"role": "tool", "content": "sunny in A", "tool_call_id": "c0", "name": "weather"},
        {"role": "tool", "content": "sunny in B", "tool_call_id": "c1", "name": "weather"},
        {
            "role": "assistant", "content": "Sunny in both.",
            **({"reasoning_content": "Both sunny."} if reasons else {}),
        },
        {"role": "user", "content": "What did I ask?"},
    ]  # fmt: skip
    first, second, third = [request.body for request in nvcf_emulator.chats]
    assert [first["messages"], second["messages"], third["messages"]] == [
        history[:2],
        history[:5],
        history,
    ]
    names = [
        [offer["function"]["name"] for offer in body["tools"]] for body in (first, second, third)
    ]
    assert names == [["weather", "population"]] * 3


def test_a_loop_whose_reasoning_has_to_come_back(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, run: Callable[..., dict[str, Any]]
) -> None:
    nvcf_emulator.require_reasoning = True
    nvcf_emulator.shape = "reasoning-field"
    agent: Any = create_agent(chat(KIMI), [weather])
    state = run(agent, {"messages": [("user", "What is the weather in Paris?")]})
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "reasoning_content" in nvcf_emulator.chats[1].body["messages"][1]


def test_a_call_that_was_cut_ends_the_loop_without_running_the_tool(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, run: Callable[..., dict[str, Any]]
) -> None:
    ran: list[str] = []

    @tool
    def write(text: str) -> str:
        """Write a file."""
        ran.append(text)
        return "written"

    cut = {"id": "c0", "name": "write", "arguments": '{"text": "only the beg'}
    nvcf_emulator.reply(tool_calls=[cut], finish_reason="length")
    agent: Any = create_agent(chat(KIMI), [write], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    state = run(agent, {"messages": [("user", "Write it")]}, config=thread)
    last = state["messages"][-1]
    assert ran == []
    assert last.tool_calls == []
    assert last.response_metadata["finish_reason"] == "length"
    assert [bad["name"] for bad in last.invalid_tool_calls] == ["write"]


def test_a_graph_of_ones_own_with_a_failing_tool(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, run: Callable[..., dict[str, Any]]
) -> None:
    model = chat(KIMI).bind_tools([weather, population])
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([weather, population], handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "model")
    nvcf_emulator.reply(tool_calls=[call(0, "population", "A")])
    nvcf_emulator.reply(text="Nobody knows.")
    state = run(graph.compile(), {"messages": [("user", "People in A?")]})
    assert state["messages"][-1].text == "Nobody knows."
    result = nvcf_emulator.chats[1].body["messages"][-1]
    assert (result["role"], result["tool_call_id"]) == ("tool", "c0")
    assert "nobody counted A" in result["content"]


def test_tokens_reach_the_window_once(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.reply(reasoning=["Hm", "."], tool_calls=[call(0, "weather", "A")])
    nvcf_emulator.reply(text=["Sun", "ny."])
    agent: Any = create_agent(chat(KIMI), [weather])
    chunks = [
        message
        for message, _ in agent.stream({"messages": [("user", "A?")]}, stream_mode="messages")
    ]
    assert (
        "".join(str(chunk.text) for chunk in chunks if chunk.type == "AIMessageChunk") == "Sunny."
    )
    thoughts = [chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks]
    assert "".join(thoughts) == "Hm."


def test_history_of_another_providers_model(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator
) -> None:
    """A conversation that an Anthropic and an OpenAI model began is carried on."""
    anthropic = AIMessage(
        [
            {"type": "thinking", "thinking": "A city.", "signature": "x"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c0", "name": "weather", "input": {"city": "A"}},
        ],
        tool_calls=[{"id": "c0", "name": "weather", "args": {"city": "A"}}],
        response_metadata={"model_provider": "anthropic"},
    )
    openai = AIMessage(
        [
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "Sunny."}],
                "id": "rs_1",
            },
            {"type": "text", "text": "It is sunny.", "annotations": [], "id": "msg_1"},
        ],
        response_metadata={"model_provider": "openai"},
    )
    agent: Any = create_agent(chat(KIMI), [weather])
    agent.invoke({"messages": [("user", "A?"), anthropic, _result(), openai, ("user", "B?")]})
    assert nvcf_emulator.chats[0].body["messages"] == [
        {"role": "user", "content": "A?"},
        {
            "role": "assistant", "content": "I look.", "reasoning_content": "A city.",
            "tool_calls": [sent_call(0, "weather", "A")],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c0"},
        {"role": "assistant", "content": "It is sunny.", "reasoning_content": "Sunny."},
        {"role": "user", "content": "B?"},
    ]  # fmt: skip


def _result() -> dict[str, Any]:
    return {"role": "tool", "content": "sunny", "tool_call_id": "c0"}


def test_summarisation_counts_tokens_without_a_tokenizer(
    chat: Callable[..., ChatNVCF], nvcf_emulator: Emulator, colour: SimpleNamespace
) -> None:
    model = chat(KIMI)
    nvcf_emulator.reply(text="They talked about words.")
    nvcf_emulator.reply(text="Fine.")
    middleware = SummarizationMiddleware(
        model, trigger=("tokens", 300), keep=("messages", 2),
        token_counter=lambda messages: model.get_num_tokens_from_messages(list(messages)),
    )  # fmt: skip
    agent: Any = create_agent(model, middleware=[middleware])
    long = [("user" if number % 2 == 0 else "ai", "word " * 100) for number in range(6)]
    state = colour.invoke(agent, {"messages": [*long, ("user", "And?")]})
    assert state["messages"][-1].text == "Fine."
    assert "They talked about words." in nvcf_emulator.chats[1].body["messages"][0]["content"]
