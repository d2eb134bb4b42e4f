"""Where the key goes, and where not: other hosts and ports, plain http, netrc, proxies; and TLS of the user's own."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from nvcf_core import errors
from nvcf_core.errors import NVCFWarning
from nvcf_emulator import Emulator

only_whole = pytest.mark.parametrize("mode", ["whole"])


@dataclass
class Stranger:
    """A host that is none of the service's, and remembers what it is sent."""

    port: int
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            known.seen.append(
                (self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            )
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_PUT = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    known = Stranger(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


def clean(seen: dict[str, str], key: str) -> bool:
    """Whether a stranger got nothing that is the user's."""
    return (
        key not in str(seen)
        and "blue" not in str(seen)
        and not {"authorization", "cookie", "nvcf-input-asset-references"} & set(seen)
    )


async def test_not_to_a_presigned_url(
    way: Any, nvcf_emulator: Emulator, stranger: Stranger, large_picture: bytes
) -> None:
    """Another port of the same machine is another host."""
    upload = f'{{"assetId": "a1", "uploadUrl": "{stranger.url}/bucket?signed=1"}}'
    nvcf_emulator.raw(200, {"content-type": "application/json", "set-cookie": "session=blue"},
                      [upload.encode()], on="create")  # fmt: skip
    nvcf_emulator.raw(204, on="delete")
    nvcf_emulator.reply(text="seen")
    asked = way(default_headers={"x-team": "blue"})
    with pytest.raises(errors.NVCFError):  # The stand-in knows no asset a1.
        await asked.ask(picture=large_picture)
    await asked.close()
    (method, path, headers), *_ = stranger.seen
    assert (method, path) == ("PUT", "/bucket?signed=1")
    assert clean(headers, nvcf_emulator.api_key)
    assert headers["content-length"] == str(len(large_picture))


async def test_not_to_a_redirects_host(
    way: Any, nvcf_emulator: Emulator, stranger: Stranger
) -> None:
    nvcf_emulator.raw(302, {"location": f"{stranger.url}/result.zip", "set-cookie": "session=blue"})
    with pytest.raises(errors.InvalidResponseError):
        await way(default_headers={"x-team": "blue"}).ask()
    assert [(method, path) for method, path, _ in stranger.seen] == [("GET", "/result.zip")]
    assert clean(stranger.seen[0][2], nvcf_emulator.api_key)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_not_by_a_client_of_the_users_own(
    core: Any, nvcf_emulator: Emulator, stranger: Stranger, library: Any
) -> None:
    """Headers, cookies, credentials and redirects that a client was set up with stay at home, too."""
    nvcf_emulator.raw(302, {"location": f"{stranger.url}/result.zip"})
    with library.Client(
        headers={"x-team": "blue"},
        cookies={"c": "blue"},
        auth=("blue", "blue"),
        follow_redirects=True,
    ) as client:
        asked = core(http_client=client)
        with pytest.raises(errors.InvalidResponseError):
            asked.complete(asked.messages("hi", None))
    assert nvcf_emulator.chats[0].headers["x-team"] == "blue"
    assert clean(stranger.seen[0][2], nvcf_emulator.api_key)


@only_whole
async def test_netrc_and_a_clients_credentials_do_not_replace_it(
    way: Any, nvcf_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    await way().ask()
    with httpx.Client(auth=httpx.NetRCAuth(str(netrc))) as client:
        async with httpx.AsyncClient(auth=("somebody", "else")) as async_client:
            await way(http_client=client, http_async_client=async_client).ask()
    sent = {request.headers["authorization"] for request in nvcf_emulator.chats}
    assert sent == {f"Bearer {nvcf_emulator.api_key}"}


@only_whole
async def test_other_hosts_are_called_without_a_key(
    way: Any, nvcf_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    with pytest.raises(errors.AuthenticationError):
        await way(api_key=None).ask()
    assert "authorization" not in nvcf_emulator.chats[0].headers


@only_whole
async def test_nvidias_hosts_are_not(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    asked = way(api_key=None, base_url=None, nvcf_url=None)
    with pytest.raises(errors.InvalidRequestError, match="NVIDIA_API_KEY"):
        await asked.ask()


def answering(library: Any, seen: list[Any]) -> tuple[Any, Any]:
    """A sync and an async client that answer by themselves, whatever host is asked."""

    def handle(request: Any) -> Any:
        seen.append(request)
        message = {"role": "assistant", "content": "mocked"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return library.Response(200, json={"id": "1", "choices": [choice]})

    return (
        library.Client(transport=library.MockTransport(handle)),
        library.AsyncClient(transport=library.MockTransport(handle)),
    )


@only_whole
async def test_one_warning_for_plain_http(way: Any) -> None:
    seen: list[Any] = []
    sync, asynchronous = answering(httpx, seen)
    with sync:
        asked = way(
            base_url="http://models.example:8000/v1", nvcf_url=None,
            http_client=sync, http_async_client=asynchronous,
        )  # fmt: skip
        with pytest.warns(NVCFWarning, match=r"models\.example.*without TLS") as caught:
            assert [await asked.ask() for _ in range(3)] == ["mocked"] * 3
    await asynchronous.aclose()
    assert len(caught) == 1
    assert len(seen) == 3


@only_whole
@pytest.mark.parametrize(
    "given", [{"base_url": "https://models.example/v1"}, {"base_url": "http://[::1]:8000/v1"},
              {"base_url": "http://localhost/v1"}, {"base_url": "http://models.example/v1", "api_key": None}]
)  # fmt: skip
async def test_no_warning_where_nobody_listens(
    way: Any, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    sync, asynchronous = answering(httpx, [])
    with sync, warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = way(**given, nvcf_url=None, http_client=sync, http_async_client=asynchronous)
        assert await asked.ask() == "mocked"
    await asynchronous.aclose()


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_clients_of_the_users_own(way: Any, nvcf_emulator: Emulator, library: Any) -> None:
    """Used as they are, sync and async, and left open."""
    with library.Client(headers={"x-mine": "1"}) as sync:
        async with library.AsyncClient(headers={"x-mine": "1"}) as asynchronous:
            asked = way(http_client=sync, http_async_client=asynchronous, max_retries=0)
            assert "question" in await asked.ask("question")
            nvcf_emulator.fault("truncate")
            with pytest.raises(errors.NVCFError):
                await asked.ask()
            await asked.close()
            assert not sync.is_closed
            assert not asynchronous.is_closed
            assert "again" in await asked.ask("again")
    assert all(request.headers["x-mine"] == "1" for request in nvcf_emulator.chats)


# TLS


@dataclass
class Secured:
    """The stand-in behind TLS of a CA that nobody knows."""

    port: int
    authority: Path
    certificate: Path
    key: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until either side ends."""
    with suppress(OSError):  # One side left; the other is told.
        while data := source.recv(65536):
            target.sendall(data)
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def serve(handle: Callable[[socket.socket], None]) -> tuple[socket.socket, int]:
    """Accept connections in a thread, each handled in one of its own, until the listener is closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener, listener.getsockname()[1]


def join(one: socket.socket, address: tuple[str, int]) -> None:
    """Connect a socket with a server, in both directions."""
    with closing(one), socket.create_connection(address) as other:
        back = threading.Thread(target=pump, args=(other, one), daemon=True)
        back.start()
        pump(one, other)
        back.join()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA and a certificate of it for localhost, made by the openssl command: no dependency more."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here")
    folder = tmp_path_factory.mktemp("tls")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=test CA",
    )
    run("req", *new_key, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    run("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "own.pem", "-days", "2", "-extfile", "names")  # fmt: skip
    return folder


@pytest.fixture(params=[False])
def secured(
    request: pytest.FixtureRequest, certificates: Path, nvcf_emulator: Emulator
) -> Iterator[Secured]:
    """With the parameter True, clients need a certificate, too."""
    own = (certificates / "own.pem", certificates / "own.key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(*own)
    context.verify_mode = ssl.CERT_REQUIRED if request.param else ssl.CERT_NONE
    host, port = nvcf_emulator.root.removeprefix("http://").split(":")

    def handle(connection: socket.socket) -> None:
        try:
            protected = context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()  # Whoever does not trust us leaves here.
            return
        join(protected, (host, int(port)))

    listener, own_port = serve(handle)
    with listener:
        yield Secured(own_port, certificates / "ca.pem", *own)
        listener.shutdown(socket.SHUT_RDWR)


def _leading_to(secured: Secured, verify: Any) -> dict[str, Any]:
    return {
        "base_url": f"{secured.url}/v1",
        "nvcf_url": f"{secured.url}/v2/nvcf",
        "verify": verify,
        "max_retries": 0,
    }


VERIFIES: dict[str, Callable[[Secured], Any]] = {
    "path": lambda secured: str(secured.authority),
    "Path": lambda secured: secured.authority,
    "context": lambda secured: ssl.create_default_context(cafile=secured.authority),
    "off": lambda _: False,
}


@pytest.mark.parametrize("verify", VERIFIES)
async def test_a_ca_of_the_users_own(way: Any, secured: Secured, verify: str) -> None:
    asked = way(**_leading_to(secured, VERIFIES[verify](secured)))
    assert "over TLS" in await asked.ask("over TLS")
    await asked.close()


async def test_a_certificate_that_nobody_knows(
    way: Any, secured: Secured, nvcf_emulator: Emulator
) -> None:
    asked = way(**{**_leading_to(secured, True), "max_retries": 2})
    with pytest.raises(
        errors.APIConnectionError, match=r"certificate is not trusted.*verify="
    ) as caught:
        await asked.ask()
    assert not caught.value.retryable
    assert nvcf_emulator.requests == []


async def test_https_to_a_port_that_speaks_http(way: Any, nvcf_emulator: Emulator) -> None:
    root = nvcf_emulator.root.replace("http://", "https://")
    with pytest.raises(errors.APIConnectionError, match="Does that port speak https") as caught:
        await way(base_url=f"{root}/v1", nvcf_url=f"{root}/v2/nvcf").ask()
    assert not caught.value.retryable


@pytest.mark.parametrize("secured", [True], indirect=True)
async def test_client_certificates(way: Any, secured: Secured) -> None:
    context = ssl.create_default_context(cafile=secured.authority)
    with pytest.raises(errors.APIConnectionError):
        await way(**_leading_to(secured, context)).ask()
    context.load_cert_chain(secured.certificate, secured.key)
    asked = way(**_leading_to(secured, context))
    assert "both known" in await asked.ask("both known")
    await asked.close()


@pytest.mark.parametrize("verify", ["/no/such/file.pem", os.devnull])
async def test_a_ca_file_that_is_none(way: Any, verify: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="verify"):
        await way(verify=verify).ask()


async def test_a_proxy_sees_the_key_only_inside_tls(
    way: Any, secured: Secured, nvcf_emulator: Emulator
) -> None:
    seen: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        asked = connection.recv(65536)
        seen.append(asked)
        connection.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
        join(connection, ("localhost", secured.port))

    listener, port = serve(handle)
    context = ssl.create_default_context(cafile=secured.authority)
    async with httpx.AsyncClient(proxy=f"http://127.0.0.1:{port}", verify=context) as asynchronous:
        with ExitStack() as stack:
            stack.enter_context(listener)
            sync = stack.enter_context(
                httpx.Client(proxy=f"http://127.0.0.1:{port}", verify=context)
            )
            asked = way(
                **_leading_to(secured, True), http_client=sync, http_async_client=asynchronous
            )
            assert "by proxy" in await asked.ask("by proxy")
            listener.shutdown(socket.SHUT_RDWR)
    assert seen[0].startswith(f"CONNECT localhost:{secured.port} ".encode())
    assert nvcf_emulator.api_key.encode() not in b"".join(seen)
    assert nvcf_emulator.chats[0].headers["authorization"] == f"Bearer {nvcf_emulator.api_key}"
