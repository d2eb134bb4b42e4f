"""Connection pools: one for each event loop, closed in the end."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from typing import Any

import pytest

from nvcf_core.transport.clients import ClientConfig
from nvcf_core.transport.pools import AsyncPools, SyncPool

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


async def test_a_loop_has_one_pool() -> None:
    pools = AsyncPools(ClientConfig())
    first = await pools.open()
    assert await pools.open() is first
    await pools.aclose()
    assert await pools.open() is not first
    await pools.aclose()


def test_synchronous_calls_have_one_pool() -> None:
    pool = SyncPool(ClientConfig())
    first = pool.open()
    assert pool.open() is first
    pool.close()
    assert pool.open() is not first
    pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_has_pools_of_its_own() -> None:
    pool = SyncPool(ClientConfig())
    first = pool.open()
    child = os.fork()
    if child == 0:
        own = pool.open()
        os._exit(0 if own is not first and pool.open() is own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.open() is first
    pool.close()


class HTTP:
    """A client that notes what becomes of it."""

    def __init__(self, owned: bool) -> None:
        self.owned, self.told = owned, list[str]()

    def drop(self) -> None:
        self.told.append("dropped")

    async def aclose(self) -> None:
        self.told.append("closed")


class Config:
    """Makes them."""

    def __init__(self, owned: bool) -> None:
        self.owned = owned

    async def async_client(self) -> HTTP:
        return HTTP(self.owned)


@pytest.mark.parametrize("owned", [True, False])
async def test_only_our_own_clients_are_closed(owned: bool) -> None:
    config: Any = Config(owned)
    pools = AsyncPools(config)
    closed: Any = await pools.open()
    await pools.aclose()
    assert closed.told[:1] == (["closed"] if owned else [])
    dropped: Any = await pools.open()
    pools.close()
    assert dropped.told[:1] == (["dropped"] if owned else [])
    await asyncio.sleep(0)
