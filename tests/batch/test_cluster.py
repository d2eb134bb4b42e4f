"""Batches on Ray, with two workers: the same rows, whoever is killed, and one limit for all."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.data
from pydantic import BaseModel

import nvcf_batch
from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_batch.asker import AskerConfig
from nvcf_batch.cluster_limiter import STATE_FILE
from nvcf_cli import samples
from nvcf_core import RequestLimiter
from nvcf_core.errors import InvalidRequestError
from nvcf_core.transport.limits.sliding_window import SlidingWindow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # Ray's own, of its sockets, files and interpreters.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

MB = 1 << 20


class City(BaseModel):
    name: str
    people: int | None


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(
        "local",
        num_cpus=1,  # For what reads the source; those that ask need none.
        object_store_memory=100 * MB,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


def workers() -> list[int]:
    """The processes of the actors that ask."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
    mine = str(os.getpid())
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()]
    parents = {pid: parent for pid, parent, *_ in lines}

    def is_mine(pid: str) -> bool:
        while pid in parents and pid != mine:
            pid = parents[pid]
        return pid == mine

    return [int(line[0]) for line in lines if "MapWorker" in line[-1] and is_mine(line[0])]


def test_a_run_and_a_second_one(cluster: None, bench: Any) -> None:
    source = bench.source(150)
    first = bench.run(source, local=False)
    assert (first.rows, first.answered, first.failed, first.skipped) == (150, 150, 0, 0)
    second = bench.run(source, local=False)
    assert (second.rows, second.answered, second.skipped) == (150, 0, 150)
    assert bench.asked() == dict.fromkeys(range(150), 1)
    assert [row["id"] for row in bench.rows()] == list(range(150))
    # The same rows without Ray: they are known.
    assert bench.run(source).skipped == 150


def test_a_dataset_with_a_key_and_a_limit(cluster: None, bench: Any) -> None:
    dataset = ray.data.from_items([{"id": n, "text": f"row {n}."} for n in range(40)])
    report = bench.run(dataset, local=False, key="id", requests_per_minute=30_000, actors=1)
    assert report.answered == 40
    assert (bench.output / STATE_FILE).exists()
    assert bench.run(dataset, local=False, key="id", actors=1).skipped == 40


def test_errors_that_end_a_run_come_as_they_are(cluster: None, bench: Any) -> None:
    with pytest.raises(InvalidRequestError, match="'txt'"):
        bench.run(bench.source(3), local=False, prompt="{txt}")
    settings = {"base_url": None, "nvcf_url": None, "api_key": None}
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY") as caught:
        bench.run(bench.source(3), local=False, settings=settings, actors=1)
    assert caught.value.field == "api_key"
    assert not bench.server.requests


def test_an_output_that_cannot_be_written_any_more_ends_the_run(
    cluster: None, bench: Any, written_ids: Callable[[Path], list[int]]
) -> None:
    bench.server.reply("Well.", delay=0.05, times=None)

    def spoil() -> None:
        bench.server.wait_until(lambda: list(bench.output.glob("*.parquet")), 120)
        bench.output.rename(bench.folder / "before")
        bench.output.write_text("a file in its place")

    spoiling = threading.Thread(target=spoil)
    spoiling.start()
    with pytest.raises(OSError, match=str(bench.output)):
        bench.run(bench.source(2_000), local=False, concurrency=8)
    spoiling.join()
    written = written_ids(bench.folder / "before")
    assert len(written) == len(set(written)) >= len(bench.server.chats) - 2 * 8


def test_an_output_that_workers_do_not_share_with_the_driver_is_refused(
    cluster: None, bench: Any
) -> None:
    with pytest.raises(InvalidRequestError, match="all nodes share"):
        bench.run(
            bench.source(3), local=False, output=f"memory://batch-{os.getpid()}/out", actors=1
        )
    assert not bench.server.requests


def test_a_block_may_take_longer_than_ray_gives_it(
    cluster: None, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ray.data.DataContext.get_current()
    monkeypatch.setattr(context, "execution_no_progress_timeout_s", 1)
    dataset = ray.data.from_items([{"id": n, "text": f"row {n}."} for n in range(4)])
    bench.server.reply("Late.", delay=4.0, times=None)
    assert bench.run(dataset, local=False, actors=1).answered == 4
    assert dataset.context.execution_no_progress_timeout_s == 1, "the dataset is its owner's"
    assert dataset.context.enable_progress_bars == context.enable_progress_bars


def test_a_killed_worker(
    cluster: None, bench: Any, written_ids: Callable[[Path], list[int]]
) -> None:
    """Rows are known by all that they hold; where a node is lost, they have a key (see test_nodes)."""
    rows, concurrency = 400, 8
    source = bench.source(rows)
    killed: list[int] = []

    async def go_on() -> Any:
        running = asyncio.create_task(
            asyncio.to_thread(bench.run, source, local=False, concurrency=concurrency)
        )
        for wanted in (40, 160):
            while len(bench.server.chats) < wanted:
                assert not running.done()
                await asyncio.sleep(0.02)
            victim = workers()[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
        return await running

    report = asyncio.run(go_on())
    assert len(killed) == 2
    assert (report.rows, report.answered, report.failed) == (rows, rows, 0)
    assert sorted(written_ids(bench.output)) == list(range(rows))
    assert sum(bench.asked().values()) <= rows + 2 * 2 * concurrency


def test_a_text_key_shows_in_nothing_that_travels_but_its_own_field(bench: Any) -> None:
    key = bench.server.api_key
    config = AskerConfig.of("moonshotai/kimi-k2.6", bench.settings)
    assert key not in repr(config)
    assert key not in repr(pickle.loads(pickle.dumps(config)))
    assert key not in pickle.dumps(replace(config, key=None)).decode(errors="replace")
    assert config.make().api_key.get_secret_value() == key


@pytest.mark.parametrize("model", [ChatNVCF, NVCF])
def test_models_travel_to_workers_and_read_the_key_there(
    cluster: None, bench: Any, model: Any
) -> None:
    made = model(model="moonshotai/kimi-k2.6", **bench.settings)
    assert bench.server.api_key not in pickle.dumps(made).decode(errors="replace")

    @ray.remote(num_cpus=0)
    def ask(travelled: Any) -> str:
        if isinstance(travelled, ChatNVCF):
            return str(travelled.invoke("row 1.").text)
        return str(travelled.complete("row 1."))

    bench.server.reply("Well.", times=1)
    there = {"env_vars": {"NVIDIA_API_KEY": bench.server.api_key}}
    assert ray.get(ask.options(runtime_env=there).remote(made)) == "Well."
    with pytest.raises(ray.exceptions.RayTaskError, match="NVIDIA_API_KEY"):
        ray.get(ask.remote(made))
    with_key, without = bench.server.chats
    assert with_key.headers["authorization"] == f"Bearer {bench.server.api_key}"
    assert "authorization" not in without.headers


def test_messages_media_and_objects_on_ray(cluster: None, bench: Any) -> None:
    def answer(request: Any) -> Any:
        city = {"name": request.user, "people": None}
        return {"text": json.dumps(city), "reasoning": "It is a city."}

    bench.server.reply(answer, times=None)
    rows = [
        {"id": n, "talk": [{"role": "system", "content": "Be brief."}], "text": f"row {n}.", "image": samples.IMAGE}
        for n in range(3)
    ]  # fmt: skip
    report = bench.run(
        ray.data.from_items(rows), local=False, model="nvidia/nemotron-3-nano-omni-30b-a3b-reasoning",
        messages="talk", image="image", schema=City, key="id",
    )  # fmt: skip
    assert report.answered == 3, bench.rows()
    for n, row in enumerate(bench.rows()):
        assert row["parsed"] == {"name": f"row {n}.", "people": None}
        assert row["reasoning"] == "It is a city."
    sent = bench.server.chats[0].body["messages"]
    assert sent[0]["role"] == "system"
    assert sent[-1]["content"][0]["type"] == "image_url"


def test_what_cannot_be_sent_to_workers_is_named(cluster: None, bench: Any) -> None:
    lock = threading.Lock()

    class Local(BaseModel):
        """Knows what is around it, the lock included."""

        name: str

    with pytest.raises(InvalidRequestError, match="top level of a module") as caught:
        bench.run(bench.source(1), local=False, schema=Local)
    assert caught.value.field == "schema"
    with pytest.raises(InvalidRequestError, match="cannot be sent to workers") as caught:
        bench.run(bench.source(1), local=False, settings={"api_key": lambda: str(lock)})
    assert caught.value.field == "settings"
    assert not bench.server.requests


@ray.remote
class Asker:
    """One of several processes that share a limiter."""

    def __init__(self, limiter: RequestLimiter) -> None:
        self.limiter = limiter

    def ask(self, count: int) -> list[float]:
        async def one() -> float:
            await self.limiter.acquire_async()
            return time.time()

        async def several() -> list[float]:
            return await asyncio.gather(*(one() for _ in range(count)))

        self.limiter.acquire()
        return [time.time(), *asyncio.run(several())]


def test_one_limit_for_the_whole_cluster(cluster: None) -> None:
    limiter = nvcf_batch.ClusterLimiter(10, window=2.0)
    assert isinstance(limiter, RequestLimiter)
    askers = [Asker.options(num_cpus=0).remote(limiter) for _ in range(4)]
    times = sorted(at for part in ray.get([asker.ask.remote(6) for asker in askers]) for at in part)
    assert len(times) == 28
    # What is noted came a little after the permit, by a time that differs.
    assert max(sum(start <= at < start + 1.5 for at in times) for start in times) <= 10
    assert times[-1] - times[0] > 2 * 2.0 * 0.9


def test_a_429_slows_the_cluster_down(cluster: None) -> None:
    limiter = nvcf_batch.ClusterLimiter(4, window=60.0)
    other = pickle.loads(pickle.dumps(limiter))

    async def asking() -> None:
        limiter.feedback(429, None)
        await other.acquire_async()
        await other.acquire_async()
        waiting = asyncio.ensure_future(other.acquire_async())
        assert not (await asyncio.wait([waiting], timeout=1.0))[0]
        for _ in range(10):
            other.feedback(200, None)
        await asyncio.wait_for(waiting, 40)

    asyncio.run(asking())


def test_who_waits_learns_that_the_cluster_is_slowed_down_and_tells_of_its_successes(
    cluster: None,
) -> None:
    limiter = nvcf_batch.ClusterLimiter(4, window=60.0)
    other = pickle.loads(pickle.dumps(limiter))

    async def asking() -> None:
        await other.acquire_async()
        limiter.feedback(429, None)
        await limiter.acquire_async()  # The second of the two that are left.
        waiting = asyncio.ensure_future(other.acquire_async())
        async with asyncio.timeout(40):
            while not waiting.done():
                await asyncio.sleep(0.05)
                other.feedback(200, None)
        await waiting

    asyncio.run(asking())


def test_a_limiter_that_is_made_anew_counts_what_was_noted(cluster: None, tmp_path: Path) -> None:
    first = nvcf_batch.ClusterLimiter(3, state=str(tmp_path))
    for _ in range(3):
        first.acquire()
    second = nvcf_batch.ClusterLimiter(3, state=str(tmp_path))

    async def fourth() -> None:
        await asyncio.wait_for(second.acquire_async(), 2.0)

    with pytest.raises(TimeoutError):
        asyncio.run(fourth())


def test_a_request_that_goes_out_late_counts_from_then_on_for_the_cluster(
    cluster: None, tmp_path: Path
) -> None:
    limiter = nvcf_batch.ClusterLimiter(2, state=str(tmp_path))
    permit = limiter.acquire()
    other = pickle.loads(pickle.dumps(limiter))
    other.sent(time.monotonic())
    other.sent(permit - 30.0)

    async def second() -> None:
        await asyncio.wait_for(other.acquire_async(), 2.0)

    with pytest.raises(TimeoutError):
        asyncio.run(second())
    noted = SlidingWindow.load((tmp_path / STATE_FILE).read_text(), 60.0)
    assert sum(count for _, count in noted.used) == 2


def test_without_ray_it_says_so() -> None:
    code = "import nvcf_batch; nvcf_batch.ClusterLimiter(4)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ray.init" in ended.stderr
