"""A server for measurements, in a process of its own: canned answers, of the kind, length and pace that a prompt names.

Nothing else is done, so that it takes as little as it can of the processor that the client is measured on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["MODEL", "asking_for", "server"]

MODEL = "moonshotai/kimi-k2.6"

_ASKED = re.compile(rb"stream (text|reasoning|tools) (\d+) ([a-z]+)(\d*)")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_PAUSE = 0.0005
"""Seconds between two events of the pace "lone", so that each arrives by itself, as a model's words do."""
_USAGE = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
_END = b"0\r\n\r\n"


def asking_for(kind: str, chunks: int, pace: str) -> str:
    """A prompt that asks for a stream.

    Args:
        kind: "text", "reasoning" or "tools".
        chunks: how many pieces the answer comes in.
        pace: "burst": all in one write, with the length of the body; "chunked": in one write, each event an HTTP chunk;
            "lone": each event in a write of its own, half a millisecond apart; "hold" and milliseconds: the rest of the
            answer that long after its first event.
    """
    return f"stream {kind} {chunks} {pace}"


def _event(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: " + json.dumps({**about, "choices": [choice], **more}).encode() + b"\n\n"


def _call(arguments: str, **more: object) -> dict[str, object]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]}


@functools.cache
def _events(kind: str, count: int) -> list[bytes]:
    """All events of an answer."""
    last = _event({}, "tool_calls" if kind == "tools" else "stop", usage=_USAGE)
    if kind == "tools":
        begin = {"index": 0, "id": "call-1", "type": "function"}
        begin["function"] = {"name": "search", "arguments": '{"query": "'}
        pieces = [_event({"role": "assistant", "content": None, "tool_calls": [begin]})]
        pieces += [_event(_call(f"word{number} ")) for number in range(count - 2)]
        pieces.append(_event(_call('"}')))
    else:
        key = "content" if kind == "text" else "reasoning_content"
        pieces = [_event({key: f"word{number} "}) for number in range(count)]
    return [*pieces, last, b"data: [DONE]\n\n"]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@functools.cache
def _at_once(kind: str, count: int, pace: str) -> bytes:
    """A whole reply, for the paces that need one write."""
    head, events = _HEAD % b"text/event-stream", _events(kind, count)
    if pace == "burst":
        body = b"".join(events)
        return head + b"content-length: %d\r\n\r\n" % len(body) + body
    return head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(map(_chunk, events)) + _END


def _whole(body: object) -> bytes:
    data = json.dumps(body).encode()
    return _HEAD % b"application/json" + b"content-length: %d\r\n\r\n%s" % (len(data), data)


_MESSAGE = {"role": "assistant", "content": " word" * 20}
_ANSWER = _whole(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
)
_LISTED = {"id": MODEL, "object": "model", "created": 1, "owned_by": "acme"}
_MODELS = _whole({"object": "list", "data": [_LISTED]})


async def _paced(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: re.Match[bytes]
) -> None:
    events = _events(asked[1].decode(), int(asked[2]))
    writer.write(_HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n")
    if asked[3] == b"hold":
        writer.write(_chunk(events[0]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(int(asked[4]) / 1000):
                await reader.read(1)  # Nothing comes but the end, where the client leaves.
        writer.write(b"".join(map(_chunk, events[1:])))
    else:
        for event in events:
            writer.write(_chunk(event))
            await asyncio.sleep(_PAUSE)
    writer.write(_END)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            streams = b'"stream":true' in body.replace(b" ", b"")
            asked = _ASKED.search(body) if streams else None
            if asked is None:
                writer.write(_MODELS if head.startswith(b"GET") else _ANSWER)
            elif asked[3] in (b"burst", b"chunked"):
                writer.write(_at_once(asked[1].decode(), int(asked[2]), asked[3].decode()))
            else:
                await _paced(reader, writer, asked)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The client has left.
    finally:
        writer.close()


async def _main() -> None:
    serving = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(serving.sockets[0].getsockname()[1], flush=True)
    await serving.serve_forever()


@contextlib.contextmanager
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
