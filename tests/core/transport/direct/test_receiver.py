"""Reads of a socket within an event loop: what stands from one to the next, and that none of it is left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from nvcf_core.transport.direct.receiver import Receiver

WHOLE = 1 << 16


def within(seconds: float) -> float:
    """When so many seconds are over."""
    return time.monotonic() + seconds


class Pair(NamedTuple):
    """The two ends of a connection."""

    near: socket.socket
    far: socket.socket


@pytest.fixture
def pair() -> Iterator[Pair]:
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far = listener.accept()[0]
    listener.close()
    near.setblocking(False)
    yield Pair(near, far)
    near.close()
    far.close()


class Counted:
    """How often the running loop is told to watch a socket, to watch it no longer, and to wake somebody later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        loop = asyncio.get_running_loop()
        for name in ("add_reader", "remove_reader", "call_later"):
            monkeypatch.setattr(loop, name, self._counting(name, getattr(loop, name)))

    def _counting(self, name: str, function: Any) -> Any:
        def counting(*args: Any, **kwargs: Any) -> Any:
            self.told.append(name)
            return function(*args, **kwargs)

        return counting


async def test_reads_that_wait_set_up_nothing_anew(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, loop = Receiver(pair.near), asyncio.get_running_loop()
    counted = Counted(monkeypatch)
    for number in range(20):
        loop.call_soon(pair.far.send, b"%d" % number)
        assert await receiver.receive(WHOLE, within(60.0 + number)) == b"%d" % number
    assert counted.told == ["add_reader", "call_later"]
    receiver.stop()
    assert counted.told == ["add_reader", "call_later", "remove_reader"]


async def test_what_comes_while_nobody_reads_is_kept_for_the_next_read(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(pair.near)
    counted = Counted(monkeypatch)
    pair.far.send(b"first")
    assert await receiver.receive(WHOLE, None) == b"first"
    pair.far.send(b"second")
    while counted.told != ["add_reader", "remove_reader"]:  # Else the loop would spin.
        await asyncio.sleep(0)
    assert await receiver.receive(WHOLE, None) == b"second"
    receiver.close()


async def test_what_one_read_leaves_is_there_for_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.far.send(b"x" * 1000)
    receiver = Receiver(pair.near)
    counted = Counted(monkeypatch)
    assert [len(await receiver.receive(10, None)) for _ in range(100)] == [10] * 100
    assert counted.told.count("add_reader") <= 1
    with pytest.raises(TimeoutError):
        await receiver.receive(10, within(0.01))
    receiver.close()


async def test_others_have_their_turn_between_reads(pair: Pair) -> None:
    pair.far.send(b"x" * 1000)
    receiver, turns = Receiver(pair.near), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    for _ in range(100):
        await receiver.receive(10, None)
    assert turns >= 5
    task.cancel()
    receiver.close()


async def test_a_read_may_have_less_time_than_the_one_before(pair: Pair) -> None:
    receiver = Receiver(pair.near)
    pair.far.send(b"x")
    assert await receiver.receive(WHOLE, within(3600.0)) == b"x"
    with pytest.raises(TimeoutError):
        await receiver.receive(WHOLE, within(0.01))
    receiver.close()


async def test_a_read_may_have_more_time_than_the_one_before(pair: Pair) -> None:
    receiver, loop = Receiver(pair.near), asyncio.get_running_loop()
    pair.far.send(b"x")
    assert await receiver.receive(WHOLE, within(0.05)) == b"x"
    loop.call_later(0.15, pair.far.send, b"y")
    assert await receiver.receive(WHOLE, within(3600.0)) == b"y"
    loop.call_later(0.15, pair.far.send, b"z")
    assert await receiver.receive(WHOLE, None) == b"z"
    receiver.close()


async def test_a_timer_that_served_a_shorter_read_before_still_ends_a_longer_one(
    pair: Pair,
) -> None:
    receiver = Receiver(pair.near)
    pair.far.send(b"x")
    assert await receiver.receive(WHOLE, within(0.05)) == b"x"
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        await receiver.receive(WHOLE, within(0.2))
    assert time.monotonic() - begun >= 0.2
    receiver.close()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_read_whose_time_is_over(pair: Pair, seconds: float) -> None:
    pair.far.send(b"x")
    with pytest.raises(TimeoutError):
        await Receiver(pair.near).receive(WHOLE, within(seconds))


async def test_the_end(pair: Pair) -> None:
    receiver = Receiver(pair.near)
    asyncio.get_running_loop().call_soon(pair.far.close)
    assert await receiver.receive(WHOLE, within(60.0)) == b""
    assert await receiver.receive(WHOLE, within(60.0)) == b""
    receiver.close()


async def test_a_connection_that_is_reset(pair: Pair) -> None:
    receiver = Receiver(pair.near)
    pair.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    asyncio.get_running_loop().call_soon(pair.far.close)
    with pytest.raises(ConnectionResetError):
        await receiver.receive(WHOLE, within(60.0))
    receiver.close()


async def test_a_socket_that_was_closed(pair: Pair) -> None:
    receiver = Receiver(pair.near)
    receiver.close()
    with pytest.raises(OSError, match="the connection was closed"):
        await receiver.receive(WHOLE, within(60.0))


async def test_a_loop_that_cannot_watch(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: Any) -> None:
        raise NotImplementedError

    receiver, loop = Receiver(pair.near), asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_reader", cannot)
    loop.call_soon(pair.far.send, b"x")
    assert await receiver.receive(WHOLE, within(60.0)) == b"x"
    with pytest.raises(TimeoutError):
        await receiver.receive(WHOLE, within(0.01))
    receiver.close()


async def waiting(receiver: Receiver) -> asyncio.Task[bytes]:
    """A task that waits for the next bytes."""
    task = asyncio.ensure_future(receiver.receive(WHOLE, within(60.0)))
    await asyncio.sleep(0)
    return task


async def test_nothing_of_a_closed_socket_is_left_in_the_loop(pair: Pair) -> None:
    receiver, loop = Receiver(pair.near), asyncio.get_running_loop()
    task = await waiting(receiver)
    task.cancel()
    await asyncio.wait([task])
    descriptor = pair.near.fileno()
    receiver.close()
    # The system gives the number out again, at once.
    os.dup2(pair.far.fileno(), descriptor)
    loop.add_reader(descriptor, lambda: None)
    loop.remove_reader(descriptor)
    os.close(descriptor)


def test_closing_after_the_loop(pair: Pair) -> None:
    async def read() -> Receiver:
        pair.far.send(b"x")
        receiver = Receiver(pair.near)
        await receiver.receive(WHOLE, within(60.0))
        return receiver

    asyncio.run(read()).close()
    assert pair.far.recv(1) == b""


def test_closing_between_two_runs_of_a_loop(pair: Pair) -> None:
    async def read() -> Receiver:
        pair.far.send(b"x")
        receiver = Receiver(pair.near)
        await receiver.receive(WHOLE, within(60.0))
        return receiver

    async def watches(descriptor: int) -> bool:
        return asyncio.get_running_loop().remove_reader(descriptor)

    with asyncio.Runner() as runner:
        receiver, descriptor = runner.run(read()), pair.near.fileno()
        receiver.close()
        assert pair.far.recv(1) == b""
        assert not runner.run(watches(descriptor))


async def test_closing_from_another_thread(pair: Pair) -> None:
    receiver = Receiver(pair.near)
    pair.far.send(b"x")
    await receiver.receive(WHOLE, within(60.0))
    descriptor = pair.near.fileno()
    thread = threading.Thread(target=receiver.close)
    thread.start()
    thread.join()
    assert pair.near.fileno() == descriptor  # The loop watches it, and is to be told first.
    while pair.near.fileno() >= 0:
        await asyncio.sleep(0)
    assert not asyncio.get_running_loop().remove_reader(descriptor)
    assert pair.far.recv(1) == b""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
async def test_a_forked_child_leaves_the_loop_of_its_parent_alone(pair: Pair) -> None:
    receiver = Receiver(pair.near)
    task = await waiting(receiver)
    await asyncio.sleep(0)
    child = os.fork()
    if not child:
        receiver.close()  # As its garbage collector may.
        sys.stdout.flush()
        os._exit(0 if pair.near.fileno() < 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    pair.far.send(b"x")
    assert await task == b"x"
    receiver.close()
