"""A LlamaIndex agent with two tools and a memory, its tool calls and answers shown as they come.

Needs: pip install "nvcf-adapters[llamaindex,emulator]"
"""

import asyncio
from typing import Any

from _service import connection
from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult
from llama_index.core.memory import ChatMemoryBuffer

from llamaindex_nvcf import NVCF

QUESTIONS = (
    "How many words are in 'the quick brown fox'?",
    "Now reverse the letters of 'stressed'.",
)


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(text.split())


def reverse_letters(text: str) -> str:
    """A text with its letters in reverse."""
    return text[::-1]


async def main(service: dict[str, Any]) -> None:
    llm = NVCF(model="nvidia/nemotron-3-super-120b-a12b", **service)
    agent = FunctionAgent(llm=llm, tools=[count_words, reverse_letters])
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    for question in QUESTIONS:
        print(f"\nuser: {question}")
        run = agent.run(question, memory=memory)
        async for event in run.stream_events():
            if isinstance(event, AgentStream):
                print(event.delta, end="", flush=True)
            elif isinstance(event, ToolCallResult):
                print(f"{event.tool_name}({event.tool_kwargs}) = {event.tool_output.content}")
        await run
        print()


if __name__ == "__main__":
    with connection() as service:
        asyncio.run(main(service))
