"""A thousand streams at once on one loop: each one complete and right, in so much memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from nvcf_emulator import Emulator

STREAMS = {"core": 1_000, "langchain": 400, "llamaindex": 400}
"""The frameworks stream through the core. They have fewer here, to be quick; the same holds for a thousand."""
MOST_BYTES = 200_000
"""Bytes of memory that one open stream may take. Measured: 55,000 (core), 65,000 (LlamaIndex), 110,000 (LangChain)."""

# In a process of its own, so that the memory of the service is not counted.
CLIENT = textwrap.dedent(
    """
    import asyncio, json, os, sys, tracemalloc

    name, settings, streams = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    if name == "langchain":
        from langchain_nvcf import ChatNVCF as Model
        def ask(text): return model.astream(text)
        def text_of(piece): return piece.text
    elif name == "llamaindex":
        from llama_index.core.llms import ChatMessage
        from llamaindex_nvcf import NVCF as Model
        async def ask(text):
            async for piece in await model.astream_chat([ChatMessage(role="user", content=text)]):
                yield piece
        def text_of(piece): return piece.delta or ""
    else:
        from nvcf_core import BaseNVCF as Model, Message
        def ask(text):
            messages = [Message(role="user", parts=(text,))]
            return model._client.astream(model._build_request(messages, {}, stream=True))
        def text_of(piece): return piece.text

    model = Model(**settings)

    def memory():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def one(number, all_open):
        text = ""
        async for piece in ask(f"the word is zebra{number:05d}"):
            if not text and text_of(piece):
                await all_open.wait()
            text += text_of(piece)
        return text

    async def main():
        await one(0, asyncio.Barrier(1))  # What is made once is made.
        before = memory()
        all_open = asyncio.Barrier(streams + 1)
        tasks = [asyncio.create_task(one(number, all_open)) for number in range(streams)]
        await all_open.wait()
        used = memory() - before
        texts = await asyncio.gather(*tasks)
        right = sum(
            f"the word is zebra{number:05d}" in text and text.count("zebra") == 1
            for number, text in enumerate(texts)
        )
        print(json.dumps({"right": right, "bytes_each": used // streams}))
        await model.aclose()

    asyncio.run(main())
    """
)


@pytest.fixture
def _enough_files() -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_500:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("_enough_files")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("name", "streams"), STREAMS.items())
def test_a_thousand_streams(
    name: str, streams: int, nvcf_emulator: Emulator, settings: dict[str, Any]
) -> None:
    given = json.dumps({key: value for key, value in settings.items() if key != "verify"})
    command = [
        sys.executable,
        "-W",
        "error::ResourceWarning",
        "-c",
        CLIENT,
        name,
        given,
        str(streams),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    said = json.loads(done.stdout)
    print(f"{name}: {said['bytes_each']:,} bytes a stream")
    assert said["right"] == streams
    assert said["bytes_each"] < MOST_BYTES
    assert len(nvcf_emulator.chats) == streams + 1
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.open_connections == 0, 2.0)
