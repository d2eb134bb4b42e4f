"""One picture, seen through both frameworks. It is too large to go inline, so an asset is made of it, and deleted.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]"
"""

import base64
import sys
from pathlib import Path
from typing import Any

from _service import connection
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

LAKE = Path(__file__).parent / "media" / "lake.png"
MODEL = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
QUESTION = "What is on this picture?"


def with_langchain(picture: Path, service: dict[str, Any]) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    message = HumanMessage(
        [
            {"type": "text", "text": QUESTION},
            {"type": "image", "base64": data, "mime_type": "image/png"},
        ]
    )
    with ChatNVCF(model=MODEL, **service) as model:
        return model.invoke([message]).text


def with_llamaindex(picture: Path, service: dict[str, Any]) -> str:
    message = ChatMessage(blocks=[TextBlock(text=QUESTION), ImageBlock(path=picture)])
    with NVCF(model=MODEL, **service) as llm:
        return llm.chat([message]).message.content or ""


if __name__ == "__main__":
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else LAKE
    with connection() as service:
        print("LangChain: ", with_langchain(picture, service), end="\n\n")
        print("LlamaIndex:", with_llamaindex(picture, service))
