"""What one client uploaded: used again, waited for, deleted at the end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nvcf_core.errors import (
    NVCFWarning,
)


async def test_an_upload_is_used_again_and_deleted_at_the_end(
    ask: Any, adapter: Any, server: Any, say: Any, large: Any
) -> None:
    model = adapter()
    for _ in range(2):
        await ask(model, [say("look", large())])
    methods = [(request.method, request.path.rpartition("/")[2][:6]) for request in server.requests]
    assert [method for method, _ in methods] == ["POST", "PUT", "POST", "POST"]
    await model.aclose()
    assert server.requests[-1].method == "DELETE"
    await ask(model, [say("look", large())])
    assert [request.method for request in server.requests[-3:]] == ["POST", "PUT", "POST"]
    model.close()
    assert server.requests[-1].method == "DELETE"


async def test_calls_side_by_side_upload_once(
    adapter: Any, server: Any, say: Any, large: Any
) -> None:
    model = adapter()
    calls = [model._build_request([say("look", large())], {}, stream=False) for _ in range(4)]
    await asyncio.gather(*(model._client.acomplete(call) for call in calls))
    assert [request.method for request in server.requests].count("PUT") == 1
    threads = [threading.Thread(target=model._client.complete, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [request.method for request in server.requests].count("PUT") == 1
    await model.aclose()


async def test_threads_wait_for_one_upload(adapter: Any, server: Any, say: Any, large: Any) -> None:
    model = adapter()
    calls = [model._build_request([say("look", large())], {}, stream=False) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(model._client.complete, call) for call in calls))
    assert [request.method for request in server.requests].count("PUT") == 1


async def test_assets_that_could_not_be_deleted_are_named(
    adapter: Any, server: Any, say: Any, large: Any
) -> None:
    model = adapter()
    model._client.complete(model._build_request([say("look", large())], {}, stream=False))
    server.fail(403, on="delete", times=2)
    named = "could not delete uploaded assets; the service deletes them after 24 hours.*asset"
    with pytest.warns(NVCFWarning, match=named):
        model.close()
    with pytest.warns(NVCFWarning, match=named):
        await model.aclose()
    model.close()
    assert [request.method for request in server.requests[-3:]] == ["DELETE"] * 3
