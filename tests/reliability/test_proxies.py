"""Proxies of the environment: for the network, never for this machine; what is wrong with one is said."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from nvcf_core import BaseNVCF, Message, errors
from nvcf_core.transport.clients import ClientConfig, Proxies
from nvcf_emulator import Emulator

ASKED = [Message(role="user", parts=("hello",))]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_local_server_is_asked_without_the_proxy(
    nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")  # Nobody listens there.
    server = nvcf_emulator
    with BaseNVCF(
        model="google/gemma-3n-e2b-it", base_url=server.base_url, api_key=server.api_key
    ) as model:
        model._client.complete(model._build_request(ASKED, {}, stream=False))
        asyncio.run(model._client.acomplete(model._build_request(ASKED, {}, stream=False)))
    assert len(server.chats) == 2


@pytest.fixture
def refusing() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that wants a password: its port, and what it was asked."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], seen
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


async def _ask(colour: str, **settings: str) -> None:
    with BaseNVCF(
        model="google/gemma-3n-e2b-it", **{"api_key": "nvapi-secret-key", **settings}
    ) as model:
        request = model._build_request(ASKED, {}, stream=False)
        if colour == "sync":
            await asyncio.to_thread(model._client.complete, request)
        else:
            await model._client.acomplete(request)
        await model.aclose()


@pytest.mark.parametrize(
    ("scheme", "asked", "said"),
    [
        ("https", b"CONNECT service.example:443 ", "407"),
        ("http", b"POST http://service.example/v1/", "HTTP 407"),
    ],
)
@pytest.mark.filterwarnings("ignore:the API key goes to")
async def test_a_proxy_that_refuses_is_named_and_asked_once(
    refusing: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch, colour: str,
    scheme: str, asked: bytes, said: str,
) -> None:  # fmt: skip
    port, seen = refusing
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:secret-password@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(errors.APIConnectionError) as caught:
        await _ask(colour, base_url=f"{scheme}://service.example/v1")
    assert f"the proxy http://127.0.0.1:{port} refused: {said}" in str(caught.value)
    assert "secret-password" not in str(caught.value)
    assert not caught.value.retryable
    assert len(seen) == 1
    assert seen[0].startswith(asked)


async def test_a_socks_proxy_without_its_package(
    monkeypatch: pytest.MonkeyPatch, colour: str, nvcf_emulator: Emulator
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret-password@127.0.0.1:1")
    with pytest.raises(
        errors.InvalidRequestError, match=r"ALL_PROXY names a SOCKS proxy.*pip"
    ) as caught:
        await _ask(colour, base_url="https://service.example/v1")
    assert "secret-password" not in str(caught.value)
    await _ask(colour, base_url=nvcf_emulator.base_url, api_key=nvcf_emulator.api_key)


async def test_a_proxy_that_is_not_a_url(monkeypatch: pytest.MonkeyPatch, colour: str) -> None:
    monkeypatch.setenv("https_proxy", "nonsense://secret-password@x")
    with pytest.raises(errors.InvalidRequestError, match="https_proxy is not the url") as caught:
        await _ask(colour, base_url="https://service.example/v1")
    assert "secret-password" not in str(caught.value)


@pytest.mark.parametrize("entries", ["localhost,127.0.0.1,[::1]", "[,,::,%%%,http://[x", "*"])
def test_entries_that_cannot_be_read_are_passed_over(
    entries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("NO_PROXY", entries)
    found = Proxies().for_url("https://service.example/v1/chat/completions")
    assert (found is None) is (entries == "*")
    assert ClientConfig().client().owned


@pytest.mark.parametrize(
    ("entries", "direct"),
    [
        ("service.example", True),
        (".example", True),
        ("other.example, service.example:443", True),
        ("service.example:8443", False),
        ("other.example", False),
    ],
)
def test_hosts_that_are_asked_directly(
    entries: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("NO_PROXY", entries)
    found = Proxies().for_url("https://service.example:443/v1")
    assert (found is None) is direct


def test_a_proxy_of_the_users_own_is_for_every_url() -> None:
    proxy = Proxies("http://proxy.example:8080").for_url("http://127.0.0.1/v1")
    assert proxy == ("http://proxy.example:8080", "proxy")
