"""Forks: the child works with connections and assets of its own, and leaves its parent's alone."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nvcf_core.locks import Lock
from nvcf_emulator import Emulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here"),
]


def in_child(work: Callable[[], None]) -> None:
    """Run `work` in a forked child; fail if it fails there, or hangs."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            threading.Timer(10, os._exit, [3]).start()
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_child_asks_and_the_parent_goes_on(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()
    assert "first" in asked.complete(asked.messages("first", None))

    def child() -> None:
        assert "sync child" in asked.complete(asked.messages("sync child", None))
        text = asyncio.run(asked.acomplete(asked.messages("async child", None)))
        assert "async child" in text
        asked.model.close()

    in_child(child)
    assert "parent" in asked.complete(asked.messages("parent", None))
    assert nvcf_emulator.open_connections == 1, "the parent's connection is still the same"
    asked.model.close()


def test_a_child_deletes_its_own_assets_and_none_of_its_parents(
    face: Any, nvcf_emulator: Emulator, large_picture: bytes
) -> None:
    asked = face()
    asked.complete(asked.messages("parent", large_picture))
    (parents,) = nvcf_emulator.assets

    def child() -> None:
        asked.complete(asked.messages("child", large_picture))
        asked.model.close()

    in_child(child)
    states = {asset_id: asset.state for asset_id, asset in nvcf_emulator.assets.items()}
    assert states.pop(parents) == "stored"
    assert list(states.values()) == ["deleted"]
    asked.complete(asked.messages("parent again", large_picture))
    assert sum(request.place == "put" for request in nvcf_emulator.requests) == 2
    asked.model.close()
    assert {asset.state for asset in nvcf_emulator.assets.values()} == {"deleted"}


async def test_a_child_of_a_running_loop(face: Any) -> None:
    asked = face()
    assert "first" in await asked.acomplete(asked.messages("first", None))

    def child() -> None:
        texts: list[str] = []

        def run() -> None:
            texts.append(asyncio.run(asked.acomplete(asked.messages("child", None))))

        # The child has inherited a running loop, so its own needs a thread.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert "child" in texts[0]

    in_child(child)
    assert "parent" in await asked.acomplete(asked.messages("parent", None))
    await asked.model.aclose()


def test_a_child_forked_while_a_thread_held_a_lock() -> None:
    """The thread does not exist in the child, and would hold it there for ever."""
    lock, held, free = Lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def child() -> None:
        with lock:
            pass

    in_child(child)
    free.set()
    thread.join()


def _ask(face: Any, number: int, results: Any) -> None:
    results.put(face.complete(face.messages(f"worker {number}", None)))


def test_multiprocessing(face: Any) -> None:
    asked = face()
    assert asked.complete(asked.messages("first", None))
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    workers = [fork.Process(target=_ask, args=(asked, number, results)) for number in range(3)]
    for worker in workers:
        worker.start()
    texts = [results.get(timeout=10) for _ in workers]
    for worker in workers:
        worker.join(timeout=10)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(n for n in range(3) if any(f"worker {n}" in text for text in texts)) == [0, 1, 2]
    asked.model.close()
