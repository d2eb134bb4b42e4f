"""Locks that neither a forked child nor the garbage collector waits for in vain."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Generator

import pytest

from nvcf_core import locks
from nvcf_core.locks import Lock


def test_one_at_a_time() -> None:
    lock, inside, entered = Lock(), [], threading.Event()

    def enter() -> None:
        entered.set()
        with lock:
            inside.append("other")

    with lock:
        thread = threading.Thread(target=enter)
        thread.start()
        entered.wait()
        inside.append("first")
    thread.join()
    assert inside == ["first", "other"]


def test_what_the_collector_closes_may_take_a_lock_that_its_thread_holds() -> None:
    lock, noted = Lock(), []

    def call() -> Generator[None]:
        try:
            yield
        finally:
            with lock:
                noted.append("closed")

    def drop_a_call() -> None:
        ring: list[object] = [running := call()]
        ring.append(ring)  # Only the collector undoes that.
        next(running)

    drop_a_call()
    with lock:
        gc.collect()
        assert noted == ["closed"]


def test_locks_are_renewed() -> None:
    lock, renewed = Lock(), threading.Event()
    lock.__enter__()
    locks._renew_all()

    def enter() -> None:
        with lock:
            renewed.set()

    threading.Thread(target=enter, daemon=True).start()
    assert renewed.wait(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_child_does_not_wait_for_its_parents_threads() -> None:
    lock = Lock()
    with lock:
        child = os.fork()
        if child == 0:
            with lock:
                os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
