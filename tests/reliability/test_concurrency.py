"""One object shared by threads, by loops, by both: every answer reaches its own question."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from nvcf_emulator import Emulator


def question(number: int) -> str:
    return f"the word is zebra{number:05d}"


def answered(number: int, text: str) -> bool:
    """The stand-in says what it read: the answer holds the question, and no other."""
    return question(number) in text and text.count("zebra") == 1


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in threads that begin at once; what one raises is raised here."""
    barrier = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@pytest.fixture(autouse=True)
def _closes_what_it_opens(nvcf_emulator: Emulator) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        yield
        gc.collect()
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.open_connections == 0, 2.0)


def test_64_threads(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()

    def work(number: int) -> None:
        messages = asked.messages(question(number), None)
        assert answered(number, asked.complete(messages))
        assert answered(number, "".join(asked.text(piece) for piece in asked.stream(messages)))

    in_threads(64, work)
    assert len(nvcf_emulator.chats) == 128
    asked.model.close()


def test_loops_in_threads(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()

    async def main(first: int) -> None:
        texts = await asyncio.gather(
            *(asked.acomplete(asked.messages(question(first + n), None)) for n in range(8))
        )
        assert all(answered(first + n, text) for n, text in enumerate(texts))

    in_threads(8, lambda number: asyncio.run(main(number * 8)))
    assert len(nvcf_emulator.chats) == 64


def test_threads_and_loops_at_once(face: Any) -> None:
    asked = face()

    async def main(number: int) -> None:
        stream = await asked.astream(asked.messages(question(number), None))
        assert answered(number, "".join([asked.text(piece) async for piece in stream]))

    def work(number: int) -> None:
        if number % 2:
            asyncio.run(main(number))
        else:
            assert answered(number, asked.complete(asked.messages(question(number), None)))

    in_threads(16, work)
    asked.model.close()


def test_three_loops_in_a_row(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()
    for number in range(3):
        text = asyncio.run(asked.acomplete(asked.messages(question(number), None)))
        assert answered(number, text)
        # A loop takes its pool with it: without, the next one would meet connections of a closed loop.
        assert nvcf_emulator.wait_until(lambda: nvcf_emulator.open_connections == 0, 2.0)


def test_threads_that_ask_first_get_one_client(core: Any, nvcf_emulator: Emulator) -> None:
    """A second client would have its own pool, and its own list of what is to be deleted."""
    for _ in range(20):
        model = core().model
        found: list[Any] = []
        in_threads(8, lambda _, model=model, found=found: found.append(model._client))
        assert len(found) == 8
        assert len(set(map(id, found))) == 1


def test_the_same_picture_from_many_threads_is_uploaded_once(
    face: Any, nvcf_emulator: Emulator, large_picture: bytes
) -> None:
    asked = face()

    def work(number: int) -> None:
        text = asked.complete(asked.messages(question(number), large_picture))
        assert f"zebra{number:05d}" in text

    in_threads(12, work)
    assert sum(request.place == "put" for request in nvcf_emulator.requests) == 1
    asked.model.close()
    assert [asset.state for asset in nvcf_emulator.assets.values()] == ["deleted"]


def test_without_a_limit_nobody_waits_for_a_connection(face: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text="slow", delay=0.3, times=150)
    asked = face()

    async def main() -> None:
        calls = [asked.acomplete(asked.messages("hi", None)) for _ in range(150)]
        task = asyncio.gather(*calls)
        assert await asyncio.to_thread(
            nvcf_emulator.wait_until, lambda: nvcf_emulator.streaming == 150
        )
        assert await task == ["slow"] * 150
        await asked.model.aclose()

    asyncio.run(main())


def test_with_max_connections_calls_wait_their_turn(
    face: Any, nvcf_emulator: Emulator, colour: str
) -> None:
    """However long that takes: no limit of time runs meanwhile."""
    nvcf_emulator.reply(text="slow", delay=0.1, times=8)
    asked = face(max_connections=2, timeout=0.25)
    peak = 0

    def watch() -> bool:
        nonlocal peak
        peak = max(peak, nvcf_emulator.streaming)
        return len(nvcf_emulator.chats) == 8

    async def main() -> None:
        calls = [asked.acomplete(asked.messages("hi", None)) for _ in range(8)]
        watching = asyncio.create_task(asyncio.to_thread(nvcf_emulator.wait_until, watch))
        assert await asyncio.gather(*calls) == ["slow"] * 8
        await watching

    if colour == "async":
        asyncio.run(main())
    else:
        watching = threading.Thread(target=nvcf_emulator.wait_until, args=(watch,))
        watching.start()
        in_threads(8, lambda _: asked.complete(asked.messages("hi", None)))
        watching.join()
    assert peak == 2
    asked.model.close()


def test_connections_are_used_again(face: Any, nvcf_emulator: Emulator) -> None:
    asked = face()
    for number in range(5):
        asked.complete(asked.messages(question(number), None))
        assert list(asked.stream(asked.messages(question(number), None)))
    assert nvcf_emulator.open_connections == 1
    asked.model.close()


async def test_as_many_connections_as_are_under_way_are_used_again(
    core: Any, nvcf_emulator: Emulator
) -> None:
    nvcf_emulator.reply("late", delay=0.2, times=None)
    asked = core()
    peak = 0
    for _ in range(3):
        questions = [asked.messages(question(number), None) for number in range(64)]
        await asyncio.gather(*(asked.acomplete(messages) for messages in questions))
        peak = max(peak, nvcf_emulator.open_connections)
        assert nvcf_emulator.open_connections == peak, "some were closed after their answer"
    assert 20 < peak <= 64
    await asked.model.aclose()


def test_a_closed_model_opens_anew(face: Any) -> None:
    asked = face()
    for number in range(2):
        assert answered(number, asked.complete(asked.messages(question(number), None)))
        asked.model.close()
        text = asyncio.run(asked.acomplete(asked.messages(question(number), None)))
        assert answered(number, text)
