"""Locks that are free in a forked child, whatever the parent's threads were doing."""

from __future__ import annotations

import os
import threading

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


def test_locks_are_renewed() -> None:
    lock = Lock()
    lock.__enter__()
    locks._renew_all()
    with lock:
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_child_does_not_wait_for_its_parents_threads() -> None:
    lock = Lock()
    with lock:
        child = os.fork()
        if child == 0:
            with lock:
                os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
