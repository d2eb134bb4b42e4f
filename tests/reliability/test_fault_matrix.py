"""Every fault at every place of a conversation, by every way to ask: what comes of it, in how many requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, get_args

import pytest

from nvcf_core import errors
from nvcf_emulator import Emulator, FaultKind, StreamError

WORDS = ["Once ", "upon ", "a ", "time"]
"""What the service answers, in these pieces where it streams."""
RETRIES = 1


@dataclass(frozen=True)
class Case:
    """One cell: what is told to the service, and what the caller is to see."""

    name: str
    tell: Callable[[Emulator], Any]
    error: str | None = None
    """The class that is raised; None: an answer."""
    requests: dict[str, int] = field(default_factory=lambda: {"ask": 1})
    """How many of each kind are made, the one at close that deletes an asset among them."""
    asset: bool = False
    """Whether a picture goes along that has to be uploaded."""
    modes: tuple[str, ...] = ("whole", "stream")
    """Whether it makes sense in whole answers, in streams, or in both."""
    partial: str | None = None
    """What had arrived when it broke off."""
    lost_assets: int = 0
    """Assets whose creation the client never learned of."""


# What is sent in a conversation that goes well, up to each place.
ASKED = {"ask": 1}
POLLED = {"ask": 1, "poll": 1}
FETCHED = {"ask": 1, "poll": 1, "get": 1}
UPLOADED = {"create": 1, "put": 1, "ask": 1, "delete": 1}

SILENT = {"reset": "APIConnectionError", "close": "APIConnectionError", "garbage": "APIConnectionError",
          "stall": "APITimeoutError"}  # fmt: skip
"""Faults before the first byte of a reply, and what they are called when they do not go away."""
PASSING = {408: "ServerError", 409: "BadRequestError", 429: "RateLimitError", 500: "ServerError",
           502: "ServerError", 503: "ServerError", 504: "ServerError"}  # fmt: skip
"""Statuses that are worth another try."""
LASTING = {400: "BadRequestError", 401: "AuthenticationError", 402: "PermissionDeniedError",
           403: "PermissionDeniedError", 404: "NotFoundError", 410: "ModelGoneError", 413: "BadRequestError",
           422: "BadRequestError"}  # fmt: skip
"""Statuses that stay what they are."""
BROKEN = ("reset", "close", "truncate", "half-close", "stall-body", "garbage", "bad-json", "bad-utf8",
          "endless-line")  # fmt: skip
"""Faults within the answer."""
DEGRADED = {"status": 400, "detail": "Function id '1': DEGRADED function cannot be invoked"}


def _more(requests: dict[str, int], place: str, count: int = 1) -> dict[str, int]:
    return {**requests, place: requests[place] + count}


def _until(requests: dict[str, int], place: str) -> dict[str, int]:
    """The requests of a conversation that goes no further than `place`."""
    kept = {}
    for name, count in requests.items():
        kept[name] = count
        if name == place:
            break
    return kept


def _before_a_reply(
    place: str, told: Callable[[Emulator], Any], well: dict[str, int], statuses: str = "few"
) -> Iterator[Case]:
    """Faults and statuses in the place of a reply: tried again once, or not at all."""
    modes = ("whole",) if place in ("create", "put", "get") else ("whole", "stream")
    passing = PASSING if statuses == "all" else {code: PASSING[code] for code in (429, 503)}
    lasting = LASTING if statuses == "all" else {code: LASTING[code] for code in (403, 422)}

    def case(
        name: str, times: int, tell: Callable[[Emulator, int], Any], error: str, again: bool
    ) -> Case:
        def both(server: Emulator) -> None:
            told(server)
            tell(server, times)

        label = f"{place}: {name}" + (" twice" if times > 1 else "")
        asset = "put" in well
        if again and times <= RETRIES:
            return Case(label, both, None, _more(well, place, times), asset, modes)
        made = _until(well, place)
        if again:
            made = _more(made, place, times - 1)
        if place == "put":
            made["delete"] = 1  # What was created for nothing is deleted.
        if place in ("create", "put"):
            error = "AssetUploadError"
        return Case(label, both, error, made, asset, modes)

    for times in (1, 2):
        for kind, error in SILENT.items():
            if kind == "stall" and times <= RETRIES and place != "ask":
                continue  # Every stall costs its time, and the retry is the same.
            # The stand-in does not see who leaves while it leaves off reading: a stalled put is read first.
            after = 1 if (place, kind) == ("put", "stall") else None
            yield case(
                kind,
                times,
                lambda s, n, k=kind, a=after: s.fault(k, place, times=n, after=a),
                error,
                again=True,
            )
        for status, error in passing.items():
            yield case(
                str(status), times, lambda s, n, c=status: s.fail(c, n, on=place), error, again=True
            )
        yield case(
            "400 DEGRADED",
            times,
            lambda s, n: s.fail(400, n, body=DEGRADED, on=place),
            "ServerError",
            again=True,
        )
    for status, error in lasting.items():
        yield case(
            str(status), 1, lambda s, n, c=status: s.fail(c, n, on=place), error, again=False
        )


def _within_the_answer() -> Iterator[Case]:
    """Until a piece of the answer has been handed out it is asked for again: whole ones until they are whole."""
    places = {
        "first byte": (0, 0.0, ""),
        "middle": (2, 0.5, "Once upon "),
        "end": (99, 1, "".join(WORDS)),
    }
    for place, (events, share, partial) in places.items():
        for kind in BROKEN:
            if (place, kind) == ("first byte", "stall-body"):
                continue  # To the caller it is the same as in the middle, and each takes its time.
            broken = None if place == "first byte" else "StreamInterruptedError"
            yield Case(
                f"{place}: {kind}",
                lambda s, k=kind, n=events: s.fault(k, after=n),
                broken,
                {"ask": 1 if broken else 2},
                modes=("stream",),
                partial=partial if broken else None,
            )
            # Garbage in the place of the last byte is as long as was announced; elsewhere it is too short.
            # JSON that is cut before its first byte is an empty body: nothing has arrived.
            if (kind, place) != ("bad-json", "first byte") and (
                kind in ("bad-json", "bad-utf8", "endless-line")
                or (kind, place) == ("garbage", "end")
            ):
                yield Case(
                    f"{place}: {kind}",
                    lambda s, k=kind, n=share: s.fault(k, after=n),
                    "InvalidResponseError",
                    modes=("whole",),
                )
            else:
                yield Case(
                    f"{place}: {kind}",
                    lambda s, k=kind, n=share: s.fault(k, after=n),
                    None,
                    {"ask": 2},
                    modes=("whole",),
                )
                yield Case(
                    f"{place}: {kind} twice",
                    lambda s, k=kind, n=share: s.fault(k, after=n, times=2),
                    "InvalidResponseError" if kind == "bad-json" else "StreamInterruptedError",
                    {"ask": 2},
                    modes=("whole",),
                    partial=None if kind == "bad-json" else "",
                )
        for shape in get_args(StreamError):
            yield Case(
                f"{place}: {shape}", lambda s, k=shape, n=events: s.error_in_stream(k, after=n), broken,
                {"ask": 1 if broken else 2}, modes=("stream",), partial=partial if broken else None,
            )  # fmt: skip
    for shape in get_args(StreamError):
        # A body that names a status of the service's fault is that failure, though its own status is 200.
        names_a_status = shape in ("error-object", "problem")
        yield Case(
            f"whole: {shape}",
            lambda s, k=shape: s.error_in_stream(k),
            None if names_a_status else "InvalidResponseError",
            {"ask": 2 if names_a_status else 1},
            modes=("whole",),
        )


def _within_other_replies() -> Iterator[Case]:
    """A reply that is no answer yet and breaks off is asked for again: nothing of it was used."""
    yield Case("create: truncate", lambda s: s.fault("truncate", "create"), None,
               _more(UPLOADED, "create"), asset=True, lost_assets=1)  # fmt: skip
    yield Case("create: stall-body", lambda s: s.fault("stall-body", "create"), None,
               _more(UPLOADED, "create"), asset=True, lost_assets=1)  # fmt: skip
    yield Case("create: bad-json", lambda s: s.fault("bad-json", "create"), "AssetUploadError",
               {"create": 1}, asset=True, lost_assets=1)  # fmt: skip
    yield Case(
        "put: the reply is lost",
        lambda s: s.fault("truncate", "put"),
        None,
        _more(UPLOADED, "put"),
        asset=True,
    )
    for kind in ("truncate", "stall-body", "half-close"):
        yield Case(f"fetch: {kind}", lambda s, k=kind: (s.accept(1, redirect=True), s.fault(k, "get")), None,
                   _more(FETCHED, "get"))  # fmt: skip
    for kind in ("truncate", "half-close"):
        yield Case(f"poll: {kind} in the answer", lambda s, k=kind: (s.accept(1), s.fault(k)),
                   "StreamInterruptedError", POLLED, modes=("stream",))  # fmt: skip
        yield Case(f"poll: {kind} in the answer", lambda s, k=kind: (s.accept(1), s.fault(k)),
                   None, _more(POLLED, "ask"), modes=("whole",))  # fmt: skip


CASES = [
    Case("nothing", lambda _: None),
    *_before_a_reply("ask", lambda _: None, ASKED, "all"),
    *_before_a_reply("poll", lambda server: server.accept(polls=1), POLLED),
    *_before_a_reply("get", lambda server: server.accept(polls=1, redirect=True), FETCHED),
    *_before_a_reply("create", lambda _: None, UPLOADED),
    *_before_a_reply("put", lambda _: None, UPLOADED),
    *_within_the_answer(),
    *_within_other_replies(),
]


WAYS = list(product(("core", "langchain", "llamaindex"), ("sync", "async")))


def _cells() -> Iterator[Any]:
    """Every case in every way. The fast lane has each case once, in one way after the other."""
    cases = [(case, mode) for case in CASES for mode in case.modes]
    for number, (case, mode) in enumerate(cases):
        for turn, (face, colour) in enumerate(WAYS):
            fast = turn == number % len(WAYS) and "endless-line" not in case.name
            yield pytest.param(
                case, mode, face, colour, marks=() if fast else pytest.mark.wide,
                id=f"{case.name}-{mode}-{face}-{colour}",
            )  # fmt: skip


@pytest.mark.parametrize(("case", "mode", "face", "colour"), list(_cells()), indirect=["face"])
@pytest.mark.usefixtures("impatient")
async def test_fault(case: Case, way: Any, nvcf_emulator: Emulator, large_picture: bytes) -> None:
    limit = 0.2 if "stall" in case.name else 5.0
    asked = way(timeout=limit, stream_chunk_timeout=limit, max_retries=RETRIES)
    case.tell(nvcf_emulator)
    nvcf_emulator.reply(text=WORDS, times=3)
    caught: errors.NVCFError | None = None
    try:
        answer = await asked.ask(picture=large_picture if case.asset else None)
    except errors.NVCFError as error:
        caught = error
    # The one who failed has left: nothing is produced for it any more, though the model is still open.
    assert await asyncio.to_thread(nvcf_emulator.wait_until, lambda: nvcf_emulator.streaming == 0)
    await asked.close()

    assert _class(caught) == case.error, repr(caught)
    if caught is None:
        assert answer == "".join(WORDS)
    if case.partial is not None:
        assert isinstance(caught, errors.StreamInterruptedError)
        assert caught.partial.text == case.partial
    assert Counter(request.place for request in nvcf_emulator.requests) == case.requests
    assert await asyncio.to_thread(
        nvcf_emulator.wait_until, lambda: nvcf_emulator.open_connections == 0
    )
    left = [asset for asset in nvcf_emulator.assets.values() if asset.state != "deleted"]
    assert len(left) == case.lost_assets


FINISHED = [
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Once upon "}}]}\n\n',
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a time"},"finish_reason":"stop"}]}\n\n',
]


@pytest.mark.parametrize("mode", ["stream"])
@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n"], ids=["without DONE", "with DONE"])
@pytest.mark.parametrize("kind", ["reset", "close", "truncate", "half-close", "stall-body"])
async def test_a_fault_behind_the_answer(
    way: Any, nvcf_emulator: Emulator, kind: FaultKind, done: bytes
) -> None:
    """With its `finish_reason` an answer is whole, whatever becomes of the connection."""
    nvcf_emulator.fault(kind, after=99)
    chunks = [*FINISHED, done] if done else FINISHED
    nvcf_emulator.raw(headers={"content-type": "text/event-stream"}, chunks=chunks)
    assert await way(stream_chunk_timeout=0.2).ask() == "Once upon a time"
    assert len(nvcf_emulator.chats) == 1


async def test_the_limits_of_size(core: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fault("endless-line", times=2)
    asked = core()
    with pytest.raises(errors.StreamInterruptedError, match=f"longer than {32 << 20} bytes"):
        list(asked.stream(asked.messages("hi", None)))
    with pytest.raises(errors.InvalidResponseError, match="longer than"):
        asked.complete(asked.messages("hi", None))


async def test_one_json_document_has_a_limit_of_its_own(way: Any, nvcf_emulator: Emulator) -> None:
    """Of a stream, too, where the server answers it with one document."""
    nvcf_emulator.raw(
        chunks=[b'{"choices": [', *[b"{}," * 350_000] * 33],
        headers={"content-type": "application/json"},
    )
    with pytest.raises(errors.InvalidResponseError, match=f"longer than {32 << 20} bytes"):
        await way(max_retries=0).ask()
    assert len(nvcf_emulator.chats) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["whole"])
@pytest.mark.parametrize("kind", ["reset", "403"])
async def test_an_asset_that_cannot_be_deleted_is_named(
    way: Any, nvcf_emulator: Emulator, large_picture: bytes, kind: str
) -> None:
    asked = way()
    await asked.ask(picture=large_picture)
    (asset_id,) = nvcf_emulator.assets
    if kind == "403":
        nvcf_emulator.fail(403, on="delete")
    else:
        nvcf_emulator.fault("reset", on="delete", times=2)
    with pytest.warns(errors.NVCFWarning, match=asset_id):
        await asked.close()
    await asked.close()
    assert nvcf_emulator.assets[asset_id].state == "deleted", "the next close tries again"


def _class(error: Exception | None) -> str | None:
    """The name of the core's own class: LangChain's are crossed with its framework's."""
    if error is None:
        return None
    return next(
        kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "nvcf_core.errors"
    )
