"""Connection pools: one for each event loop, closed in the end."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

KIMI = "moonshotai/kimi-k2.6"


async def test_a_pool_belongs_to_its_loop(adapter: Any, server: Any, say: Any) -> None:
    model = adapter()

    def in_a_loop_of_its_own() -> str:
        call = model._build_request([say("hi")], {}, stream=False)
        return asyncio.run(model._client.acomplete(call)).text

    server.reply(text="ok", times=4)
    texts = [await asyncio.to_thread(in_a_loop_of_its_own) for _ in range(3)]
    call = model._build_request([say("hi")], {}, stream=False)
    texts.append((await model._client.acomplete(call)).text)
    assert texts == ["ok"] * 4
    assert server.open_connections == 1  # Those of the loops that ended are closed.
    model.close()  # From outside a coroutine's own task: the loop closes its pool by itself.
    async with asyncio.timeout(5):
        while server.open_connections:
            await asyncio.sleep(0.01)


def test_a_client_that_is_collected_closes_its_pool(adapter: Any, server: Any, say: Any) -> None:
    from nvcf_core import BaseNVCF

    model = BaseNVCF(
        model=KIMI, base_url=server.base_url, nvcf_url=server.nvcf_url, api_key=server.api_key
    )
    model._client.complete(model._build_request([say("hi")], {}, stream=False))
    assert server.open_connections == 1
    del model
    gc.collect()
    deadline = time.monotonic() + 5
    while server.open_connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)
