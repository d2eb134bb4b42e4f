"""A server for measurements, in a process of its own: it takes bodies of any size and throws them away."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BUFFER = 1 << 20
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "acme/any",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Seen."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}


class _Taker(socketserver.StreamRequestHandler):
    """One connection: reads request after request."""

    def handle(self) -> None:
        try:
            while line := self.rfile.readline():
                self._answer(*line.decode("ascii").split()[:2])
        except ConnectionError:
            pass  # A client may leave when it likes.

    def _answer(self, method: str, path: str) -> None:
        length = self._content_length()
        buffer = memoryview(bytearray(_BUFFER))
        while length > 0:
            length -= self.rfile.readinto(buffer[: min(length, _BUFFER)])
        status, body = self._reply(method, path)
        data = json.dumps(body).encode() if body else b""
        head = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)

    def _content_length(self) -> int:
        length = 0
        while (line := self.rfile.readline().lower()) not in (b"\r\n", b""):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return length

    def _reply(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        if method == "DELETE":
            return 204, {}
        if path.endswith("/assets"):
            host, port = self.request.getsockname()[:2]
            return 200, {"assetId": "asset-1", "uploadUrl": f"http://{host}:{port}/upload/1"}
        return 200, {} if method == "PUT" else _ANSWER


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def server() -> Iterator[str]:
    """The root of such a server, in another process: chat below `/v1`, assets at `/assets`, puts at `/upload/1`."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Taker) as taking:
        print(taking.server_address[1], flush=True)
        taking.serve_forever()
