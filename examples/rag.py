"""A streaming query engine over this project's own pages, found by BM25, which needs no other model.

Needs: pip install "nvcf-adapters[llamaindex,emulator]" rank-bm25
"""

import re
import sys
from pathlib import Path

from _service import connection
from llama_index.core import Document, QueryBundle
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.node_parser import MarkdownNodeParser
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import BaseNode, NodeWithScore
from rank_bm25 import BM25Okapi

from llamaindex_nvcf import NVCF

PAGES = Path(__file__).parents[1] / "docs"
QUESTION = (
    "Which error does a stream raise that ends halfway, and does it hand over what had arrived?"
)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class BM25Retriever(BaseRetriever):
    """Finds the sections that share the rarest words with the question."""

    def __init__(self, nodes: list[BaseNode], top: int = 3) -> None:
        self.nodes, self.top = nodes, top
        self.index = BM25Okapi([words(node.get_content()) for node in nodes])
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        scores = self.index.get_scores(words(query_bundle.query_str))
        found = [NodeWithScore(node=n, score=s) for n, s in zip(self.nodes, scores, strict=True)]
        return sorted(found, key=NodeWithScore.get_score, reverse=True)[: self.top]


def pages() -> list[Document]:
    return [
        Document(text=path.read_text(encoding="utf-8"), metadata={"page": path.name})
        for path in sorted(PAGES.rglob("*.md"))
    ]


if __name__ == "__main__":
    with connection() as service:
        engine = RetrieverQueryEngine.from_args(
            BM25Retriever(MarkdownNodeParser().get_nodes_from_documents(pages())),
            llm=NVCF(model="nvidia/nemotron-3-super-120b-a12b", **service),
            streaming=True,
        )
        question = " ".join(sys.argv[1:]) or QUESTION
        print(f"{question}\n")
        answer = engine.query(question)
        assert isinstance(answer, StreamingResponse)
        for text in answer.response_gen:
            print(text, end="", flush=True)
        print("\n\nfound in:")
        for source in answer.source_nodes:
            print(
                f"  {source.metadata['page']}: {source.text.splitlines()[0]} ({source.score:.1f})"
            )
