"""Requests over real sockets: keys, failures, clients of the user's own, the rate limit."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from nvcf_core.config.auth import key_fingerprint
from nvcf_core.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    InvalidRequestError,
    InvalidResponseError,
    PermissionDeniedError,
    ServerError,
)
from nvcf_core.transport import driver
from nvcf_core.transport.limits.rate_limiter import RateLimiter, shared_rate_limiter

KIMI = "moonshotai/kimi-k2.6"


async def test_no_key(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    with pytest.raises(AuthenticationError, match="NVIDIA_API_KEY"):
        await ask(adapter(api_key=None), [say("hi")])
    assert "authorization" not in server.requests[0].headers


async def test_a_key_that_the_environment_gets_later(
    ask: Any, adapter: Any, server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    model = adapter(api_key=None)
    with pytest.raises(AuthenticationError):
        await ask(model, [say("hi")])
    monkeypatch.setenv("NVIDIA_API_KEY", server.api_key)
    server.reply(text="ok")
    assert (await ask(model, [say("hi")])).text == "ok"


async def test_errors_without_a_key(ask: Any, adapter: Any, say: Any, saying: Any) -> None:
    with saying(b"nonsense") as (url, received):
        model = adapter(base_url=url, api_key=None)
        with pytest.raises(InvalidResponseError, match="not JSON"):
            await ask(model, [say("hi")])
    assert "authorization" not in received[0]


async def test_a_callable_key(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    async def later() -> str:
        return server.api_key

    server.reply(text="ok", times=2)
    assert (await ask(adapter(api_key=lambda: server.api_key), [say("hi")])).text == "ok"
    if ask.colour == "async":
        assert (await ask(adapter(api_key=later), [say("hi")])).text == "ok"
    else:
        with pytest.raises(InvalidRequestError, match="async calls only"):
            await ask(adapter(api_key=later), [say("hi")])


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (500, ServerError)],
)
async def test_failures(
    status: int, error: Any, ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fail(status, times=9)
    with pytest.raises(error) as caught:
        await ask(adapter(max_retries=0), [say("hi")])
    assert caught.value.status == status
    assert len(server.requests) == 1


async def test_retries(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.fail(503, times=1, retry_after=0)
    server.fault("reset")
    server.reply(text="at last")
    assert (await ask(adapter(), [say("hi")])).text == "at last"
    assert len(server.requests) == 3


async def test_a_retry_is_logged_without_content(
    ask: Any, adapter: Any, server: Any, say: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nvcf")
    server.fail(503, body="a secret body", retry_after=0)
    await ask(adapter(), [say("hi")])
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("nvcf", logging.INFO)
    assert record.getMessage().startswith("ask failed: ServerError (503); retry 1 of 2 in 0.1")
    assert "secret" not in caplog.text
    assert server.root not in caplog.text


async def test_a_wait_for_the_limit_is_logged_for_those_who_debug(
    ask: Any, adapter: Any, server: Any, say: Any, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    limiter = RateLimiter(window=0.2)
    monkeypatch.setattr(driver, "shared_rate_limiter", lambda *_: limiter)
    caplog.set_level(logging.DEBUG, "nvcf")
    model = adapter(requests_per_minute=1)
    await ask(model, [say("hi")])
    assert not caplog.records
    await ask(model, [say("hi")])
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage().startswith("waiting about 0.")


async def test_nobody_there(ask: Any, adapter: Any, say: Any) -> None:
    with pytest.raises(APIConnectionError, match=r"ask \(127\.0\.0\.1\)"):
        await ask(adapter(base_url="http://127.0.0.1:9/v1", max_retries=0), [say("hi")])


async def test_a_redirect_to_nowhere(ask: Any, adapter: Any, server: Any, say: Any) -> None:
    server.raw(status=302, headers={"location": "http://1.2.3.999/"})
    with pytest.raises(InvalidResponseError, match="redirected to a url that cannot be used"):
        await ask(adapter(max_retries=0), [say("hi")])


async def test_injected_clients_are_used_and_never_closed(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    with httpx.Client(headers={"x-mine": "1"}) as client:
        async with httpx.AsyncClient(headers={"x-mine": "1"}) as aclient:
            model = adapter(http_client=client, http_async_client=aclient)
            await ask(model, [say("hi")])
            assert server.requests[0].headers["x-mine"] == "1"
            model.close()
            await model.aclose()
            assert not client.is_closed
            assert not aclient.is_closed
            await ask(model, [say("hi")])


async def test_an_injected_client_that_is_closed_is_refused(
    ask: Any, adapter: Any, say: Any
) -> None:
    client, aclient = httpx.Client(), httpx.AsyncClient()
    client.close()
    await aclient.aclose()
    model = adapter(http_client=client, http_async_client=aclient)
    with pytest.raises(InvalidRequestError, match="the request cannot be sent") as caught:
        await ask(model, [say("hi")])
    assert caught.value.field == "http_client"


async def test_limits_of_an_injected_client_hold_where_none_are_given(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    server.fault("stall", times=4)
    with httpx.Client(timeout=0.2) as client:
        async with httpx.AsyncClient(timeout=0.2) as aclient:
            model = adapter(http_client=client, http_async_client=aclient, max_retries=0)
            with pytest.raises(APITimeoutError, match=r"no response within 0\.2 s \(timeout\)"):
                await ask(model, [say("hi")])


@pytest.fixture
def own_key(server: Any) -> str:
    """A key that no other test uses, so that its rate limiter is new."""
    key = f"nvapi-{uuid.uuid4()}"
    server.add_key(key)
    return key


def limiter_of(key: str) -> RateLimiter:
    """The limiter that the process has for a key at the emulator."""
    return shared_rate_limiter(key_fingerprint(SecretStr(key)), "127.0.0.1")


async def test_the_rate_limiter_learns_of_a_429_and_of_answers(
    ask: Any, adapter: Any, server: Any, say: Any, own_key: str
) -> None:
    """A 429 halves the limit of 20, and the answer gives a twentieth of it back: 9 places are left."""
    server.fail(429, retry_after=0)
    assert await ask(adapter(requests_per_minute=20, max_retries=1, api_key=own_key), [say("hi")])
    shared = limiter_of(own_key)
    waits = [shared.wait(shared.reserve(20)) for _ in range(10)]
    assert waits[:9] == [0.0] * 9
    assert waits[9] > 0


async def test_who_leaves_the_queue_gives_the_place_back(
    adapter: Any, server: Any, say: Any, own_key: str, monkeypatch: Any
) -> None:
    model = adapter(requests_per_minute=1, api_key=own_key)
    call = model._build_request([say("hi")], {}, stream=False)
    await model._client.acomplete(call)
    kept = limiter_of(own_key)
    waiting = asyncio.ensure_future(model._client.acomplete(call))
    while kept.waiting < 1:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert kept.waiting == 0

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model._client.complete(call)
    assert kept.waiting == 0
    assert len(server.requests) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_uses_connections_of_its_own(
    adapter: Any, server: Any, say: Any, large: Any
) -> None:
    model = adapter()
    model._client.complete(model._build_request([say("look", large())], {}, stream=False))
    child = os.fork()
    if child == 0:
        try:
            model._client.complete(model._build_request([say("child")], {}, stream=False))
            model.close()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not any(request.method == "DELETE" for request in server.requests)
    model.close()
    assert server.requests[-1].method == "DELETE"


class Scripted:
    """A limiter that lets a request go after some looks, and notes what it is told."""

    def __init__(self, *waits: float) -> None:
        self.waits, self.told = list(waits), list[str]()

    def reserve(self, per_minute: int) -> str:
        return f"place of {per_minute}"

    def wait(self, place: str) -> float:
        self.told.append("looked")
        return self.waits.pop(0)

    def sent(self, place: str) -> None:
        self.told.append("sent")

    def cancel(self, place: str) -> None:
        self.told.append("done")

    def on_response(self, status: int) -> None:
        self.told.append(str(status))


async def test_a_request_goes_out_once_its_place_is_granted(
    ask: Any, adapter: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = Scripted(0.02, 0.01, 0.001, 0)
    monkeypatch.setattr(driver, "shared_rate_limiter", lambda *_: limiter)
    await ask(adapter(requests_per_minute=7), [say("hi")])
    assert limiter.told == ["looked"] * 4 + ["sent", "200", "done"]


async def test_an_error_of_the_flow_holds_no_key(adapter: Any, server: Any) -> None:
    """What a good response says is not changed, but an error that quotes it is."""
    server.raw(chunks=[b"your key is ", server.api_key.encode()], on="models", times=2)
    model = adapter()
    with pytest.raises(InvalidResponseError) as caught:
        model.available_models()
    with pytest.raises(InvalidResponseError) as acaught:
        await model.aavailable_models()
    for error in (caught.value, acaught.value):
        assert b"your key is " in error.body
        assert server.api_key not in f"{error!r} {error} {error.body!r} {error.args} {vars(error)}"


async def test_a_request_that_was_sent_holds_no_key(
    ask: Any, adapter: Any, server: Any, say: Any
) -> None:
    sent: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request)

    with httpx.Client(event_hooks={"request": [sent.append]}) as client:
        async with httpx.AsyncClient(event_hooks={"request": [note]}) as aclient:
            await ask(adapter(http_client=client, http_async_client=aclient), [say("hi")])
    assert server.requests[0].headers["authorization"] == f"Bearer {server.api_key}"
    assert "authorization" not in sent[0].headers
