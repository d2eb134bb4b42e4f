"""A Ray cluster of this process, its workers, and runs in other processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.cluster_utils import Cluster

__all__ = ["private_bytes", "ray_cluster", "start_run", "workers"]

_STORE_BYTES = 100 << 20

_RUN = """
import json, sys
import nvcf_batch

if __name__ == "__main__":
    print(nvcf_batch.run(**json.loads(sys.argv[1]), progress=False), flush=True)
"""


@contextmanager
def ray_cluster(nodes: int) -> Iterator[Cluster]:
    """A cluster of a head, which has no processors, and nodes of one each. It has the environment of this process."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": False,
        },
    )
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def start_run(**keywords: Any) -> subprocess.Popen[str]:
    """A run in another process, which prints its report."""
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, json.dumps(keywords)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers(root: int | None = None) -> list[int]:
    """The processes of the actors that ask, among those that a process started, directly or not.

    Args:
        root: that process; None: this one.
    """
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
    parents = {int(pid): int(parent) for pid, parent, *_ in lines}
    top = os.getpid() if root is None else root

    def belongs(pid: int) -> bool:
        while pid in parents and pid != top:
            pid = parents[pid]
        return pid == top

    return [int(line[0]) for line in lines if "MapWorker" in line[-1] and belongs(int(line[0]))]


def private_bytes(pid: int) -> int:
    """Bytes of a process that it shares with no other; 0 where it has ended. Ray's object store is shared."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            found = re.findall(r"^Private_\w+:\s+(\d+) kB", file.read(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, found)) * 1024
