"""The tools of an MCP server, called by an agent of each framework.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]" langchain langchain-mcp-adapters llama-index-tools-mcp
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from _service import connection
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

MODEL = "nvidia/nemotron-3-super-120b-a12b"
SERVER = [str(Path(__file__).with_name("_tides.py"))]
QUESTION = "When is the next high water at Brest?"


async def with_langchain(service: dict[str, Any]) -> str:
    client = MultiServerMCPClient(
        {"tides": {"transport": "stdio", "command": sys.executable, "args": SERVER}}
    )
    model = ChatNVCF(model=MODEL, **service)
    agent = create_agent(model, tools=await client.get_tools())
    state = await agent.ainvoke({"messages": [HumanMessage(QUESTION)]})
    return str(state["messages"][-1].text)


async def with_llamaindex(service: dict[str, Any]) -> str:
    client = BasicMCPClient(sys.executable, args=SERVER)
    tools = await McpToolSpec(client=client).to_tool_list_async()
    agent = FunctionAgent(llm=NVCF(model=MODEL, **service), tools=tools)
    return str(await agent.run(QUESTION))


async def main(service: dict[str, Any]) -> None:
    print(f"> {QUESTION}")
    print("LangChain: ", await with_langchain(service))
    print("LlamaIndex:", await with_llamaindex(service))


if __name__ == "__main__":
    with connection() as service:
        asyncio.run(main(service))
