"""Each row of a table by Ray: a LangGraph agent answers it, and LlamaIndex extracts an object from it.

Needs: pip install "nvcf-adapters[langchain,llamaindex,batch,emulator]" langchain
"""

import os
from typing import Any

import ray
import ray.data
from _service import connection
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

MODEL = "nvidia/nemotron-3-super-120b-a12b"
STOCK = {"lamp": 4, "desk": 0}
MAILS = ("Do you have a lamp? Anna", "I need two of the desk. Ben")


class Order(BaseModel):
    """What a customer wants."""

    customer: str
    item: str


def in_stock(item: str) -> int:
    """How many of an item there are."""
    return STOCK.get(item, 0)


class Clerk:
    """One worker. The models are made here: they read the key of this process's environment."""

    def __init__(self) -> None:
        self.agent = create_agent(ChatNVCF(model=MODEL), tools=[in_stock])
        self.extractor = NVCF(model=MODEL)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row with what became of it."""
        state = self.agent.invoke({"messages": [HumanMessage(row["mail"])]})
        prompt = PromptTemplate("What is ordered here? {mail}")
        order = self.extractor.structured_predict(Order, prompt, mail=row["mail"])
        return {**row, "answer": state["messages"][-1].text, **order.model_dump()}


if __name__ == "__main__":
    with connection() as service:
        # Ray's workers on this machine have the environment that Ray was started with.
        os.environ["NVIDIA_API_KEY"] = service.get("api_key", os.environ.get("NVIDIA_API_KEY", ""))
        for name, keyword in (("NVIDIA_BASE_URL", "base_url"), ("NVCF_URL", "nvcf_url")):
            if keyword in service:
                os.environ[name] = service[keyword]
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        mails = ray.data.from_items([{"mail": mail} for mail in MAILS])
        clerks = ray.data.ActorPoolStrategy(size=1)
        answered = mails.map(Clerk, compute=clerks, num_cpus=1)  # type: ignore[arg-type]  # Ray takes classes, too.
        for row in answered.take_all():
            print(f"{row['mail']}\n  {row['customer']} wants: {row['item']}\n  {row['answer']}")
