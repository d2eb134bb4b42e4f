"""Batches on a cluster of several nodes, one of which is lost, and then the driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.batch.trials.processes import ray_cluster, start_run, workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # Ray's own, of its sockets, files and interpreters.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def raylet_of(node: Any) -> int:
    """The process of a node that starts the others."""
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def test_a_lost_node_and_a_lost_driver(
    bench: Any, monkeypatch: pytest.MonkeyPatch, written_ids: Callable[[Path], list[int]]
) -> None:
    """A node of one processor has room for a worker, which has the key of its own environment, and others take over."""
    rows, concurrency = 400, 8
    bench.server.reply("Well.", delay=0.1, times=None)
    monkeypatch.setenv("NVIDIA_API_KEY", bench.server.api_key)
    with ray_cluster(nodes=2) as cluster:
        given = {
            "source": str(bench.source(rows)),
            "output": str(bench.output),
            "model": "moonshotai/kimi-k2.6",
            "prompt": "text",
            "key": "id",
            "concurrency": concurrency,
            "requests_per_minute": 100_000,
            "settings": {"base_url": bench.server.base_url, "nvcf_url": bench.server.nvcf_url},
            "address": cluster.address,
        }
        running = start_run(**given)
        try:
            assert bench.server.wait_until(lambda: len(bench.server.chats) >= 60, 200)
            lost = next(node for node in cluster.worker_nodes if workers(raylet_of(node)))
            cluster.remove_node(lost, allow_graceful=False)
            # More than was in flight when it was lost: others have taken over.
            asked = len(bench.server.chats) + 4 * concurrency
            assert bench.server.wait_until(lambda: len(bench.server.chats) >= asked, 200)
            running.kill()
            running.communicate()
            written, before = set(written_ids(bench.output)), len(bench.server.chats)
            assert written
            running = start_run(**given)
            printed, complaints = running.communicate(timeout=200)
        finally:
            running.kill()
            running.communicate()
    assert f"rows={rows}," in printed, complaints
    assert "failed=0," in printed
    assert sorted(written_ids(bench.output)) == list(range(rows))
    assert not written & bench.asked(before).keys()
    assert sum(bench.asked().values()) <= rows + 2 * 2 * concurrency
