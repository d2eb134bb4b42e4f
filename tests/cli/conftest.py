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
from pathlib import Path
from typing import Any

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


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
