"""Three agents at once and a RAG query of LlamaIndex, tested without a network.

Needs: pip install "nvcf-adapters[llamaindex,emulator]" llama-index-embeddings-nvidia openai pytest-asyncio
"""

import asyncio

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.embeddings.nvidia import NVIDIAEmbedding

from llamaindex_nvcf import NVCF
from nvcf_emulator import Emulator

AGENTS = ("planner", "writer", "critic")
TEXTS = ["The harbour of Oslo freezes in winter.", "Cats sleep all day.", "Stocks fell."]


def look_up(subject: str) -> str:
    """Look a subject up."""
    return f"All about the {subject}."


async def test_three_agents_and_a_query(nvcf_env: Emulator) -> None:
    llm = NVCF("moonshotai/kimi-k2.6")
    for name in AGENTS:
        call = {"name": "look_up", "arguments": {"subject": name}}
        nvcf_env.reply(reasoning="Hm.", tool_calls=[call], when={"system": name})
        last = {"system": name, "tool_result": f"the {name}"}
        nvcf_env.reply(f"The {name} is done.", when=last)
    agents = [FunctionAgent(tools=[look_up], llm=llm, system_prompt=name) for name in AGENTS]
    answers = await asyncio.gather(*[agent.run("Go.") for agent in agents])
    assert [str(answer) for answer in answers] == [f"The {name} is done." for name in AGENTS]
    nvcf_env.reply("In winter.", when="Oslo freezes")
    documents = [Document(text=text) for text in TEXTS]
    embedding = NVIDIAEmbedding("nvidia/nv-embedqa-e5-v5")
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    engine = index.as_query_engine(llm=llm, similarity_top_k=1)
    assert str(await engine.aquery("When does the harbour freeze?")) == "In winter."
