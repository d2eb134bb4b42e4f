"""Every fault at every stage, in every way to ask: one that passes is got over, one that stays is one typed error."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, get_args

import pytest

from nvcf_core import errors
from nvcf_emulator import Emulator, FaultKind

WORDS = ["Once ", "upon ", "a ", "time"]
RETRIES = 1
LIMIT = 0.4
"""Seconds of the limits, where something stands still."""

STAGES: dict[str, Callable[[Emulator], object]] = {
    "create": lambda server: None,
    "put": lambda server: None,
    "ask": lambda server: None,
    "poll": lambda server: server.accept(polls=1),
    "get": lambda server: server.accept(polls=1, redirect=True),
    "models": lambda server: None,
    "delete": lambda server: None,
}
"""The stages, and what leads a conversation to each."""

UPLOADING = ("create", "put", "delete")

NO_REPLY = ("reset", "close", "garbage", "stall")
HALF_A_REPLY = ("half-close", "truncate", "stall-body")
NO_ANSWER = ("bad-json", "bad-utf8", "endless-line")
"""Replies that are whole, and no answer. In those to `put` and `delete` there is nothing that could be read wrongly."""

REFUSALS = {"503": "ServerError", "429": "RateLimitError", "403": "PermissionDeniedError"}
"""Statuses, and their classes. The last of them stays what it is: it is not tried again."""

FAULTS = (*get_args(FaultKind), *REFUSALS)


def test_every_fault_is_of_one_kind() -> None:
    assert sorted((*NO_REPLY, *HALF_A_REPLY, *NO_ANSWER, *REFUSALS)) == sorted(FAULTS)


def _expected(stage: str, fault: str, mode: str, *, lasting: bool) -> str | None:
    """The class of the error; None: all is well. A piece that was handed out cannot be taken back."""
    if stage == "delete":
        return None  # What is left is told in a warning.
    if stage in ("create", "put"):
        at_once = fault == "403" or (stage == "create" and fault in NO_ANSWER)
        return "AssetUploadError" if lasting or at_once else None
    if fault in REFUSALS:
        return REFUSALS[fault] if lasting or fault == "403" else None
    if fault in NO_ANSWER:
        begun = mode == "stream" and stage in ("ask", "poll")
        return "StreamInterruptedError" if begun else "InvalidResponseError"
    if stage in ("ask", "poll") and fault in HALF_A_REPLY:
        # The polled answer is asked for again, and then comes without polls.
        again = mode == "whole" and (stage == "poll" or not lasting)
        return None if again else "StreamInterruptedError"
    if not lasting:
        return None
    return "APITimeoutError" if fault.startswith("stall") else "APIConnectionError"


def _cells() -> Iterator[Any]:
    ways = list(
        product(("core", "langchain", "llamaindex"), ("sync", "async"), ("whole", "stream"))
    )
    for number, (stage, fault) in enumerate(product(STAGES, FAULTS)):
        for turn, (face, colour, mode) in enumerate(ways):
            if stage == "models" and mode == "stream":
                continue  # There is one way to list models.
            # The fast lane has each cell in one way; what is read to a limit of 32 MiB takes its time.
            fast = turn == 2 * (number % 6) and fault != "endless-line"
            yield pytest.param(
                stage, fault, face, colour, mode, marks=() if fast else pytest.mark.wide,
                id=f"{stage}-{fault}-{face}-{colour}-{mode}",
            )  # fmt: skip


async def _go(asked: Any, stage: str, picture: bytes) -> None:
    if stage != "models":
        answer = await asked.ask(picture=picture if stage in UPLOADING else None)
        assert answer == "".join(WORDS)
    elif asked.colour == "sync":
        assert await asyncio.to_thread(asked.model.available_models)
    else:
        assert await asked.model.aavailable_models()


async def _outcome(asked: Any, stage: str, picture: bytes) -> tuple[str | None, list[str]]:
    """The class of what was raised, and the warnings of closing."""
    raised = None
    try:
        await _go(asked, stage, picture)
    except errors.NVCFError as error:
        names = [
            kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__
        ]
        raised = names[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", errors.NVCFWarning)
        await asked.close()
    return raised, [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("stage", "fault", "face", "colour", "mode"), list(_cells()), indirect=["face"]
)
@pytest.mark.usefixtures("impatient")
async def test_a_fault_at_a_stage(
    stage: Any, fault: Any, mode: str, way: Any, nvcf_emulator: Emulator, large_picture: bytes
) -> None:
    server = nvcf_emulator
    limit = LIMIT if fault.startswith("stall") else 5.0
    asked = way(timeout=limit, stream_chunk_timeout=limit, max_retries=RETRIES)
    # The stand-in does not see who leaves while it leaves off reading: a stalled put is read first.
    after = 1 if (stage, fault) == ("put", "stall") else None
    for lasting in (False, True):
        earlier = len(server.requests)
        STAGES[stage](server)
        times = None if lasting else 1
        if fault in REFUSALS:
            server.fail(int(fault), times, on=stage)
        else:
            server.fault(fault, stage, times=times, after=after)
        server.reply(text=WORDS, times=3)
        raised, warned = await _outcome(asked, stage, large_picture + bytes([lasting]))
        assert raised == _expected(stage, fault, mode, lasting=lasting)
        made = Counter(request.place for request in server.requests[earlier:])
        assert made[stage] <= 1 + RETRIES * (fault != "403")
        # A deletion whose reply was lost is found done at the next try.
        stays = lasting and (fault in NO_REPLY or fault in REFUSALS)
        left = stage == "delete" and (stays or fault == "403")
        assert len(warned) == left, warned
        # Of an asset whose creation was never answered the client does not know the id.
        lost = (1 + lasting * (1 + RETRIES)) if stage == "create" else left
        lost += fault.startswith("stall")  # A busy machine may be as late with one creation.
        assert sum(asset.state != "deleted" for asset in server.assets.values()) <= lost
        # What has failed has left, though the model can still be used.
        assert await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0, 5.0)
        server.clear()
        await asked.close()  # Once more, for what could not be deleted.
