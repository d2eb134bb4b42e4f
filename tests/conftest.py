"""What all tests share: a Hypothesis profile for each lane, an emulator that makes up answers, a server that answers
with bytes, the catalog restored, files that are in no package."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from nvcf_core.models import known_models, unregister

# Where a change is judged, the same examples are tried each time: what fails then is what the change did.
_CI = "CI" in os.environ
settings.register_profile("fast", deadline=None, max_examples=20, derandomize=_CI)
settings.register_profile("full", deadline=None, max_examples=400, derandomize=_CI)
settings.load_profile("fast")  # `make check` asks for the other: --hypothesis-profile=full


_TESTS = Path(__file__).parent
_WIDE = frozenset(
    ("batch", "cli", "docs", "examples", "media", "reliability", "unusual_answers", "web")
)
"""Folders whose tests try every combination of a fault, a medium, a model and a framework, or start programs."""


@pytest.hookimpl(tryfirst=True)  # Before tests are chosen by their markers.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the wide tests, and let the emulator be lenient where a test does not say otherwise.

    Most tests here are about what is sent, and need some answer to it, whichever.
    """
    for item in items:
        if item.path.is_relative_to(_TESTS) and item.path.relative_to(_TESTS).parts[0] in _WIDE:
            item.add_marker(pytest.mark.wide)
        if item.get_closest_marker("nvcf_emulator") is None:
            item.add_marker(pytest.mark.nvcf_emulator(strict=False))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell that starts the tests in the background has them ignore SIGINT, and all that they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def restored_catalog() -> Iterator[None]:
    """Models that the test registers are unregistered after it."""
    before = known_models()
    yield
    for spec in known_models():
        if spec not in before:
            unregister(spec.id)


Bytes = Iterable[bytes | float]
"""What is sent; a number is a pause of so many seconds."""


@dataclass
class RawServer:
    """Does what the emulator's HTTP library cannot be made to: answers with bytes, in its own time.

    It answers each request with the next of `answers`, the last of them again and again.
    """

    port: int = 0
    answers: list[Callable[[], Bytes]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each request."""
    connections: int = 0
    """How many were made so far."""
    open: int = 0
    """How many are open."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, *pieces: bytes | float) -> None:
        """Add an answer."""
        self.answers.append(lambda: pieces)

    @staticmethod
    def framed(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
        """A whole response."""
        length = b"content-length: %d" % len(body)
        return b"\r\n".join((b"HTTP/1.1 " + status, length, *headers, b"", body))

    def wait_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Whether something is so within a time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        self.open += 1
        with connection, suppress(OSError):
            while (request := self._request(connection)) is not None:
                self.requests.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                for piece in answer():
                    if isinstance(piece, float):
                        time.sleep(piece)
                    else:
                        connection.sendall(piece)
        self.open -= 1

    @staticmethod
    def _request(connection: socket.socket) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )  # fmt: skip
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def load() -> Callable[[Path], ModuleType]:
    """Imports a file that is in no package."""

    def imported(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look for their module here.
        sys.modules[path.stem] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[path.stem]
        return module

    return imported
