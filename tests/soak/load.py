"""The load: calls of every kind, side by side, each one accounted for."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nvcf_core.errors import NVCFError
from tests.reliability.conftest import FACES, KIMI, Face

LONGEST_CALL = 30.0
"""Seconds that no call may take: all its limits and retries together."""


@dataclass
class Ledger:
    """What became of every call."""

    begun: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @property
    def accounted(self) -> int:
        return sum(self.outcomes.values())

    def wrong(self, what: str) -> None:
        """Note what must not be. The first hundred are enough."""
        if len(self.violations) < 100:
            self.violations.append(what)


class Load:
    """Asks without end, through a few models that all workers share, until told to stop.

    Args:
        where: the settings that lead to the service.
        picture: a picture that has to be uploaded.
        seed: what makes the choices repeatable, as far as the machine is.
    """

    def __init__(self, where: dict[str, str], picture: bytes, seed: int) -> None:
        self.ledger = Ledger()
        self._where, self._picture = where, picture
        self._random = random.Random(seed)
        self._stopping = False
        self._models = [self._new(name) for name in FACES for _ in range(2)]

    def _new(self, name: str) -> Face:
        limits: dict[str, Any] = {
            "timeout": 1.0,
            "stream_chunk_timeout": 1.0,
            "poll_timeout": 8.0,
            "max_retries": 2,
        }
        return FACES[name](model=KIMI, **self._where, **limits)

    async def run(self, seconds: float, workers: int) -> None:
        """Keep `workers` calls under way for so many seconds, then close every model."""
        tasks = [asyncio.create_task(self._work(number)) for number in range(workers)]
        await asyncio.sleep(seconds)
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*tasks), 2 * LONGEST_CALL)
        for face in self._models:
            await face.model.aclose()

    async def _work(self, worker: int) -> None:
        number = 0
        while not self._stopping:
            number += 1
            await self._one(f"worker {worker} call {number};")

    async def _one(self, question: str) -> None:
        face = self._random.choice(self._models)
        fresh = self._random.random() < 0.02
        if fresh:
            face = self._new(self._random.choice(list(FACES)))
        picture = self._picture if self._random.random() < 0.05 else None
        how = self._random.choice(WAYS)
        self.ledger.begun += 1
        begun = time.monotonic()
        try:
            answer = await how(face, face.messages(question, picture))
            whole = answer is None or question in answer
            if not whole:
                self.ledger.wrong(f"{how.__name__}: asked {question!r}, answered {answer!r}")
            self.ledger.outcomes["left" if answer is None else "answered"] += 1
        except NVCFError as error:
            core = next(k for k in type(error).__mro__ if k.__module__ == "nvcf_core.errors")
            self.ledger.outcomes[core.__name__] += 1
        except Exception as error:
            self.ledger.wrong(f"{how.__name__}: {type(error).__name__}: {error}")
            self.ledger.outcomes["untyped"] += 1
        if (took := time.monotonic() - begun) > LONGEST_CALL:
            self.ledger.wrong(f"{how.__name__} took {took:.1f} s")
        if fresh:
            await face.model.aclose()


# The ways to ask. None: left before the answer was whole.


async def whole(face: Face, messages: Any) -> str | None:
    return await face.acomplete(messages)


async def streamed(face: Face, messages: Any) -> str | None:
    stream = await face.astream(messages)
    return "".join([face.text(piece) async for piece in stream])


async def whole_in_a_thread(face: Face, messages: Any) -> str | None:
    return await asyncio.to_thread(face.complete, messages)


async def streamed_in_a_thread(face: Face, messages: Any) -> str | None:
    def read() -> str:
        return "".join([face.text(piece) for piece in face.stream(messages)])

    return await asyncio.to_thread(read)


async def closed_early(face: Face, messages: Any) -> str | None:
    stream: Any = await face.astream(messages)
    async for _ in stream:
        break
    await stream.aclose()
    return None


async def dropped_early(face: Face, messages: Any) -> str | None:
    async for _ in await face.astream(messages):
        break
    return None


async def cancelled(face: Face, messages: Any) -> str | None:
    try:
        async with asyncio.timeout(random.uniform(0, 0.1)):
            return await face.acomplete(messages)
    except TimeoutError:
        return None


WAYS = [
    whole,
    streamed,
    whole_in_a_thread,
    streamed_in_a_thread,
    closed_early,
    dropped_early,
    cancelled,
]
