"""Two LlamaIndex agents at work on one task: the first reads the notes, and hands off to the second.

Needs: pip install "nvcf-adapters[llamaindex,emulator]"
"""

import asyncio
from typing import Any, Literal

from _service import connection
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentWorkflow,
    FunctionAgent,
    ToolCallResult,
)

from llamaindex_nvcf import NVCF

TASK = "Read the notes on tides, then handoff to 'Editor' to shorten them."
NOTES = {
    "winds": "Air flows from where its pressure is high to where it is low.",
    "tides": "The moon pulls the sea towards it. So does the sun, half as strongly.",
}


def read_notes(subject: Literal["winds", "tides"]) -> str:
    """Read the notes on a subject."""
    return NOTES[subject]


async def main(service: dict[str, Any]) -> None:
    llm = NVCF(model="nvidia/nemotron-3-super-120b-a12b", **service)
    reader = FunctionAgent(
        name="Reader",
        description="Reads notes.",
        system_prompt="You read notes, and hand off to the Editor.",
        llm=llm,
        tools=[read_notes],
        can_handoff_to=["Editor"],
    )
    editor = FunctionAgent(
        name="Editor",
        description="Makes texts shorter.",
        system_prompt="You make texts shorter.",
        llm=llm,
        can_handoff_to=[],
    )
    run = AgentWorkflow(agents=[reader, editor], root_agent="Reader").run(TASK)
    async for event in run.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"{event.tool_name}({event.tool_kwargs}): {event.tool_output.content}")
        elif isinstance(event, AgentOutput) and event.response.content:
            print(f"{event.current_agent_name}: {event.response.content}")
    await run


if __name__ == "__main__":
    with connection() as service:
        asyncio.run(main(service))
