"""A spoken sentence, heard through both frameworks: as WAV, and as MP3.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]"
"""

import base64
import sys
from pathlib import Path
from typing import Any

from _service import connection
from langchain_core.messages import HumanMessage
from llama_index.core.llms import AudioBlock, ChatMessage, TextBlock

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

SPOKEN = Path(__file__).parent / "media"
MODEL = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
QUESTION = "Write down what is said."


def with_langchain(sound: Path, service: dict[str, Any]) -> str:
    data = base64.b64encode(sound.read_bytes()).decode()
    message = HumanMessage(
        [
            {"type": "text", "text": QUESTION},
            {"type": "audio", "base64": data, "mime_type": "audio/wav"},
        ]
    )
    with ChatNVCF(model=MODEL, **service) as model:
        return model.invoke([message]).text


def with_llamaindex(sound: Path, service: dict[str, Any]) -> str:
    message = ChatMessage(blocks=[TextBlock(text=QUESTION), AudioBlock(path=sound)])
    with NVCF(model=MODEL, **service) as llm:
        return llm.chat([message]).message.content or ""


if __name__ == "__main__":
    sounds = [Path(name) for name in sys.argv[1:]] or [SPOKEN / "lake.wav", SPOKEN / "lake.mp3"]
    with connection() as service:
        print("LangChain: ", with_langchain(sounds[0], service), end="\n\n")
        print("LlamaIndex:", with_llamaindex(sounds[-1], service))
