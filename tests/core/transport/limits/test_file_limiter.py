"""A limit shared through a file: by threads, event loops, processes, and those who are killed while they hold it."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nvcf_core import FileLimiter, RequestLimiter
from nvcf_core.errors import InvalidRequestError
from nvcf_core.transport.limits.sliding_window import SlidingWindow

WINDOW = 1.0

ASKING = """
import asyncio, sys
from nvcf_core import FileLimiter
from nvcf_core.transport.limits.sliding_window import SlidingWindow

grant = SlidingWindow.grant

def recorded(self, now, wanted, limit):
    granted, seconds = grant(self, now, wanted, limit)
    for _ in range(granted):
        print(now, flush=True)
    return granted, seconds

SlidingWindow.grant = recorded
limiter = FileLimiter(sys.argv[1], 10, window=1.0)

async def main():
    await asyncio.gather(*(limiter.acquire_async() for _ in range(5)))

for _ in range(3):
    limiter.acquire()
asyncio.run(main())
"""
"""What each process does. It prints when a permit was handed out, by the clock that decides: a busy machine may run
the caller much later."""

HOLDING = """
import sqlite3, sys, time
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
file.execute("UPDATE limiter SET state = 'half a state'")
print("held", flush=True)
time.sleep(60)
"""


def most_in_a_window(times: list[float]) -> int:
    return max(sum(start <= at < start + WINDOW for at in times) for start in times)


def used(path: Path) -> int:
    """Permits that the file says were handed out."""
    file = sqlite3.connect(path)
    try:
        (state,) = file.execute("SELECT state FROM limiter").fetchone()
    finally:
        file.close()
    return sum(count for _, count in SlidingWindow.load(state, WINDOW).used)


def test_it_is_a_limiter(tmp_path: Path) -> None:
    assert isinstance(FileLimiter(tmp_path / "limit", 40), RequestLimiter)


def test_four_processes_never_exceed_the_limit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ASKING, str(tmp_path / "limit")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    times = [float(line) for process in running for line in process.communicate()[0].split()]
    assert all(process.returncode == 0 for process in running)
    assert len(times) == 32
    assert most_in_a_window(times) <= 10
    assert max(times) - min(times) > 3 * WINDOW


def test_threads_and_event_loops_share_it(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "limit", 1_000)

    async def ask() -> None:
        await asyncio.gather(*(limiter.acquire_async() for _ in range(10)))

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(3)]
    threads += [threading.Thread(target=limiter.acquire) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used(tmp_path / "limit") == 35


def test_a_killed_holder_leaves_neither_its_lock_nor_half_a_state(tmp_path: Path) -> None:
    path = tmp_path / "limit"
    limiter = FileLimiter(path, 10, window=60)
    limiter.acquire()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    limiter.acquire()
    assert used(path) == 2


def test_who_is_cancelled_while_waiting_uses_nothing(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "limit", 1, window=60)

    async def leave() -> None:
        await limiter.acquire_async()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.acquire_async(), 0.05)

    asyncio.run(leave())
    assert used(tmp_path / "limit") == 1


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_request_that_goes_out_long_after_its_permit_counts_from_then_on(
    tmp_path: Path, asynchronous: bool
) -> None:
    limiter = FileLimiter(tmp_path / "limit", 3, window=WINDOW)
    permit = asyncio.run(limiter.acquire_async()) if asynchronous else limiter.acquire()
    limiter.sent(permit + 10 * WINDOW)  # As if no time had passed since it was handed out.
    assert used(tmp_path / "limit") == 1
    limiter.sent(permit - WINDOW / 2)
    assert used(tmp_path / "limit") == 2


def test_a_429_slows_every_process_down(tmp_path: Path) -> None:
    one, other = (FileLimiter(tmp_path / "limit", 4, window=60) for _ in range(2))
    one.feedback(429, None)
    other.acquire()
    other.acquire()

    async def third() -> None:
        await asyncio.wait_for(other.acquire_async(), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(third())
    for _ in range(10):
        other.feedback(200, None)
    other.acquire()
    other.acquire()


def test_who_waits_while_it_is_slow_need_not_wait_for_the_whole_window(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "limit", 4, window=60)
    limiter.feedback(429, None)

    async def third() -> None:
        await limiter.acquire_async()
        await limiter.acquire_async()
        waiting = asyncio.ensure_future(limiter.acquire_async())
        assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        for _ in range(10):
            limiter.feedback(200, None)
        await asyncio.wait_for(waiting, 30)

    asyncio.run(third())


def test_it_travels_and_is_copied(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "limit", 7, window=5.0)
    limiter.acquire()
    for other in (pickle.loads(pickle.dumps(limiter)), copy.deepcopy(limiter)):
        other.acquire()
    assert used(tmp_path / "limit") == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_child_shares_it(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "limit", 7, window=60)
    limiter.acquire()
    child = os.fork()
    if not child:
        try:
            limiter.acquire()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert used(tmp_path / "limit") == 2


@pytest.mark.parametrize("per_minute", [0, -1])
def test_a_limit_that_lets_nothing_through_is_refused(tmp_path: Path, per_minute: int) -> None:
    with pytest.raises(InvalidRequestError, match="per_minute"):
        FileLimiter(tmp_path / "limit", per_minute)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    limiter = FileLimiter(tmp_path / "missing" / "limit", 40)
    with pytest.raises(InvalidRequestError, match="missing"):
        limiter.acquire()


@pytest.mark.parametrize(("status", "granted"), [(200, 4), (399, 4), (400, 2), (500, 2)])
def test_who_was_told_429_speeds_up_with_each_success(
    tmp_path: Path, status: int, granted: int
) -> None:
    limiter = FileLimiter(tmp_path / "limit", 4, window=60)
    limiter.feedback(429, None)
    for _ in range(20):
        limiter.feedback(status, None)
    assert sum(limiter._take()[0] is not None for _ in range(5)) == granted
