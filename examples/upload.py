"""A large file, uploaded in constant memory with a progress bar, and asked about through both frameworks.

Needs: pip install "nvcf-adapters[langchain,llamaindex,emulator]" rich
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _service import connection
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, TextBlock
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF

LAKE = Path(__file__).parent / "media" / "lake.mp4"
MODEL = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
QUESTION = "What happens in this film?"


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """What `upload` takes as `progress`: told (bytes sent, bytes in all)."""
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(title)
        yield lambda sent, total: progress.update(task, completed=sent, total=total)


def long_film(folder: str) -> Path:
    """The lake's film with 100 MB of padding, which players skip: a large file without a large download."""
    film, padding = Path(folder) / "long.mp4", 100_000_000
    with film.open("wb") as file:
        file.write(LAKE.read_bytes() + (padding + 8).to_bytes(4, "big") + b"free")
        file.truncate(file.tell() + padding)
    return film


def with_langchain(film: Path, service: dict[str, Any]) -> str:
    with ChatNVCF(model=MODEL, **service) as model:
        with bar("LangChain ") as progress:
            video = model.upload(film, progress=progress)
        return model.invoke([HumanMessage([{"type": "text", "text": QUESTION}, video])]).text


def with_llamaindex(film: Path, service: dict[str, Any]) -> str:
    with NVCF(model=MODEL, **service) as llm:
        with bar("LlamaIndex") as progress:
            video = llm.upload(film, progress=progress)
        message = ChatMessage(blocks=[TextBlock(text=QUESTION), video])
        return llm.chat([message]).message.content or ""


if __name__ == "__main__":
    with connection() as service, tempfile.TemporaryDirectory() as folder:
        film = Path(sys.argv[1]) if len(sys.argv) > 1 else long_film(folder)
        print(with_langchain(film, service), end="\n\n")
        print(with_llamaindex(film, service))
