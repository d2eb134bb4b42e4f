"""Batches on a cluster of several nodes, one of which is lost."""

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


def test_a_lost_node(
    bench: Any, monkeypatch: pytest.MonkeyPatch, written_ids: Callable[[Path], list[int]]
) -> None:
    """A node of one processor has room for a worker, which has the key of its own environment, and others take over."""
    rows, concurrency = 400, 8
    bench.server.reply("Well.", delay=0.1, times=None)
    monkeypatch.setenv("NVIDIA_API_KEY", bench.server.api_key)
    with ray_cluster(nodes=2) as cluster:
        running = start_run(
            source=str(bench.source(rows)),
            output=str(bench.output),
            model="moonshotai/kimi-k2.6",
            prompt="text",
            concurrency=concurrency,
            requests_per_minute=100_000,
            settings={"base_url": bench.server.base_url, "nvcf_url": bench.server.nvcf_url},
            address=cluster.address,
        )
        try:
            assert bench.server.wait_until(lambda: len(bench.server.chats) >= 60, 200)
            lost = next(node for node in cluster.worker_nodes if workers(raylet_of(node)))
            cluster.remove_node(lost, allow_graceful=False)
            printed, complaints = running.communicate(timeout=200)
        finally:
            running.kill()
            running.communicate()
    assert f"rows={rows}, answered={rows}, failed=0" in printed, complaints
    assert sorted(written_ids(bench.output)) == list(range(rows))
    assert sum(bench.asked().values()) <= rows + 2 * concurrency
