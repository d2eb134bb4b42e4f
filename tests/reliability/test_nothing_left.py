"""Nothing is left behind: no descriptor, no task, no warning, however loops are made and ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nvcf_core
from nvcf_emulator import Emulator

ROOT = Path(nvcf_core.__file__).parents[1]

BEGIN = """
import asyncio, gc, os, sys, threading, warnings
from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
base_url, nvcf_url, key = sys.argv[1:]
settings = dict(model="moonshotai/kimi-k2.6", base_url=base_url, nvcf_url=nvcf_url, api_key=key)

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def quiet(loop, context):
    raise SystemExit(f"the loop was told: {context}")
"""

SCRIPTS = {
    "asyncio.run": """
        async def main():
            model, llm = ChatNVCF(**settings), NVCF(**settings)
            await asyncio.gather(*(model.ainvoke("hi") for _ in range(20)))
            await asyncio.gather(*(llm.acomplete("hi") for _ in range(20)))
            stream = model.astream("hi")
            await anext(stream)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
        asyncio.run(main())
        before = descriptors()
        asyncio.run(main())
        gc.collect()
        assert descriptors() <= before, (before, descriptors())
    """,
    "one model, many loops": """
        model = ChatNVCF(**settings)
        def once():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(asyncio.wait_for(model.ainvoke("hi"), 20))
            loop.close()
        once()
        before = descriptors()
        for _ in range(60):
            once()
        assert descriptors() <= before + 3, (before, descriptors())
        model.close()
    """,
    "a model for each loop": """
        def once():
            model = ChatNVCF(**settings)
            loop = asyncio.new_event_loop()
            loop.run_until_complete(model.ainvoke("hi"))
            loop.close()
        once()
        gc.collect()
        before = descriptors()
        for _ in range(20):
            once()
        gc.collect()
        assert descriptors() <= before, (before, descriptors())
    """,
    "nest_asyncio": """
        import nest_asyncio
        nest_asyncio.apply()
        async def main():
            model = ChatNVCF(**settings)
            await model.ainvoke("hi")
            asyncio.get_running_loop().run_until_complete(model.ainvoke("nested"))
        asyncio.run(main())
        gc.collect()
    """,
    "threads": """
        model = ChatNVCF(**settings)
        def work():
            model.invoke("hi")
            asyncio.run(model.ainvoke("hi"))
        def many():
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        many()
        before = descriptors()
        for _ in range(3): many()
        gc.collect()
        assert descriptors() <= before + 8, (before, descriptors())
        model.close()
        assert threading.active_count() == 1, threading.enumerate()
    """,
    "an exception in a callback": """
        model = ChatNVCF(**settings)
        class Wrong(Exception): pass
        def wrong(sent, total): raise Wrong
        image = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(300_000)
        import io
        async def main():
            try:
                await model.aupload(io.BytesIO(image), "image/png", progress=wrong)
            except Wrong:
                pass
            else:
                raise SystemExit("it was swallowed")
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
            assert (await model.ainvoke("hi")).text
            await model.aclose()
        asyncio.run(main())
        gc.collect()
    """,
}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it counts descriptors")
@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_is_left(name: str, nvcf_emulator: Emulator) -> None:
    server = nvcf_emulator
    script = BEGIN + textwrap.dedent(SCRIPTS[name])
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-W", "ignore::DeprecationWarning",
               "-c", script, server.base_url, server.nvcf_url, server.api_key]  # fmt: skip
    path = os.pathsep.join((str(ROOT.parent), str(ROOT), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "nvcf" in line or "Warning" in line]
    assert "Traceback" not in done.stderr, done.stderr
    assert not [line for line in said if "ResourceWarning" in line], done.stderr
    assert server.wait_until(lambda: server.open_connections == 0, 5.0)


async def test_a_loop_has_no_task_of_ours(nvcf_emulator: Emulator) -> None:
    before = asyncio.all_tasks()
    async with nvcf_core.BaseNVCF(
        model="moonshotai/kimi-k2.6",
        base_url=nvcf_emulator.base_url,
        nvcf_url=nvcf_emulator.nvcf_url,
        api_key=nvcf_emulator.api_key,
    ) as model:
        message = nvcf_core.Message(role="user", parts=("hi",))
        request = model._build_request([message], {}, stream=False)
        await asyncio.gather(*(model._client.acomplete(request) for _ in range(10)))
        assert asyncio.all_tasks() == before
    assert asyncio.all_tasks() == before
