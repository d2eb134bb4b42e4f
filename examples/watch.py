"""A short film, watched through both frameworks: two questions about one upload, and an answer as it arrives.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]"
"""

import sys
from pathlib import Path
from typing import Any

from _service import connection
from langchain_core.messages import AIMessage, HumanMessage
from llama_index.core.llms import ChatMessage, TextBlock, VideoBlock

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

LAKE = Path(__file__).parent / "media" / "lake.mp4"
MODEL = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
QUESTION, NEXT_QUESTION = "What happens in this film?", "Which way does the boat go?"


def with_langchain(film: Path, service: dict[str, Any]) -> tuple[str, str]:
    with ChatNVCF(model=MODEL, **service) as model:
        video = model.upload(film)
        asked = HumanMessage([{"type": "text", "text": QUESTION}, video])
        first = model.invoke([asked])
        history = [asked, AIMessage(first.text), HumanMessage(NEXT_QUESTION)]
        return first.text, model.invoke(history).text


def with_llamaindex(film: Path, service: dict[str, Any]) -> None:
    message = ChatMessage(blocks=[TextBlock(text=QUESTION), VideoBlock(path=film)])
    with NVCF(model=MODEL, **service) as llm:
        for piece in llm.stream_chat([message]):
            print(piece.delta, end="", flush=True)
        print()


if __name__ == "__main__":
    film = Path(sys.argv[1]) if len(sys.argv) > 1 else LAKE
    with connection() as service:
        for answer in with_langchain(film, service):
            print("LangChain: ", answer, end="\n\n")
        print("LlamaIndex: ", end="")
        with_llamaindex(film, service)
