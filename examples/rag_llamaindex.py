"""A LlamaIndex chat engine over this project's pages: Chroma and the conversation are kept on disk.

Needs: pip install "nvcf-adapters[llamaindex,emulator]" llama-index-vector-stores-chroma llama-index-embeddings-nvidia openai
"""  # noqa: E501  # One command on one line.

import sys
import tempfile
from pathlib import Path
from typing import Any

import chromadb
from _service import connection
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.memory import Memory
from llama_index.core.node_parser import MarkdownNodeParser
from llama_index.embeddings.nvidia import NVIDIAEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore

from llamaindex_nvcf import NVCF

PAGES = Path(__file__).parents[1] / "docs"
QUESTIONS = (
    "Which error is raised by a stream that ends halfway, and what does it hold?",
    "And is such a stream asked for again?",
)


def pages() -> list[Document]:
    return [
        Document(text=path.read_text(encoding="utf-8"), metadata={"page": path.name})
        for path in sorted(PAGES.rglob("*.md"))
    ]


def answer(question: str, folder: Path, service: dict[str, Any]) -> None:
    """Print what the engine says, in a session of its own: all that it remembers is in the folder."""
    where = {name: service[name] for name in ("base_url", "api_key") if name in service}
    embedding = NVIDIAEmbedding(model="nvidia/llama-3.2-nv-embedqa-1b-v2", **where)
    collection = chromadb.PersistentClient(folder / "chroma").get_or_create_collection("pages")
    store = ChromaVectorStore(chroma_collection=collection)
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    if not collection.count():
        index.insert_nodes(MarkdownNodeParser().get_nodes_from_documents(pages()))
        print(f"{collection.count()} sections embedded")
    memory = Memory.from_defaults(
        session_id="streams",
        token_limit=100_000,
        async_database_uri=f"sqlite+aiosqlite:///{folder / 'conversation.sqlite'}",
    )
    engine = index.as_chat_engine(
        chat_mode=ChatMode.CONTEXT,
        llm=NVCF(model="nvidia/nemotron-3-super-120b-a12b", **service),
        memory=memory,
        similarity_top_k=3,
    )
    reply = engine.stream_chat(question)
    for text in reply.response_gen:
        print(text, end="", flush=True)
    found = sorted({node.metadata["page"] for node in reply.source_nodes})
    print(f"\n({len(memory.get())} messages; found in {', '.join(found)})\n")


if __name__ == "__main__":
    with connection() as service, tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        for question in QUESTIONS:
            print(f"> {question}")
            answer(question, folder, service)
