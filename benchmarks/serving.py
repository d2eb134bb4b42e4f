"""A server for measurements, in a process of its own: canned answers of a chosen length, nothing else done."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MODEL = "moonshotai/kimi-k2.6"
_CHUNKS = re.compile(rb"chunks=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_PAUSE = 0.001
"""Seconds between two chunks of a stream, so that each arrives by itself, as a model's words do."""
_USAGE = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}


def _event(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    data = b"data: " + json.dumps({**about, "choices": [choice], **more}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(data),
        data,
    )


_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + _event({"role": "assistant", "content": ""})
)
_PIECE = _event({"content": " word"})
_TAIL = _event({}, "stop", usage=_USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_ANSWER = _whole(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": " word" * 20},
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
)
_MODELS = _whole(
    {
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "acme"}],
    }
)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            if b'"stream":true' in body.replace(b" ", b""):
                chunks = _CHUNKS.search(body)
                writer.write(_HEAD)
                for _ in range(int(chunks[1]) if chunks else 1):
                    writer.write(_PIECE)
                    await asyncio.sleep(_PAUSE)
                writer.write(_TAIL)
            else:
                writer.write(_MODELS if head.startswith(b"GET") else _ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server() -> Iterator[str]:
    """The root of such a server, in another process, ending in `/v1`."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(_main())
