"""What is measured: for each case a function that runs one short block, and returns what one item of it cost."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
import traceback
import tracemalloc
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from contenders import Calls
from serving import asking_for

__all__ = ["CASES", "Case"]

Measure: TypeAlias = "Callable[[Calls, asyncio.Runner], float | None]"
"""Runs a block with a client, and the runner of its event loop. None: this client cannot."""

_IN_MICROSECONDS = 1e6


@dataclass(frozen=True)
class Case:
    """One case."""

    name: str
    title: str
    unit: str
    measure: Measure
    exact: bool = False
    """Whether every round would find the same."""


def _cpu(work: Callable[[], object], items: int) -> float:
    """Microseconds of this process for each item."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / items * _IN_MICROSECONDS


def _calls(count: int, before: int = 0) -> Measure:
    def measure(client: Calls, _: asyncio.Runner) -> float:
        prompt = client.prompt("Hello", before)
        return _cpu(lambda: _ask(client, prompt, count), count)

    return measure


def _ask(client: Calls, prompt: Any, times: int) -> None:
    for _ in range(times):
        client.whole(prompt)


def _acalls(count: int) -> Measure:
    def measure(client: Calls, runner: asyncio.Runner) -> float:
        prompt = client.prompt("Hello")

        async def ask() -> None:
            for _ in range(count):
                await client.awhole(prompt)

        return _cpu(lambda: runner.run(ask()), count)

    return measure


def _calls_at_once(count: int) -> Measure:
    def measure(client: Calls, runner: asyncio.Runner) -> float:
        prompt = client.prompt("Hello")

        async def ask() -> None:
            await asyncio.gather(*(client.awhole(prompt) for _ in range(count)))

        return _cpu(lambda: runner.run(ask()), count)

    return measure


def _stream(chunks: int, pace: str, *, kind: str = "text", times: int = 1) -> Measure:
    def measure(client: Calls, _: asyncio.Runner) -> float:
        prompt = client.prompt(asking_for(kind, chunks, pace))

        def read() -> None:
            for _ in range(times):
                deque(client.stream(prompt), maxlen=0)

        return _cpu(read, chunks * times)

    return measure


def _whole_stream(chunks: int, *, before: int) -> Measure:
    """All of a stream, and not each of its chunks."""

    def measure(client: Calls, _: asyncio.Runner) -> float:
        prompt = client.prompt(asking_for("text", chunks, "burst"), before)
        return _cpu(lambda: deque(client.stream(prompt), maxlen=0), 1)

    return measure


async def _read(client: Calls, prompt: Any) -> None:
    async for _ in client.astream(prompt):
        pass


def _astream(chunks: int, pace: str, *, times: int = 1) -> Measure:
    def measure(client: Calls, runner: asyncio.Runner) -> float:
        prompt = client.prompt(asking_for("text", chunks, pace))

        async def read() -> None:
            for _ in range(times):
                await _read(client, prompt)

        return _cpu(lambda: runner.run(read()), chunks * times)

    return measure


def _streams_at_once(count: int, chunks: int) -> Measure:
    def measure(client: Calls, runner: asyncio.Runner) -> float:
        prompt = client.prompt(asking_for("text", chunks, "burst"))

        async def read() -> None:
            await asyncio.gather(*(_read(client, prompt) for _ in range(count)))

        return _cpu(lambda: runner.run(read()), chunks * count)

    return measure


def _events(chunks: int) -> Measure:
    def measure(client: Calls, _: asyncio.Runner) -> float | None:
        prompt = client.prompt(asking_for("text", chunks, "burst"))

        def read() -> None:
            for _ in client.events(prompt):
                pass

        return _cpu(read, chunks)

    return measure


def _aevents(chunks: int) -> Measure:
    def measure(client: Calls, runner: asyncio.Runner) -> float | None:
        prompt = client.prompt(asking_for("text", chunks, "burst"))

        async def read() -> None:
            async for _ in client.aevents(prompt):
                pass

        return _cpu(lambda: runner.run(read()), chunks)

    return measure


def _new_objects(count: int) -> Measure:
    """Each with its first call. They are kept, so that nothing of the one before is used again."""

    def measure(client: Calls, _: asyncio.Runner) -> float:
        kept: list[Calls] = []
        prompt = client.prompt("Hello")

        def ask() -> None:
            for _ in range(count):
                kept.append(client.fresh())
                kept[-1].whole(prompt)

        return _cpu(ask, count)

    return measure


def _new_loops(count: int) -> Measure:
    """Each call in an event loop of its own, as scripts and notebooks' workers do."""

    def measure(client: Calls, _: asyncio.Runner) -> float:
        prompt = client.prompt("Hello")
        return _cpu(lambda: [asyncio.run(client.once(prompt)) for _ in range(count)], count)

    return measure


def _after_peak(streams: int, calls: int) -> Measure:
    """How many times as much a call costs once so many streams have been open at once, as it did before."""

    def measure(client: Calls, runner: asyncio.Runner) -> float:
        fresh = client.fresh()
        hello, long = client.prompt("Hello"), client.prompt(asking_for("text", 3, "hold300"))

        async def each(count: int, ask: Callable[[], Awaitable[Any]]) -> float:
            begun = time.process_time()
            for _ in range(count):
                await ask()
            return (time.process_time() - begun) / count

        async def compare() -> float:
            await each(calls, lambda: fresh.awhole(hello))
            before = await each(calls, lambda: fresh.awhole(hello))
            await asyncio.gather(*(_read(fresh, long) for _ in range(streams)))
            await fresh.awhole(hello)
            return await each(calls, lambda: fresh.awhole(hello)) / before

        return runner.run(compare())

    return measure


def _first_chunk(times: int) -> Measure:
    """On the wall, from the call to the first chunk."""

    def measure(client: Calls, _: asyncio.Runner) -> float:
        prompt = client.prompt(asking_for("text", 3, "lone"))
        took = []
        for _number in range(times):
            begun = time.perf_counter()
            chunks = iter(client.stream(prompt))
            next(chunks)
            took.append(time.perf_counter() - begun)
            deque(chunks, maxlen=0)
        return sorted(took)[times // 4] * _IN_MICROSECONDS

    return measure


def _image(times: int) -> Measure:
    def measure(client: Calls, _: asyncio.Runner) -> float:
        prompt = client.image()
        return _cpu(lambda: _ask(client, prompt, times), times)

    return measure


def _open_streams(count: int, *, memory: bool) -> Measure:
    """What it takes to open a stream and read its first chunk, while all before it stay open: kB, or microseconds.

    Memory is all that Python allocated. In a child process, since none of the streams is read to its end.
    """

    def measure(client: Calls, _: asyncio.Runner) -> float | None:
        if not hasattr(os, "fork"):
            return None
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            asyncio.run(_open_and_exit(client, count, memory, writing))
        os.close(writing)
        with os.fdopen(reading) as said:
            found: float = json.loads(said.read())
        os.waitpid(child, 0)
        return found

    return measure


async def _open_and_exit(client: Calls, count: int, memory: bool, writing: int) -> None:
    """Write what was found, and end the process with all that is open."""
    try:
        os.write(writing, json.dumps(await _opened(client, count, memory)).encode())
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)


async def _opened(client: Calls, count: int, memory: bool) -> float:
    prompt = client.prompt(asking_for("text", 3, "hold60000"))
    fresh = client.fresh()
    kept = []

    async def open_some(number: int) -> None:
        for _ in range(number):
            chunks = aiter(fresh.astream(prompt))
            await anext(chunks)
            kept.append(chunks)

    await open_some(20)  # Whatever comes once for the process.
    if memory:
        tracemalloc.start()
        await open_some(count)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count / 1000
    begun = time.process_time()
    await open_some(count)
    return (time.process_time() - begun) / count * _IN_MICROSECONDS


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("call", "a call", "µs", _calls(40)),
        Case("acall", "an async call", "µs", _acalls(40)),
        Case("calls_at_once", "200 async calls at once, each of them", "µs", _calls_at_once(200)),
        Case("burst_100", "a chunk of a burst of 100", "µs", _stream(100, "burst", times=10)),
        Case("burst_3000", "a chunk of a burst of 3,000", "µs", _stream(3000, "burst")),
        Case(
            "burst_in_a_row",
            "the same, six bursts in a row, with the collector's full passes",
            "µs",
            _stream(3000, "burst", times=6),
        ),
        Case("burst_10000", "a chunk of a burst of 10,000", "µs", _stream(10_000, "burst")),
        Case("aburst_100", "the same of 100, async", "µs", _astream(100, "burst", times=10)),
        Case("aburst_10000", "the same of 10,000, async", "µs", _astream(10_000, "burst")),
        Case("chunked", "an HTTP chunk of a burst of 1,000", "µs", _stream(1000, "chunked")),
        Case("lone", "a chunk that comes alone", "µs", _stream(200, "lone")),
        Case("alone", "a chunk that comes alone, async", "µs", _astream(200, "lone")),
        Case("streams_at_once", "a chunk of 200 streams at once", "µs", _streams_at_once(200, 50)),
        Case("tools", "a chunk of a tool call", "µs", _stream(1000, "burst", kind="tools")),
        Case("reasoning", "a chunk of reasoning", "µs", _stream(1000, "burst", kind="reasoning")),
        Case("events", "an event of version 3", "µs", _events(3000)),
        Case("aevents", "an event of version 3, async", "µs", _aevents(3000)),
        Case("talk_250", "a call with 250 messages", "µs", _calls(4, before=250)),
        Case("talk_1000", "a call with 1,000 messages", "µs", _calls(2, before=1000)),
        Case(
            "talk_stream",
            "a stream of 100 with 1,000 messages",
            "µs",
            _whole_stream(100, before=1000),
        ),
        Case("new_object", "a new object and its first call", "µs", _new_objects(8)),
        Case("new_loop", "asyncio.run of one call", "µs", _new_loops(4)),
        Case(
            "after_peak",
            "a call after 100 streams at once, over one before",
            "×",
            _after_peak(100, 30),
        ),
        Case(
            "open_memory",
            "memory of an open stream",
            "kB",
            _open_streams(200, memory=True),
            exact=True,
        ),
        Case("open_time", "opening a stream", "µs", _open_streams(200, memory=False)),
        Case("first_chunk", "wall time to the first chunk", "µs", _first_chunk(20)),
        Case("image", "a call with 1 MB of inline image", "µs", _image(4)),
    )
}
"""By name. Beside these, imports are measured, each in a process of its own."""
