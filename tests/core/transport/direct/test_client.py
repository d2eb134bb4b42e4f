"""Our own client, sync and async: connections kept and dropped, limits, encodings, cancelling."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr

from nvcf_core.config.auth import Auth
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import APIConnectionError, APITimeoutError, InvalidResponseError
from nvcf_core.exchange import Request
from nvcf_core.transport.backends import AsyncBackend, Backend, SyncBackend, run_sync
from nvcf_core.transport.bodies import BoundedBody
from nvcf_core.transport.clients import ClientConfig

KEY = SecretStr("nvapi-secret-key")


class Asked:
    """Sends requests, sync or async, and reads what comes back."""

    def __init__(self, backend: Backend, root: str) -> None:
        self.backend, self.root = backend, root

    async def get(self, timeout: float | None = None, **limits: Any) -> tuple[int, bytes]:
        request = Request("models", "GET", f"{self.root}/models")
        options = RequestOptions(auth=Auth(KEY, (self.root,)), timeout=timeout)
        http = await self.backend.open()
        prepared = http.prepare(request, None, KEY, options)
        response = await self.backend.send(prepared)
        body = BoundedBody(response.status_code, "models")
        try:
            if limits:
                prepared.limits.limit_between_chunks(limits["pause"], "stream_chunk_timeout")
            else:
                prepared.limits.limit_total()
            await self.backend.read_into(body, response)
        finally:
            await self.backend.close_response(response)
        return response.status_code, body.body()


@pytest.fixture(params=["sync", "async"])
async def asked(request: pytest.FixtureRequest, raw: Any) -> AsyncIterator[Any]:
    """Makes something to ask with, of each colour; what it returns is to be awaited in any case."""
    made: list[SyncBackend | AsyncBackend] = []
    threads = ThreadPoolExecutor(300)

    def make(**config: Any) -> Callable[..., Coroutine[Any, Any, tuple[int, bytes]]]:
        settings = ClientConfig(**config)
        if request.param == "async":
            asynchronous = AsyncBackend(settings)
            made.append(asynchronous)
            return Asked(asynchronous, raw.url).get
        synchronous = SyncBackend(settings)
        made.append(synchronous)
        get = Asked(synchronous, raw.url).get

        async def in_a_thread(*args: Any, **kwargs: Any) -> tuple[int, bytes]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(threads, lambda: run_sync(get(*args, **kwargs)))

        return in_a_thread

    yield make
    for backend in made:
        if isinstance(backend, AsyncBackend):
            await backend.pools.aclose()
        else:
            backend.pool.close()
    threads.shutdown()


async def test_what_is_sent(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"hello"))
    assert await asked()() == (200, b"hello")
    (request,) = raw.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /v1/models HTTP/1.1"
    assert f"host: 127.0.0.1:{raw.port}" in lines
    assert "accept-encoding: identity" in lines
    assert f"authorization: Bearer {KEY.get_secret_value()}" in lines


async def test_a_connection_is_used_again(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"hello"))
    get = asked()
    for _ in range(3):
        assert await get() == (200, b"hello")
    assert raw.connections == 1


async def test_a_connection_that_waits_for_its_next_request_is_not_watched(
    raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.answer(raw.framed(b"hello")[:-5], 0.05, b"hello")
    loop, watched = asyncio.get_running_loop(), set[int]()
    add, remove = loop.add_reader, loop.remove_reader
    monkeypatch.setattr(loop, "add_reader", lambda fd, *to: (watched.add(fd), add(fd, *to)))
    monkeypatch.setattr(loop, "remove_reader", lambda fd: (watched.discard(fd), remove(fd))[1])
    backend = AsyncBackend(ClientConfig())
    get = Asked(backend, raw.url).get
    task = asyncio.ensure_future(get())
    while not watched:
        await asyncio.sleep(0)
    assert await task == (200, b"hello")
    assert not watched
    await backend.pools.aclose()


async def test_not_after_a_server_error(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"sorry", b"500 Oops"))
    get = asked()
    for _ in range(3):
        assert (await get())[0] == 500
    assert raw.connections == 3
    assert await asyncio.to_thread(raw.wait_until, lambda: raw.open == 0)


async def test_not_after_a_body_that_was_given_up(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"x" * (3 << 20), b"404 Not here"))
    get = asked()
    assert len((await get())[1]) == 1 << 20
    assert await asyncio.to_thread(raw.wait_until, lambda: raw.open == 0)


async def test_not_one_that_the_server_has_closed(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"last", b"200 OK", b"connection: close"))
    get = asked()
    for _ in range(3):
        assert (await get())[1] == b"last"
    assert raw.connections == 3


def ending(*pieces: bytes) -> Callable[[], Iterator[bytes]]:
    """An answer behind which the server closes the connection."""

    def answer() -> Iterator[bytes]:
        yield from pieces
        raise OSError

    return answer


async def test_a_request_is_never_sent_twice(asked: Any, raw: Any) -> None:
    """Not on a kept connection either, which ends without a byte of a response: retries are the policy's alone."""
    raw.answer(raw.framed(b"first"))
    raw.answers.append(ending())
    get = asked()
    await get()
    with pytest.raises(APIConnectionError):
        await get()
    assert len(raw.requests) == 2


@pytest.mark.parametrize("stray", [b"\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
async def test_what_comes_behind_a_response_is_not_the_next_one(
    asked: Any, raw: Any, stray: bytes
) -> None:
    raw.answer(raw.framed(b"first") + stray)
    raw.answer(raw.framed(b"second"))
    get = asked()
    assert (await get())[1] == b"first"
    assert (await get())[1] == b"second"
    assert raw.connections == 2


async def test_a_number_of_connections_is_kept(asked: Any, raw: Any) -> None:
    together = threading.Barrier(270)

    def answer() -> Any:
        together.wait(30)  # All of them are under way at once.
        return (raw.framed(b"hello"),)

    raw.answers.append(answer)
    get = asked()
    await asyncio.gather(*(get() for _ in range(270)))
    assert await asyncio.to_thread(raw.wait_until, lambda: raw.open == 256)


async def test_max_connections(asked: Any, raw: Any) -> None:
    raw.answer(0.02, raw.framed(b"hello"))
    get = asked(max_connections=2)
    await asyncio.gather(*(get() for _ in range(10)))
    assert raw.connections == 2


DRIPPED = b"HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n" + b"x: y\r\n" * 10 + b"\r\nhello"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([5.0], id="silence"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", 0.05] * 100, id="informational"),
        pytest.param([each for byte in DRIPPED for each in (bytes([byte]), 0.05)], id="head"),
    ],
)
async def test_a_head_is_bounded_in_all(asked: Any, raw: Any, pieces: Any) -> None:
    raw.answer(*pieces)
    begun = time.monotonic()
    with pytest.raises(APITimeoutError, match=r"no response within 0\.4 s \(timeout\)"):
        await asked()(0.4)
    assert time.monotonic() - begun < 2.4  # Dripped, it would take five seconds and more.
    assert await asyncio.to_thread(raw.wait_until, lambda: raw.open == 0, 10)


async def test_an_error_body_is_bounded_in_all(asked: Any, raw: Any) -> None:
    head = raw.framed(b"x" * 200, b"500 Oops")[:-200]
    raw.answer(head, *([b"x", 0.05] * 200))
    with pytest.raises(APITimeoutError, match=r"nothing arrived for 0\.4 s \(timeout\)"):
        await asked()(0.4)


async def test_a_body_may_take_long_while_its_pieces_keep_coming(asked: Any, raw: Any) -> None:
    head = raw.framed(b"x" * 20)[:-20]
    raw.answer(head, *([b"x", 0.05] * 20))
    assert await asked()(0.6, pause=0.6) == (200, b"x" * 20)


async def test_a_pause_is_too_long(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"xx")[:-1], 5.0)
    with pytest.raises(APITimeoutError, match=r"0\.2 s \(stream_chunk_timeout\)"):
        await asked()(5.0, pause=0.2)


async def test_the_first_byte_has_the_time_of_the_response(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"x")[:-1], 0.5, b"x")
    assert await asked()(30.0, pause=0.1) == (200, b"x")


async def test_a_connection_that_breaks(asked: Any, raw: Any) -> None:
    raw.answers.append(lambda: _broken(raw.framed(b"hello")[:-2]))
    with pytest.raises(APIConnectionError, match="the connection failed: RemoteProtocolError"):
        await asked()()


def _broken(data: bytes) -> Any:
    yield data
    raise OSError("ends here")


def packed(data: bytes, encoding: bytes) -> bytes:
    if encoding == b"gzip":
        return gzip.compress(data)
    if encoding == b"deflate":
        return zlib.compress(data)
    raw_deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return raw_deflate.compress(data) + raw_deflate.flush()


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"raw deflate"])
async def test_a_body_that_was_not_to_be_encoded(asked: Any, raw: Any, encoding: bytes) -> None:
    header = b"content-encoding: " + encoding.split()[-1]
    raw.answer(raw.framed(packed(b"hello " * 1000, encoding), b"200 OK", header))
    assert await asked()() == (200, b"hello " * 1000)


async def test_a_small_body_that_stands_for_a_large_one(asked: Any, raw: Any) -> None:
    large = gzip.compress(bytes(64 << 20))
    raw.answer(raw.framed(large, b"500 Oops", b"content-encoding: gzip"))
    status, body = await asked()()
    assert (status, len(body)) == (500, 1 << 20)


@pytest.mark.parametrize("encoding", [b"gzip, gzip", b"br", b"zstd"])
async def test_encodings_that_are_refused(asked: Any, raw: Any, encoding: bytes) -> None:
    body = gzip.compress(gzip.compress(b"x"))
    raw.answer(raw.framed(body, b"200 OK", b"content-encoding: " + encoding))
    with pytest.raises(InvalidResponseError, match="was not requested"):
        await asked()()


async def test_no_cookie_is_kept(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"hello", b"200 OK", b"set-cookie: a=b; path=/"))
    get = asked()
    await get()
    await get()
    assert b"cookie" not in raw.requests[1].lower()


async def test_a_body_of_another_encoding_than_it_says(asked: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"plain", b"200 OK", b"content-encoding: gzip"))
    with pytest.raises(InvalidResponseError, match="not gzip"):
        await asked()()


async def test_cancelling_at_every_await_gives_the_slot_back(raw: Any) -> None:
    head = raw.framed(b"xx")[:-2]
    raw.answer(head, 0.001, b"x", 0.001, b"x")
    backend = AsyncBackend(ClientConfig(max_connections=1))
    get = Asked(backend, raw.url).get
    for turns in range(60):
        task = asyncio.ensure_future(get())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    async with asyncio.timeout(10):
        assert await get() == (200, b"xx")
    await backend.pools.aclose()
    assert await asyncio.to_thread(raw.wait_until, lambda: raw.open == 0)


async def test_a_response_that_nobody_asked_for_is_not_the_next_one(asked: Any, raw: Any) -> None:
    """It came on a kept connection between two requests."""
    first_is_over, forged = threading.Event(), threading.Event()

    def two_answers() -> Iterator[bytes]:
        yield raw.framed(b"first")
        first_is_over.wait(30)
        yield raw.framed(b"forged")
        forged.set()

    raw.answers += [two_answers, lambda: [raw.framed(b"second")]]
    get = asked()
    assert await get() == (200, b"first")
    first_is_over.set()
    assert await asyncio.to_thread(forged.wait, 30)
    assert await get() == (200, b"second")
    assert raw.connections == 2


@pytest.mark.parametrize("backend", [SyncBackend, AsyncBackend])
async def test_a_request_that_was_sent_holds_no_key(backend: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"hello"))
    held = backend(ClientConfig())
    options = RequestOptions(auth=Auth(KEY, (raw.url,)))
    http = await held.open()
    prepared: Any = http.prepare(Request("models", "GET", f"{raw.url}/models"), None, KEY, options)
    await held.close_response(await held.send(prepared))
    assert KEY.get_secret_value().encode() in raw.requests[0]
    prepared.forget_key()
    assert KEY.get_secret_value() not in str(prepared.sent)
    http.drop()
