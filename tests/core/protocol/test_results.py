"""Large results behind a redirect."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any


async def test_a_large_result_behind_a_redirect(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.accept(polls=1, redirect=True)
    server.reply(text="large")
    assert (await ask(adapter(), [say("hi")])).text == "large"
    assert "authorization" not in server.requests[-1].headers


async def test_a_stream_behind_a_redirect(
    ask: Any, adapter: Any, server: Any, say: Any, saying: Any
) -> None:
    event = {"id": "c", "choices": [{"delta": {"content": "far"}, "finish_reason": "stop"}]}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("r.response", f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")
    with saying(archive.getvalue()) as (url, received):
        server.raw(status=302, headers={"location": url})
        assert (await ask(adapter(), [say("hi")])).text == "far"
    assert "authorization" not in received[0]
