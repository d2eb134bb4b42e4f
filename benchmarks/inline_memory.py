"""Sends a large medium inline, given as base64 text: how much it adds to the peak memory, against the body's size."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

from storing import server

_MEGABYTE = 1_000_000
_GOAL = 1.2
_WAYS = (
    "langchain base64",
    "langchain image_url",
    "llamaindex bytes",
    "llamaindex url",
)


def _block(way: str, text: str) -> Any:
    """A medium in a framework's own form. The user's, and so not counted."""
    url = f"data:image/jpeg;base64,{text}"
    if way == "langchain base64":
        return {"type": "image", "base64": text, "mime_type": "image/jpeg"}
    if way == "langchain image_url":
        return {"type": "image_url", "image_url": {"url": url}}
    from llama_index.core.llms import ImageBlock

    if way == "llamaindex bytes":
        return ImageBlock.model_construct(image=text.encode(), image_mimetype="image/jpeg")
    return ImageBlock(url=url)


def _asking(way: str, colour: str, root: str, block: Any) -> Callable[[], object]:
    """A call that sends the block, its message made already."""
    settings: dict[str, Any] = {"model": "acme/any", "base_url": f"{root}/v1", "api_key": "none"}
    if way.startswith("langchain"):
        from langchain_core.messages import HumanMessage

        from langchain_nvcf import ChatNVCF

        chat, asked = ChatNVCF(**settings), [HumanMessage([block])]
        if colour == "sync":
            return lambda: chat.invoke(asked)
        return lambda: asyncio.run(chat.ainvoke(asked))
    from llama_index.core.llms import ChatMessage

    from llamaindex_nvcf import NVCF

    llm, said = NVCF(**settings), [ChatMessage(blocks=[block])]
    if colour == "sync":
        return lambda: llm.chat(said)
    return lambda: asyncio.run(llm.achat(said))


class _Resident:
    """The most memory that the process holds meanwhile, as the system counts it."""

    def __init__(self) -> None:
        self.most = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _now(self) -> int:
        with open("/proc/self/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def _watch(self) -> None:
        while not self._done.wait(0.001):
            self.most = max(self.most, self._now())

    def __enter__(self) -> _Resident:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def _measure(way: str, colour: str, root: str, megabytes: int) -> dict[str, float]:
    """One call in this process, after one with a small medium that loads and connects what there is."""
    _asking(way, colour, root, _block(way, "/9j/" * 1_000))()
    text = "/9j/" * (megabytes * _MEGABYTE // 4)
    block = _block(way, text)
    del text
    ask = _asking(way, colour, root, block)
    with _Resident() as resident:
        before = resident.most
        ask()
    tracemalloc.start()
    ask()
    traced = tracemalloc.get_traced_memory()[1]
    return {"resident": (resident.most - before) / _MEGABYTE, "traced": traced / _MEGABYTE}


def _in_a_process(way: str, colour: str, root: str, megabytes: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", way, colour, root]
    done = subprocess.run(
        [*command, "--megabytes", str(megabytes)], capture_output=True, text=True, check=True
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _compare(root: str, megabytes: int) -> bool:
    """Measure each way, print a table, and return whether the goal is met."""
    print(
        f"{megabytes} MB of base64 in one message; what the call adds to the memory at its peak\n"
    )
    print(f"{'':28}{'resident':>10}{'by Python':>11}{'of body':>9}")
    good = True
    for way in _WAYS:
        for colour in ("sync", "async"):
            added = _in_a_process(way, colour, root, megabytes)
            share = max(added.values()) / megabytes
            good = good and share <= _GOAL
            figures = f"{added['resident']:>7.1f} MB{added['traced']:>8.1f} MB{share:>9.2f}"
            print(f"{way:21}{colour:7}{figures}")
    print(f"\nGoal: at most {_GOAL} of the body:", "met" if good else "MISSED")
    return good


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=64, help="size of the base64 text (64)")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        way, colour, root = given.measure
        print(json.dumps(_measure(way, colour, root, given.megabytes)))
        return 0
    with server() as root:
        return 0 if _compare(root, given.megabytes) else 1


if __name__ == "__main__":
    sys.exit(main())
