"""What the server does to one call: drawn from a seed, so that a number names it."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar
from urllib.parse import quote

__all__ = ["Piece", "Variation", "variation"]

Piece: TypeAlias = "bytes | float | None"
"""Bytes to be sent; seconds to wait; None: close the connection with a reset."""

STALL = 30.0
"""Seconds of a server that stands still: far beyond every limit. It is left before."""

USUAL = 0.4
"""How often the server means no harm in one of the ways in which it could."""

DRIP = 0.03
"""Seconds between two pieces of what drips."""

Draw: TypeAlias = "random.Random"
T = TypeVar("T")


@dataclass
class Variation:
    """One way to answer a call."""

    number: int
    names: list[str] = field(default_factory=list[str])
    """What was drawn, for the report."""
    endless: bool = False
    """Whether it keeps sending an answer that only the limit of the whole call can end."""
    replies: dict[str, Iterable[Piece]] = field(default_factory=dict[str, "Iterable[Piece]"])
    """What is sent for each kind of request: ask, poll, fetch. To be gone through once."""


def variation(number: int, seed: int, key: str) -> Variation:
    """The variation of a number.

    Args:
        number: which one.
        seed: of the run.
        key: the API key, which some of them echo.
    """
    draw = random.Random(f"{seed} {number}")
    made = Variation(number)
    made.replies["ask"] = made.replies["poll"] = made.replies["fetch"] = _reply(draw, made, key)
    route = draw.choice(("direct", "direct", "direct", "polled", "polled for ever", "redirected"))
    made.names.insert(0, route)
    if route.startswith("polled"):
        made.replies["ask"] = [
            _head("202 Accepted", [f"nvcf-reqid: {_request_id(draw, key)}"], b"")
        ]
        if route == "polled for ever":
            made.replies["poll"] = made.replies["ask"]
    elif route == "redirected":
        target = draw.choice(("/result", "/result", f"/{key}", "//[", "/" + "x" * 9000))
        made.replies["ask"] = [_head("302 Found", ["location: {root}" + target], b"")]
    return made


def _request_id(draw: Draw, key: str) -> str:
    return draw.choice(("b1946ac9-2f5b", "b1946ac9-2f5b", key, "../../etc", "x" * 500, ""))


def _reply(draw: Draw, made: Variation, key: str) -> Iterable[Piece]:
    """A response: its head, its body, how that is framed, and in which time it comes."""
    status = draw.choice(STATUSES)
    echoed = draw.choice(_spellings(key)) if draw.random() < 0.3 else "nothing of interest"
    kind, make = _pick(draw, BODIES)
    content_type, body = make(draw, echoed)
    encoding, encode = _pick(draw, ENCODINGS)
    headers = [f"content-type: {draw.choice((content_type, content_type, 'text/plain', ''))}"]
    if encoding:
        headers.append(f"content-encoding: {encoding}")
    if draw.random() < 0.15:
        headers.append(draw.choice(HEADERS).format(key=echoed.replace("\n", "")))
    framing, frame = _pick(draw, FRAMINGS)
    pace, deliver = _pick(draw, PACES)
    made.names += [status, kind, encoding or "plain", framing, pace]
    made.endless = kind.startswith("endless")
    head, framed = frame(draw, status, headers, encode(body))
    return deliver(draw, head, framed)


def _pick(draw: Draw, of: dict[str, T]) -> tuple[str, T]:
    """One of a table, most often the first, which means no harm: else hardly a call would get further than that."""
    names = list(of)
    name = names[0] if draw.random() < USUAL else draw.choice(names)
    return name.rstrip("*"), of[name]


def _spellings(key: str) -> tuple[str, ...]:
    """A key as a service may echo it."""
    return (
        key,
        f"Bearer {key}",
        "".join(f"\\u{ord(letter):04x}" for letter in key),
        "".join(f"%{ord(letter):02X}" for letter in key),
        quote(quote(key, safe=""), safe=""),
        base64.b64encode(key.encode()).decode(),
        base64.urlsafe_b64encode(f"user:{key}".encode()).decode(),
    )


# --- what is said --------------------------------------------------------------------------------

STATUSES = ("200 OK",) * 30 + (
    "201 Created", "204 No Content", "206 Partial", "302 Found", "307 Moved", "400 Bad", "401 No", "404 Gone",
    "409 Again", "429 Slow down", "500 Oops", "502 Bad", "503 Busy", "599 Odd", "999 Odd", "2x0 What",
)  # fmt: skip

HEADERS = (
    "set-cookie: id={key}", "nvcf-reqid: {key}", "retry-after: {key}", "retry-after: 86400", "retry-after: 0",
    "location: https://{key}.invalid/", "x-should-retry: false", "content-encoding: {key}", "content-length: {key}",
    "transfer-encoding: {key}", "{key}", ": {key}", "nvcf-percent-complete: {key}", "connection: close", "date: {key}",
)  # fmt: skip


def _choice(**fields: object) -> dict[str, object]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, **fields}]}


def _answer(draw: Draw, echoed: str) -> tuple[str, bytes]:
    message = {"role": "assistant", "content": f"Once upon a time {echoed}"}
    return "application/json", json.dumps(_choice(message=message, finish_reason="stop")).encode()


def _event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _events(draw: Draw, echoed: str) -> tuple[str, bytes]:
    words = [_event(_choice(delta={"content": word})) for word in ("Once ", "upon ", echoed)]
    end = _event(
        _choice(delta={}, finish_reason=draw.choice(("stop", "length", "abort", "error", "")))
    )
    return "text/event-stream", b"".join([*words, end, b"data: [DONE]\n\n"])


def _calls(draw: Draw, echoed: str) -> tuple[str, bytes]:
    function = {"name": "f", "arguments": draw.choice(('{"a": 1}', '{"a', echoed, "[" * 500))}
    call = {"index": draw.choice((0, 1, -1, 10**12, "x")), "id": "1", "function": function}
    events = [_event(_choice(delta={"tool_calls": [call]})) for _ in range(draw.randrange(1, 400))]
    return "text/event-stream", b"".join(
        [*events, _event(_choice(delta={}, finish_reason="tool_calls"))]
    )


def _mutated(draw: Draw, echoed: str) -> tuple[str, bytes]:
    """An answer with bytes changed, left out, or repeated."""
    kind, body = draw.choice((_answer, _events, _calls))(draw, echoed)
    data = bytearray(body)
    for _ in range(draw.randrange(1, 12)):
        place = draw.randrange(len(data))
        change = draw.randrange(3)
        if change == 0:
            data[place] = draw.randrange(256)
        elif change == 1:
            del data[place : place + draw.randrange(1, 30)]
            data = data or bytearray(b"x")
        else:
            data[place:place] = data[place : place + 40] * draw.randrange(1, 9)
    return kind, bytes(data)


def _error(draw: Draw, echoed: str) -> tuple[str, bytes]:
    shapes: tuple[object, ...] = (
        {"detail": echoed}, {"error": echoed}, {"error": {"message": echoed, "code": draw.choice((429, 500, "x"))}},
        {"detail": [{"loc": ["body", echoed], "msg": echoed}]}, {"title": echoed, "status": 503}, [echoed], echoed,
        None, {echoed: echoed}, {"message": {"a": [echoed]}},
    )  # fmt: skip
    return "application/json", json.dumps(draw.choice(shapes)).encode()


def _event_error(draw: Draw, echoed: str) -> tuple[str, bytes]:
    said = draw.choice((f"event: error\n: {echoed}\n\n", f"event: error\ndata: {echoed}\n\n",
                        f'data: {{"error": {{"message": "{echoed}"}}}}\n\n'))  # fmt: skip
    begun = _event(_choice(delta={"content": "Once "})) if draw.random() < 0.5 else b""
    return "text/event-stream", begun + said.encode()


def _raw(content_type: str, body: bytes) -> Callable[[Draw, str], tuple[str, bytes]]:
    return lambda draw, echoed: (content_type, body)


WORD = _event(_choice(delta={"content": "word "}))
BODIES: dict[str, Callable[[Draw, str], tuple[str, bytes]]] = {
    "an answer": _answer,
    "events": _events,
    "calls": _calls,
    "a mutated answer": _mutated,
    "a mutated answer*": _mutated,
    "an error": _error,
    "an error as an event": _event_error,
    "nothing": _raw("application/json", b""),
    "noise": lambda draw, echoed: ("application/json", draw.randbytes(2000)),
    "white space": _raw("application/json", b" \n" * 40_000),
    "comments": _raw("text/event-stream", b": ping\n\n" * 10_000),
    "one line": _raw("text/event-stream", b"data: " + b"x" * 300_000),
    "deep JSON": _raw("application/json", b"[" * 100_000),
    "deep events": _raw("text/event-stream", b'data: {"choices":' + b"[" * 100_000 + b"\n\n"),
    "a large number": _raw(
        "application/json", b'{"choices": [{"index": ' + b"9" * 100_000 + b"}]}"
    ),
    "endless words": _raw("text/event-stream", WORD * 20_000),
    "a zip": _raw("application/zip", b"PK\x05\x06" + bytes(18)),
    "half a character": _raw("text/event-stream", _event(_choice(delta={"content": "\ud83d"})) * 3),
}


# --- how it is encoded ---------------------------------------------------------------------------


@functools.cache
def _bomb() -> bytes:
    """A third of a gigabyte of spaces, in as many kilobytes."""
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(b" " * (1 << 20)) for _ in range(320)), packer.flush()])


@functools.cache
def _doubled_bomb() -> bytes:
    return gzip.compress(_bomb())


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda body: body,
    "gzip": gzip.compress,
    "gzip*": lambda body: gzip.compress(body)[:-9],
    "gzip**": lambda body: _bomb(),
    "gzip***": lambda body: body,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "gzip, gzip*": lambda body: _doubled_bomb(),
    "deflate": zlib.compress,
    "deflate*": lambda body: zlib.compress(body)[2:],
    "br": lambda body: body,
    "identity": lambda body: body,
}


# --- how it is framed ----------------------------------------------------------------------------

Framed: TypeAlias = "tuple[bytes, bytes]"


def _head(status: str, headers: list[str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body


def _with_length(difference: int) -> Callable[[Draw, str, list[str], bytes], Framed]:
    def frame(draw: Draw, status: str, headers: list[str], body: bytes) -> Framed:
        length = max(0, len(body) + difference)
        lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {length}", "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace"), body

    return frame


def _chunked(draw: Draw, status: str, headers: list[str], body: bytes) -> Framed:
    lines = [f"HTTP/1.1 {status}", *headers, "transfer-encoding: chunked", "", ""]
    size = draw.choice((7, 1000, 65_536)) if len(body) < 100_000 else 65_536
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    framed = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return "\r\n".join(lines).encode("latin-1", "replace"), b"".join([*framed, b"0\r\n\r\n"])


def _badly_chunked(draw: Draw, status: str, headers: list[str], body: bytes) -> Framed:
    head, framed = _chunked(draw, status, headers, body)
    place = draw.randrange(len(framed))
    return head, framed[:place] + b"zz" + framed[place:]


def _until_closed(draw: Draw, status: str, headers: list[str], body: bytes) -> Framed:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1", "replace"), body


def _many_headers(draw: Draw, status: str, headers: list[str], body: bytes) -> Framed:
    more = [f"x-{number}: {'v' * 1000}" for number in range(200)]
    return _with_length(0)(draw, status, [*headers, *more], body)


def _informed(draw: Draw, status: str, headers: list[str], body: bytes) -> Framed:
    head, framed = _chunked(draw, status, headers, body)
    return b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 2000 + head, framed


FRAMINGS: dict[str, Callable[[Draw, str, list[str], bytes], Framed]] = {
    "length": _with_length(0),
    "too long": _with_length(1000),
    "too short": _with_length(-10),
    "chunked": _chunked,
    "chunked*": _chunked,
    "badly chunked": _badly_chunked,
    "until closed": _until_closed,
    "many headers": _many_headers,
    "informed": _informed,
}


# --- in which time it comes ----------------------------------------------------------------------


def _at_once(draw: Draw, head: bytes, body: bytes) -> Iterator[Piece]:
    yield head + body


def _at_once_and_closed(draw: Draw, head: bytes, body: bytes) -> Iterator[Piece]:
    yield head + body
    yield None


def _dripping(draw: Draw, head: bytes, body: bytes) -> Iterator[Piece]:
    data = head + body
    start = draw.choice((0, len(head), len(head) + draw.randrange(len(body) + 1)))
    yield data[:start]
    for place in range(start, len(data)):
        yield data[place : place + 1]
        yield DRIP


def _dripping_for_ever(draw: Draw, head: bytes, body: bytes) -> Iterator[Piece]:
    yield head + body[: draw.randrange(len(body) + 1)]
    drop = draw.choice((b" ", b"\n", b"x", b": ping\n\n", b"1\r\n \r\n", b"8\r\n: ping\n\n\r\n"))
    for _ in range(int(STALL / DRIP)):
        yield drop
        yield DRIP


def _stalling(draw: Draw, head: bytes, body: bytes) -> Iterator[Piece]:
    data = head + body
    yield data[: draw.choice((0, draw.randrange(len(head)), len(head), draw.randrange(len(data))))]
    yield STALL


def _broken(draw: Draw, head: bytes, body: bytes) -> Iterator[Piece]:
    data = head + body
    yield data[: draw.randrange(len(data))]
    yield None


PACES: dict[str, Callable[[Draw, bytes, bytes], Iterator[Piece]]] = {
    "at once": _at_once,
    "and closed": _at_once_and_closed,
    "dripping": _dripping,
    "dripping for ever": _dripping_for_ever,
    "stalling": _stalling,
    "broken": _broken,
}
