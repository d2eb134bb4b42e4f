"""Three agents at once and a RAG query of LangGraph and LangChain, tested without a network.

Needs: pip install "nvcf-adapters[langchain,emulator]" langchain-nvidia-ai-endpoints langgraph pytest
"""

from langchain_core.messages import HumanMessage
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_nvidia_ai_endpoints import NVIDIAEmbeddings
from langgraph.graph import START, MessagesState, StateGraph

from langchain_nvcf import ChatNVCF
from nvcf_emulator import Emulator

MODEL, AGENTS = "moonshotai/kimi-k2.6", ("planner", "writer", "critic")
TEXTS = ["The harbour of Oslo freezes in winter.", "Cats sleep all day.", "Stocks fell."]


def test_three_agents_and_a_query(nvcf_env: Emulator) -> None:
    llm, graph = ChatNVCF(model=MODEL), StateGraph(MessagesState)
    for name in AGENTS:
        nvcf_env.reply(f"The {name} is done.", when={"system": name})

        def agent(state: MessagesState, name: str = name) -> MessagesState:
            return {"messages": [llm.invoke([("system", f"You: {name}"), *state["messages"]])]}

        graph.add_node(name, agent).add_edge(START, name)
    said = graph.compile().invoke({"messages": [HumanMessage("Go.")]})["messages"][1:]
    assert {message.text for message in said} == {f"The {name} is done." for name in AGENTS}
    nvcf_env.reply("In winter.", when="Oslo freezes")
    store = InMemoryVectorStore.from_texts(TEXTS, NVIDIAEmbeddings(model="nvidia/nv-embedqa-e5-v5"))
    [found] = store.similarity_search("When does the harbour freeze?", k=1)
    assert llm.invoke(f"{found.page_content} So when?").text == "In winter."
