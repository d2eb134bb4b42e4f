"""A server that passes requests on to an emulator, and deviates from it where it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import httpx

from nvcf_emulator import Emulator

Body = dict[str, Any]


@dataclass(frozen=True)
class Deviation:
    """What a server does otherwise.

    Attributes:
        ask: changes the body of a request for an answer before the emulator judges it; returns
            a text instead to refuse it with a 400.
        tell: changes the body of a response with status 200: its text.
        path: changes a path.
    """

    ask: Callable[[Body], Body | str] = lambda body: body
    tell: Callable[[str], str] = lambda text: text
    path: Callable[[str], str] = lambda path: path


class DeviatingServer:
    """The server, in a thread; usable as a context manager.

    Args:
        emulator: answers what is passed on.
        deviation: what is done otherwise.
    """

    def __init__(self, emulator: Emulator, deviation: Deviation) -> None:
        self._http = httpx.Client(timeout=30)
        handler = type("Handler", (_Handler,), {"parts": (emulator, deviation, self._http)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> DeviatingServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._http.close()


class _Handler(BaseHTTPRequestHandler):
    parts: tuple[Emulator, Deviation, httpx.Client]

    def do_POST(self) -> None:
        emulator, deviation, http = self.parts
        body = deviation.ask(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        if isinstance(body, str):
            self._respond(400, "application/json", json.dumps({"error": {"message": body}}))
            return
        kept = ("authorization", "accept", "nvcf-input-asset-references")
        response = http.post(
            emulator.root + deviation.path(self.path),
            json=body,
            headers={name: self.headers[name] for name in kept if name in self.headers},
        )
        text = deviation.tell(response.text) if response.status_code == 200 else response.text
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
