"""A person approves what an agent is about to do: the run waits in a SQLite file, and another process goes on with it.

Needs: pip install "nvcf-adapters[langchain,emulator]" langchain langgraph-checkpoint-sqlite
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from _service import connection
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from langchain_nvcf import ChatNVCF

TASK = "Please transfer 250 EUR to Ben for the concert tickets."
THREAD = RunnableConfig(configurable={"thread_id": "transfer to Ben"})


def transfer(recipient: str, amount: float) -> str:
    """Send an amount in EUR to somebody."""
    return f"{amount} EUR sent to {recipient}"


def go_on(file: Path, service: dict[str, Any], step: Any) -> dict[str, Any]:
    """Make the agent anew, and let it run until it is done or has to ask. All that it knows is in the file."""
    with SqliteSaver.from_conn_string(str(file)) as saver:
        agent: Any = create_agent(
            ChatNVCF(model="nvidia/nemotron-3-super-120b-a12b", **service),
            tools=[transfer],
            middleware=[HumanInTheLoopMiddleware(interrupt_on={"transfer": True})],
            checkpointer=saver,
        )
        state: dict[str, Any] = agent.invoke(step, THREAD)
        return state


def decide(question: str) -> dict[str, str]:
    """What the person says; yes, where there is none."""
    said = input(f"{question} [y/n] ") if sys.stdin.isatty() else "y"
    if not sys.stdin.isatty():
        print(f"{question} [y/n] {said}")
    return {"type": "approve"} if said == "y" else {"type": "reject", "message": "Not now."}


if __name__ == "__main__":
    with connection() as service, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.sqlite"
        print(f"> {TASK}")
        state = go_on(file, service, {"messages": [HumanMessage(TASK)]})
        while interrupts := state.get("__interrupt__"):
            wanted = [action for stop in interrupts for action in stop.value["action_requests"]]
            decisions = [decide(f"{call['name']}({call['args']})?") for call in wanted]
            state = go_on(file, service, Command(resume={"decisions": decisions}))
        print(state["messages"][-1].text)
