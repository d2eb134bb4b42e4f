"""A LangGraph agent with two tools and a memory: the second question builds on the first.

Needs: pip install "nvcf-adapters[langchain,emulator]" langchain
"""

from typing import Literal

from _service import connection
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from langchain_nvcf import ChatNVCF

RATES = {"USD": 1.08, "JPY": 163.0, "CHF": 0.95}
QUESTIONS = (
    "What is the monthly payment for a loan of 200000 EUR over 20 years at 3.5 percent?",
    "Exchange 1000 EUR of it into CHF.",
)


def monthly_payment(loan: float, years: int, percent: float) -> float:
    """The monthly payment that repays a loan in so many years at a yearly interest."""
    rate, months = percent / 1200, years * 12
    return round(loan * rate / (1 - (1 + rate) ** -months), 2)


def exchange(amount: float, currency: Literal["USD", "JPY", "CHF"]) -> float:
    """What an amount in EUR is in another currency."""
    return round(amount * RATES[currency], 2)


if __name__ == "__main__":
    with connection() as service:
        agent = create_agent(
            ChatNVCF(model="nvidia/nemotron-3-super-120b-a12b", **service),
            tools=[monthly_payment, exchange],
            checkpointer=InMemorySaver(),
        )
        thread = RunnableConfig(configurable={"thread_id": "a loan"})
        for question in QUESTIONS:
            for state in agent.stream(
                {"messages": [HumanMessage(question)]}, thread, stream_mode="values"
            ):
                state["messages"][-1].pretty_print()
