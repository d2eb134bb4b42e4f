"""Looking up a host: bounded by the time for connecting, one thread for each host, nobody waited for at the end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nvcf_core.errors import APIConnectionError, APITimeoutError
from nvcf_core.transport.direct import addresses
from nvcf_core.transport.direct.addresses import look_up


class HangingResolver:
    """Answers no question until it is released; notes which were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, **options: Any) -> Any:
        self.asked.append(host)
        self.released.wait(60)
        return self._real("127.0.0.1", port, **options)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingResolver]:
    resolver = HangingResolver()
    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolver)
    yield resolver
    resolver.released.set()
    wait_for_lookups()


def wait_for_lookups() -> None:
    """Until the threads have ended, a host is not asked for anew."""
    for thread in threading.enumerate():
        if thread.name.startswith("look up "):
            thread.join(30)


SERVICE = "http://service.example/v1"


@pytest.mark.filterwarnings("ignore:the API key goes to")
async def test_a_resolver_that_hangs_is_given_the_time_for_connecting(
    ask: Any, adapter: Any, say: Any, hanging: HangingResolver
) -> None:
    model = adapter(base_url=SERVICE, timeout=0.3, max_retries=0)
    for _ in range(2):
        begun = time.monotonic()
        with pytest.raises(APITimeoutError, match=r"no connection within 0\.3 s \(timeout\)"):
            await ask(model, [say("hi")])
        assert 0.3 <= time.monotonic() - begun < 20
    assert hanging.asked == ["service.example"], "one thread, however many calls"


@pytest.mark.filterwarnings("ignore:the API key goes to")
def test_a_loop_ends_while_a_resolver_hangs(
    adapter: Any, say: Any, hanging: HangingResolver
) -> None:
    model = adapter(base_url=SERVICE, timeout=0.2, max_retries=0)

    async def main() -> None:
        with pytest.raises(APITimeoutError):
            await model._client.acomplete(model._build_request([say("hi")], {}, stream=False))

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 20
    assert not hanging.released.is_set()


async def test_those_who_ask_for_the_same_host_share_an_answer(hanging: HangingResolver) -> None:
    first = look_up("service.example", 80)
    assert look_up("service.example", 80) is first
    assert look_up("other.example", 80) is not first
    waiting = asyncio.ensure_future(asyncio.wrap_future(first))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    hanging.released.set()
    assert first.result(30)[0][4] == ("127.0.0.1", 80), "who leaves takes it from nobody"


def test_a_later_question_is_asked_anew(hanging: HangingResolver) -> None:
    hanging.released.set()
    for _ in range(2):
        look_up("service.example", 80).result(30)
        wait_for_lookups()
    assert hanging.asked == ["service.example"] * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%1"])
def test_an_address_needs_no_thread(host: str) -> None:
    found = look_up(host, 443)
    assert found.done()
    assert found.result()[0][4][:2] == (host, 443) or found.result()[0][4][1] == 443


@pytest.mark.filterwarnings("ignore:the API key goes to")
async def test_a_host_without_an_address(
    ask: Any, adapter: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", unknown)
    with pytest.raises(APIConnectionError, match="Name or service not known"):
        await ask(adapter(base_url=SERVICE, max_retries=0), [say("hi")])


def test_a_name_that_cannot_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="label"):
        look_up("a" * 70 + ".example", 80).result(30)


def test_nobody_waits_for_a_resolver_that_hangs_when_the_process_ends(
    hanging: HangingResolver,
) -> None:
    look_up("service.example", 80)
    (thread,) = [each for each in threading.enumerate() if each.name == "look up service.example"]
    assert thread.daemon
