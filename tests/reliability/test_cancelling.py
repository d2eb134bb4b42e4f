"""Cancelling at any await loses nothing: no slot of `max_connections`, no socket, no task, no uploaded asset."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from nvcf_emulator import Emulator

POINTS = 60
"""Turns of the loop after which a call is cancelled."""


def _polled(server: Emulator) -> None:
    server.accept(polls=2)


CONVERSATIONS: dict[str, Callable[[Emulator], None]] = {
    "asked": lambda _: None,
    "polled": _polled,
    "uploading": lambda _: None,
}


@pytest.mark.parametrize("colour", ["async"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
async def test_cancelling_at_any_await(
    way: Any, nvcf_emulator: Emulator, conversation: str, large_picture: bytes
) -> None:
    server = nvcf_emulator
    server.reply(text=["one ", "two ", "three"], times=10_000)
    asked = way(max_connections=2, timeout=10)
    tasks = asyncio.all_tasks()
    for turns in range(POINTS):
        CONVERSATIONS[conversation](server)
        picture = large_picture + bytes([turns]) if conversation == "uploading" else None
        call = asyncio.ensure_future(asked.ask(picture=picture))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
    async with asyncio.timeout(20):
        server.forget_replies()
        server.reply(text="still here", times=POINTS + 3)  # Some may go to those who left.
        answers = await asyncio.gather(*(asked.ask() for _ in range(3)))
    assert answers == ["still here"] * 3
    await asked.close()
    assert await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0, 5.0)
    for _ in range(3):
        await asyncio.sleep(
            0
        )  # What is closed by the garbage collector, closes in tasks of its own.
    assert asyncio.all_tasks() == tasks
    # Of an asset whose creation was never answered the client does not know the id.
    assert {asset.state for asset in server.assets.values()} <= {"deleted", "created"}
