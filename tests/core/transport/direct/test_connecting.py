"""Hosts with several addresses: one that is silent, refuses, or cannot be reached costs a moment and not the call."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nvcf_core.errors import APIConnectionError, APITimeoutError
from nvcf_core.transport.direct.addresses import Address
from nvcf_core.transport.direct.connecting import connect_first, in_turn

SERVICE = "http://service.example/v1"
WHOLE = b'{"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}'

pytestmark = pytest.mark.filterwarnings("ignore:the API key goes to")


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that answers nobody: its queue is full, so that the system drops who comes."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def refusing() -> int:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def address(port: int, host: str = "127.0.0.1") -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = (host, port, 0, 0) if ":" in host else (host, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which addresses the service has."""

    def to(*found: Address) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(found))

    return to


async def test_a_silent_address_costs_a_moment(
    ask: Any, adapter: Any, say: Any, raw: Any, resolve: Any, silent: int
) -> None:
    raw.answer(raw.framed(WHOLE))
    resolve(address(silent), address(silent), address(raw.port))
    model = adapter(base_url=SERVICE, timeout=30, max_retries=0)
    begun = time.monotonic()
    assert (await ask(model, [say("hi")])).text == "Yes."
    assert time.monotonic() - begun < 15


async def test_addresses_that_refuse_cost_nothing(
    ask: Any, adapter: Any, say: Any, raw: Any, resolve: Any, refusing: int
) -> None:
    raw.answer(raw.framed(WHOLE))
    resolve(address(refusing), address(refusing, "::1"), address(raw.port))
    answer = await ask(adapter(base_url=SERVICE, max_retries=0), [say("hi")])
    assert answer.text == "Yes."


async def test_where_all_refuse_it_is_told(
    ask: Any, adapter: Any, say: Any, resolve: Any, refusing: int
) -> None:
    resolve(address(refusing), address(refusing))
    with pytest.raises(APIConnectionError, match=r"(?i)connect(ion refused| call failed)"):
        await ask(adapter(base_url=SERVICE, max_retries=0), [say("hi")])


async def test_where_all_are_silent_the_time_for_connecting_ends_it(
    ask: Any, adapter: Any, say: Any, resolve: Any, silent: int
) -> None:
    resolve(address(silent), address(silent))
    with pytest.raises(APITimeoutError, match=r"no connection within 0\.6 s \(timeout\)"):
        await ask(adapter(base_url=SERVICE, timeout=0.6, max_retries=0), [say("hi")])


async def test_a_host_without_addresses(ask: Any, adapter: Any, say: Any, resolve: Any) -> None:
    resolve()
    with pytest.raises(APIConnectionError, match="no address"):
        await ask(adapter(base_url=SERVICE, max_retries=0), [say("hi")])


def test_families_take_turns() -> None:
    one, two, three = address(1, "::1"), address(2, "::1"), address(3)
    assert in_turn([one, two, three]) == [one, three, two]
    assert in_turn([three, one, two]) == [three, one, two]


def test_a_family_that_this_machine_lacks(monkeypatch: pytest.MonkeyPatch, raw: Any) -> None:
    class WithoutIPv6(socket.socket):
        def __init__(self, family: int, *args: Any, **options: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *args, **options)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with connect_first([address(1, "::1"), address(raw.port)], lambda: 30.0) as sock:
        assert sock.getpeername() == ("127.0.0.1", raw.port)
    with pytest.raises(OSError, match="not supported"):
        connect_first([address(1, "::1")], lambda: 30.0)


@pytest.mark.parametrize("outcome", ["connected", "too late"])
def test_no_socket_is_left(
    monkeypatch: pytest.MonkeyPatch, raw: Any, silent: int, outcome: str
) -> None:
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if "fileno" not in options:  # The server's own have one.
                made.append(self)

    monkeypatch.setattr(socket, "socket", Noted)
    last = raw.port if outcome == "connected" else silent
    give_up = time.monotonic() + (30 if outcome == "connected" else 0.4)
    with contextlib.suppress(TimeoutError):
        connect_first([address(silent), address(last)], lambda: give_up - time.monotonic()).close()
    assert len(made) == 2
    assert {sock.fileno() for sock in made} == {-1}
