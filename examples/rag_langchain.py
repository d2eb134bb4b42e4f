"""A LangChain agent that looks things up in this project's pages: Chroma and the conversation are kept on disk.

Needs: pip install "nvcf-adapters[langchain,emulator]" langchain langchain-chroma langchain-nvidia-ai-endpoints langgraph-checkpoint-sqlite
"""  # noqa: E501  # One command on one line.

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from _service import connection
from langchain.agents import create_agent
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_nvidia_ai_endpoints import NVIDIAEmbeddings
from langgraph.checkpoint.sqlite import SqliteSaver

from langchain_nvcf import ChatNVCF

PAGES = Path(__file__).parents[1] / "docs"
QUESTIONS = (
    "Which error is raised by a stream that ends halfway, and what does it hold?",
    "And is such a stream asked for again?",
)


def sections() -> list[Document]:
    """Each page, cut before its headings."""
    return [
        Document(text, metadata={"page": path.name})
        for path in sorted(PAGES.rglob("*.md"))
        for text in re.split(r"^(?=##)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]


def answer(question: str, folder: Path, service: dict[str, Any]) -> str:
    """What the agent says, in a session of its own: all that it remembers is in the folder."""
    where = {name: service[name] for name in ("base_url", "api_key") if name in service}
    embeddings = NVIDIAEmbeddings(model="nvidia/llama-3.2-nv-embedqa-1b-v2", **where)
    store = Chroma("pages", embeddings, persist_directory=str(folder / "chroma"))
    if not store.get(limit=1)["ids"]:
        added = store.add_documents(sections())
        print(f"{len(added)} sections embedded\n")

    def search_pages(query: str) -> str:
        """Sections of the project's documentation that are near to a query."""
        return "\n\n".join(section.page_content for section in store.similarity_search(query, k=3))

    with SqliteSaver.from_conn_string(str(folder / "conversation.sqlite")) as memory:
        agent = create_agent(
            ChatNVCF(model="nvidia/nemotron-3-super-120b-a12b", **service),
            tools=[search_pages],
            checkpointer=memory,
        )
        thread = RunnableConfig(configurable={"thread_id": "streams"})
        state = agent.invoke({"messages": [HumanMessage(question)]}, thread)
    searches = [message for message in state["messages"] if message.type == "tool"]
    print(f"{len(state['messages'])} messages, {len(searches)} of them found sections")
    return str(state["messages"][-1].text)


if __name__ == "__main__":
    with connection() as service, tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        for question in QUESTIONS:
            print(f"> {question}")
            print(answer(question, folder, service), end="\n\n")
