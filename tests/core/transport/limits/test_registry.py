"""What is shared by a key, and that keys which nobody asks for are forgotten."""

from __future__ import annotations

import itertools
import threading

from nvcf_core.transport.limits.registry import Registry


def test_one_value_for_each_key() -> None:
    registry: Registry[str, object] = Registry(object)
    assert registry.get("a") is registry.get("a")
    assert registry.get("a") is not registry.get("b")


def test_the_key_that_was_not_asked_for_the_longest_is_forgotten() -> None:
    numbers = itertools.count(1)
    registry: Registry[str, int] = Registry(lambda: next(numbers), most=2)
    assert [registry.get(key) for key in "abac"] == [1, 2, 1, 3]
    assert registry.get("a") == 1
    assert registry.get("b") == 4


def test_threads_that_ask_at_once_get_the_same() -> None:
    registry: Registry[str, object] = Registry(object)
    start, found = threading.Barrier(8), list[object]()

    def ask() -> None:
        start.wait()
        found.append(registry.get("a"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
