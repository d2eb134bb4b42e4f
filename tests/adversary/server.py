"""The server: it takes a connection's requests, and does to each what the number in its path says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from .variations import Variation

__all__ = ["Adversary"]


class Adversary:
    """Listens until it is closed.

    Args:
        variation_of: the variation of a number.
    """

    def __init__(self, variation_of: Callable[[int], Variation]) -> None:
        self._variation_of = variation_of
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.root = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        """Stop listening, and leave every connection."""
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            with connection, suppress(OSError, ValueError):
                while (path := self._read_request(connection)) is not None:
                    self._answer(connection, path)
        finally:
            with self._lock:
                self._open.discard(connection)

    @staticmethod
    def _read_request(connection: socket.socket) -> str | None:
        """The path of the next request. None: there is none."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length and (piece := connection.recv(65536)):
            body += piece
        return head.split(b" ", 2)[1].decode("latin-1")

    def _answer(self, connection: socket.socket, path: str) -> None:
        """Do what the variation says. Raises an OSError where the other side has left."""
        _, number, rest = path.split("/", 2)
        kind = "ask" if rest.endswith("completions") else "poll" if "status" in rest else "fetch"
        for piece in self._variation_of(int(number)).replies[kind]:
            if piece is None:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                raise OSError("closed on purpose")
            if isinstance(piece, float):
                self._wait(connection, piece)
            else:
                connection.sendall(piece.replace(b"{root}", f"{self.root}/{number}".encode()))

    def _wait(self, connection: socket.socket, seconds: float) -> None:
        """Let time pass, unless the other side leaves."""
        connection.settimeout(seconds)
        try:
            if connection.recv(1, socket.MSG_PEEK) == b"":
                raise OSError("it has left")
            self._closed.wait(seconds)
        except TimeoutError:
            if self._closed.is_set():
                raise OSError("closed") from None
        finally:
            connection.settimeout(None)
