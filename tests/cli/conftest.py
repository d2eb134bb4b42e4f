"""What the command's tests share: the command in this process and as a program, and servers that misbehave."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from nvcf_cli.app import run
from nvcf_emulator import API_KEY, Emulator

ROOT = Path(__file__).parents[2]

_VARIABLES = (
    "NVIDIA_API_KEY", "NVIDIA_BASE_URL", "NVCF_URL", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """All of the standard output, as the one JSON document that it has to be."""
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def nvcf(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process. Whatever it prints, the key is not in it."""

    def call(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = run(list(arguments))
        said = capsys.readouterr()
        assert API_KEY not in said.out + said.err
        return Ended(status, said.out, said.err)

    return call


@pytest.fixture
def program(tmp_path: Path) -> Command:
    """Runs `python -m nvcf_cli` as a program, in an empty folder."""

    def call(*arguments: str, stdin: str = "") -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "nvcf_cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}"},
        )
        assert API_KEY not in done.stdout + done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def service(nvcf_env: Emulator) -> Emulator:
    """The emulator, where the environment points to."""
    return nvcf_env


class Listener:
    """A server that reads the head of each request and sends the same bytes to everybody.

    Args:
        says: what it sends.
        context: makes it speak TLS.
    """

    def __init__(self, says: bytes, context: ssl.SSLContext | None = None) -> None:
        self._says, self._context = says, context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        if self._context is None:
            self._talk(connection)
            return
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            return  # The client left: it does not trust the certificate.
        with secured:
            self._talk(secured)

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # The client may leave whenever it wants.
            self.heads.append(connection.recv(65_536))
            connection.sendall(self._says)


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Starts listeners, closed after the test."""
    started: list[Listener] = []

    def start(says: bytes, context: ssl.SSLContext | None = None) -> Listener:
        started.append(Listener(says, context))
        return started[-1]

    yield start
    for listener in started:
        listener.close()


Body = dict[str, Any]


class DeviatingServer:
    """A server that passes requests on to an emulator, and does what it is told to otherwise.

    Args:
        emulator: answers what is passed on.
        ask: changes the body of a request for an answer before the emulator judges it; returns
            a text instead to refuse it with a 400.
        tell: changes the body of a response with status 200: its text.
        path: changes a path.
    """

    def __init__(
        self,
        emulator: Emulator,
        ask: Callable[[Body], Body | str] = lambda body: body,
        tell: Callable[[str], str] = lambda text: text,
        path: Callable[[str], str] = lambda path: path,
    ) -> None:
        self._http = httpx.Client(timeout=30)
        parts = {"emulator": emulator, "http": self._http}
        changes = {
            name: staticmethod(change)
            for name, change in (("ask", ask), ("tell", tell), ("changed_path", path))
        }
        handler = type("Handler", (_PassingOn,), {**parts, **changes})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._http.close()


class _PassingOn(BaseHTTPRequestHandler):
    emulator: Emulator
    http: httpx.Client
    ask: Callable[[Body], Body | str]
    tell: Callable[[str], str]
    changed_path: Callable[[str], str]

    def do_POST(self) -> None:
        body = self.ask(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        if isinstance(body, str):
            self._respond(400, "application/json", json.dumps({"error": {"message": body}}))
            return
        kept = ("authorization", "accept", "nvcf-input-asset-references")
        response = self.http.post(
            self.emulator.root + self.changed_path(self.path),
            json=body,
            headers={name: self.headers[name] for name in kept if name in self.headers},
        )
        text = self.tell(response.text) if response.status_code == 200 else response.text
        self._respond(response.status_code, response.headers["content-type"], text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _respond(self, status: int, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def deviating_url(service: Emulator) -> Iterator[Callable[..., str]]:
    """Starts a `DeviatingServer` before the emulator, and returns its base url."""
    started: list[DeviatingServer] = []

    def start(**changes: Any) -> str:
        started.append(DeviatingServer(service, **changes))
        return started[-1].base_url

    yield start
    for server in started:
        server.close()


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
