"""Answers that were accepted first and asked for later."""

from __future__ import annotations

from typing import Any


async def test_polls(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    told: list[float] = []
    server.accept(polls=2, percent=(25, 75))
    server.reply(text="late")
    assert (await ask(adapter(on_progress=told.append), [say("hi")])).text == "late"
    assert told == [25, 75]
