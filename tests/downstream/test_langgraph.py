"""Agents that others built on LangGraph: deepagents, langgraph-supervisor, and tools of an MCP server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool

from langchain_nvcf import ChatNVCF
from langchain_nvcf.errors import NVCFWarning
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"

deepagents = pytest.importorskip("deepagents", reason="needs the extra `downstream`")
supervisor = pytest.importorskip("langgraph_supervisor", reason="needs the extra `downstream`")
mcp_client = pytest.importorskip("langchain_mcp_adapters.client", reason="needs `downstream`")


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def answers(state: dict[str, Any]) -> list[AIMessage]:
    return [message for message in state["messages"] if isinstance(message, AIMessage)]


def check_answer(message: AIMessage, reasoning: str) -> None:
    """Every answer of the model tells its tokens, its model and its reasoning."""
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 18
    assert message.response_metadata["model_name"] == KIMI
    said = [block for block in message.content_blocks if block["type"] == "reasoning"]
    assert [block.get("reasoning") for block in said] == ([reasoning] if reasoning else [])


def tool_results(messages: list[BaseMessage]) -> dict[str, Any]:
    return {m.tool_call_id: m.content for m in messages if isinstance(m, ToolMessage)}


def test_deepagents(
    chat: ChatNVCF, nvcf_emulator: Emulator, call: Any, usage: dict[str, int]
) -> None:
    note = {"file_path": "/notes.txt", "content": "Cairo"}
    nvcf_emulator.reply(
        reasoning="A note first.",
        tool_calls=[call("c1", "write_file", **note), call("c2", "weather", city="Cairo")],
        usage=usage,
    )
    nvcf_emulator.reply(text="It is sunny.", reasoning="Done.", usage=usage)
    agent = deepagents.create_deep_agent(model=chat, tools=[weather], system_prompt="Be brief.")
    state = agent.invoke({"messages": [{"role": "user", "content": "The weather in Cairo?"}]})
    first, last = answers(state)
    check_answer(first, "A note first.")
    check_answer(last, "Done.")
    assert last.text == "It is sunny."
    assert list(state["files"]) == ["/notes.txt"]
    assert tool_results(state["messages"])["c2"] == "sunny in Cairo"
    asked, again = (request.body for request in nvcf_emulator.chats)
    assert {"weather", "write_file", "task"} <= {
        offered["function"]["name"] for offered in asked["tools"]
    }
    ids = [
        message.get("tool_call_id") for message in again["messages"] if message["role"] == "tool"
    ]
    assert ids == ["c1", "c2"]


def test_deepagents_with_a_subagent(
    chat: ChatNVCF, nvcf_emulator: Emulator, call: Any, usage: dict[str, int]
) -> None:
    task = {"description": "Find out the weather in Cairo.", "subagent_type": "meteorologist"}
    nvcf_emulator.reply(
        reasoning="Not for me.", tool_calls=[call("c1", "task", **task)], usage=usage
    )
    nvcf_emulator.reply(
        reasoning="I ask.", tool_calls=[call("c2", "weather", city="Cairo")], usage=usage
    )
    nvcf_emulator.reply(text="Sunny.", usage=usage)
    nvcf_emulator.reply(text="My colleague says: sunny.", usage=usage)
    subagent = {
        "name": "meteorologist",
        "description": "Knows the weather.",
        "system_prompt": "You know the weather.",
        "tools": [weather],
    }
    agent = deepagents.create_deep_agent(model=chat, tools=[], subagents=[subagent])
    state = agent.invoke({"messages": [{"role": "user", "content": "The weather in Cairo?"}]})
    first, last = answers(state)
    check_answer(first, "Not for me.")
    check_answer(last, "")
    assert last.text == "My colleague says: sunny."
    assert tool_results(state["messages"]) == {"c1": "Sunny."}
    assert len(nvcf_emulator.chats) == 4
    subagents = [message["content"] for message in nvcf_emulator.chats[1].body["messages"]]
    assert "You know the weather." in str(subagents)


async def test_supervisor(
    chat: ChatNVCF, nvcf_emulator: Emulator, call: Any, usage: dict[str, int]
) -> None:
    nvcf_emulator.reply(
        reasoning="Not for me.", tool_calls=[call("c1", "transfer_to_meteorologist")], usage=usage
    )
    nvcf_emulator.reply(
        reasoning="I ask.", tool_calls=[call("c2", "weather", city="Cairo")], usage=usage
    )
    nvcf_emulator.reply(text="Sunny.", usage=usage)
    nvcf_emulator.reply(text="It is sunny.", usage=usage)
    expert = create_agent(chat, tools=[weather], name="meteorologist")
    graph = supervisor.create_supervisor([expert], model=chat, prompt="Hand over.").compile()
    # The supervisor makes the call that hands back itself, without a thought.
    with pytest.warns(NVCFWarning, match="calls a tool and has no reasoning"):
        state = await graph.ainvoke({"messages": [{"role": "user", "content": "Cairo?"}]})
    said = answers(state)
    check_answer(said[0], "Not for me.")
    assert said[-1].text == "It is sunny."
    check_answer(said[-1], "")
    assert "c1" in tool_results(state["messages"])
    names = [message.name for message in said]
    assert names[0] == "supervisor"
    assert "meteorologist" in names
    for request in nvcf_emulator.chats:
        called = {
            made["id"]
            for message in request.body["messages"]
            for made in message.get("tool_calls", ())
        }
        answered = {message.get("tool_call_id") for message in request.body["messages"]} - {None}
        assert called == answered, "each call of the history has its result"


SERVER = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("weather")


@server.tool()
def weather(city: str) -> str:
    '''The weather in a city.'''
    return f"sunny in {city}"


server.run(transport="stdio")
"""


async def test_tools_of_an_mcp_server(
    chat: ChatNVCF, nvcf_emulator: Emulator, call: Any, usage: dict[str, int], tmp_path: Path
) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    client = mcp_client.MultiServerMCPClient(
        {"weather": {"command": sys.executable, "args": [str(script)], "transport": "stdio"}}
    )
    agent = create_agent(chat, tools=await client.get_tools())
    nvcf_emulator.reply(
        reasoning="I ask.", tool_calls=[call("c1", "weather", city="Cairo")], usage=usage
    )
    nvcf_emulator.reply(text="It is sunny.", usage=usage)
    state = await agent.ainvoke({"messages": [{"role": "user", "content": "Cairo?"}]})
    first, last = answers(state)
    check_answer(first, "I ask.")
    assert last.text == "It is sunny."
    assert "sunny in Cairo" in str(tool_results(state["messages"])["c1"])
    (offered,) = nvcf_emulator.chats[0].body["tools"]
    assert offered["function"]["name"] == "weather"
    assert offered["function"]["description"] == "The weather in a city."
    result = nvcf_emulator.chats[1].body["messages"][-1]
    assert (result["role"], result["tool_call_id"]) == ("tool", "c1")
    assert "sunny in Cairo" in result["content"]
