"""`request_limiter=`: asked before every request to a model, retries included, and told what came back."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from typing import Any

import pytest

from nvcf_core import FileLimiter
from nvcf_core.errors import InvalidRequestError, RateLimitError
from nvcf_core.transport.direct import network
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"


class Recorder:
    """A limiter that lets everything through, and remembers."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def acquire(self) -> None:
        self.calls.append("acquire")

    async def acquire_async(self) -> None:
        self.calls.append("acquire_async")

    def feedback(self, status: int, retry_after: float | None) -> None:
        self.calls.append((status, retry_after))


def make(framework: str, server: Emulator, **settings: Any) -> Any:
    if framework == "langchain":
        from langchain_nvcf import ChatNVCF as model
    else:
        from llamaindex_nvcf import NVCF as model
    return model(
        model=KIMI,
        base_url=server.base_url,
        nvcf_url=server.nvcf_url,
        api_key=server.api_key,
        **settings,
    )


def ask(model: Any, *, stream: bool) -> None:
    """One call, sync."""
    if hasattr(model, "invoke"):
        list(model.stream("Hello")) if stream else model.invoke("Hello")
    else:
        list(model.stream_complete("Hello")) if stream else model.complete("Hello")


async def aask(model: Any, *, stream: bool) -> None:
    """One call, async."""
    if hasattr(model, "invoke"):
        if stream:
            [piece async for piece in model.astream("Hello")]
        else:
            await model.ainvoke("Hello")
    elif stream:
        [piece async for piece in await model.astream_complete("Hello")]
    else:
        await model.acomplete("Hello")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_every_try_asks_it_and_tells_it(
    nvcf_emulator: Emulator, framework: str, asynchronous: bool, stream: bool
) -> None:
    limiter = Recorder()
    nvcf_emulator.fail(429, retry_after=0)
    with make(framework, nvcf_emulator, request_limiter=limiter) as model:
        if asynchronous:
            asyncio.run(aask(model, stream=stream))
        else:
            ask(model, stream=stream)
    word = "acquire_async" if asynchronous else "acquire"
    assert limiter.calls == [word, (429, 0.0), word, (200, None)]


class Timed(Recorder):
    """A limiter that is told when what it let through goes out."""

    def acquire(self) -> str:
        super().acquire()
        return f"permit {len(self.calls)}"

    async def acquire_async(self) -> str:
        await super().acquire_async()
        return f"permit {len(self.calls)}"

    def sent(self, permit: str) -> None:
        self.calls.append(permit)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_it_may_learn_when_a_request_goes_out_which_is_after_connecting(
    nvcf_emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    framework: str,
    asynchronous: bool,
    stream: bool,
) -> None:
    limiter = Timed()
    link = network.AsyncLink if asynchronous else network.SyncLink
    connect = link.connect

    def connecting(*args: Any) -> Any:
        limiter.calls.append("connect")
        return connect(*args)

    monkeypatch.setattr(link, "connect", connecting)
    nvcf_emulator.fault("close")
    with make(framework, nvcf_emulator, request_limiter=limiter) as model:
        if asynchronous:
            asyncio.run(aask(model, stream=stream))
        else:
            ask(model, stream=stream)
    word = "acquire_async" if asynchronous else "acquire"
    tries = [word, "connect", "permit 1", word, "connect", "permit 4", (200, None)]
    assert limiter.calls == tries


def test_a_connection_that_takes_long_does_not_break_the_limit(
    nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    limiter = FileLimiter(tmp_path / "limit", 1, window=0.5)
    connected: list[float] = []
    connect, delays = network.SyncLink.connect, iter([0.45, 0.0])

    def slowly(*args: Any) -> None:
        time.sleep(next(delays))
        connect(*args)
        connected.append(time.monotonic())

    monkeypatch.setattr(network.SyncLink, "connect", slowly)
    for _ in range(2):  # A connection for each.
        with make("langchain", nvcf_emulator, request_limiter=limiter) as model:
            model.invoke("Hello")
    first, second = connected
    assert second - first > 0.5
    assert len(nvcf_emulator.chats) == 2


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("0.25", 0.25), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None)],
)
@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_it_learns_the_seconds_in_every_form_of_the_header(
    nvcf_emulator: Emulator, framework: str, asked: str, seconds: float | None
) -> None:
    limiter = Recorder()
    nvcf_emulator.fail(429, retry_after=asked)
    model = make(framework, nvcf_emulator, request_limiter=limiter, max_retries=0)
    with model, pytest.raises(RateLimitError):
        ask(model, stream=False)
    assert limiter.calls == ["acquire", (429, seconds)]


def test_polls_and_uploads_do_not_ask_it(nvcf_emulator: Emulator) -> None:
    limiter = Recorder()
    nvcf_emulator.accept(polls=2)
    with make("langchain", nvcf_emulator, request_limiter=limiter) as model:
        model.invoke("Hello")
    assert limiter.calls == ["acquire", (202, None)]


def test_it_holds_beside_the_limit_of_the_process(nvcf_emulator: Emulator, tmp_path: Any) -> None:
    limiter = FileLimiter(tmp_path / "limit", 1, window=60)
    limiter.acquire()
    with make(
        "langchain", nvcf_emulator, request_limiter=limiter, requests_per_minute=100
    ) as model:

        async def leave() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(model.ainvoke("Hello"), 0.1)
            await model.aclose()

        asyncio.run(leave())
    assert not nvcf_emulator.chats


def test_copies_share_it(nvcf_emulator: Emulator) -> None:
    limiter = Recorder()
    limiter.lock = threading.Lock()  # type: ignore[attr-defined]  # What cannot be copied.
    with make("langchain", nvcf_emulator, request_limiter=limiter) as model:
        copy.deepcopy(model).invoke("Hello")
    assert limiter.calls[0] == "acquire"


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_what_is_not_a_limiter_is_refused(nvcf_emulator: Emulator, framework: str) -> None:
    with pytest.raises(InvalidRequestError, match="acquire_async"):
        make(framework, nvcf_emulator, request_limiter=object())
