"""Heads of HTTP/1.1 requests and responses, as nearly all are; h11 writes and reads the others. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Headers", "RequestHead", "ResponseHead", "request_head", "response_head"]

Headers = Sequence[tuple[bytes, bytes]]

_NAME = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_VALUE = rb"(?:[!-~]+(?:[ \t]+[!-~]+)*)?"

_REQUEST_LINE = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.1")
_REQUEST_HEADER = re.compile(_NAME + rb": " + _VALUE)
_UNUSUAL = frozenset((b"connection", b"expect", b"te", b"transfer-encoding", b"upgrade"))
"""Headers of a request that change how it, its response or the next request is framed."""

_RESPONSE = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [ \t!-~]*)?\r\n((?:" + _NAME + rb":[ \t!-~]*\r\n)+)\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_FRAMING_BODY = (b"content-length", b"transfer-encoding")
_WITHOUT_BODY = (204, 304)


class RequestHead(NamedTuple):
    """The head of a request."""

    data: bytes
    """As it is sent."""
    body_length: int
    """Bytes of the body."""


class ResponseHead(NamedTuple):
    """The head of a response."""

    status_code: int
    headers: Headers
    """Names are in lower case."""
    body_length: int | None
    """Bytes of the body. None: it comes in chunks."""
    keeps_alive: bool
    """Whether the other side means to answer another request over the connection."""
    size: int
    """Bytes of the head itself."""


def request_head(method: bytes, target: bytes, headers: Headers) -> RequestHead | None:
    """The head of a request. None: it is not a usual one, or none at all.

    Args:
        method: one whose responses have a body: not HEAD.
        target: path and query.
        headers: all of them.
    """
    lines = [b"%s %s HTTP/1.1" % (method, target)]
    if _REQUEST_LINE.fullmatch(lines[0]) is None:
        return None
    length = None
    for name, value in headers:
        line, name = b"%s: %s" % (name, value), name.lower()
        if name in _UNUSUAL or _REQUEST_HEADER.fullmatch(line) is None:
            return None
        if name == b"content-length":
            if length is not None or _LENGTH.fullmatch(value) is None:
                return None
            length = int(value)
        lines.append(line)
    lines.append(b"\r\n")
    return RequestHead(b"\r\n".join(lines), length or 0)


def response_head(data: bytes) -> ResponseHead | None:
    """The head of a response. None: it is not a usual one, or not all of it is there.

    A usual one says in one way alone how its body is framed, and whether the connection is kept.

    Args:
        data: begins with it.
    """
    found = _RESPONSE.match(data)
    if found is None:
        return None
    status_code, headers = int(found[1]), _headers(found[2])
    framing = [header for header in headers if header[0] in _FRAMING_BODY]
    connection = [value.lower() for name, value in headers if name == b"connection"]
    if status_code in _WITHOUT_BODY or len(framing) != 1:
        return None
    if connection not in ([], [b"keep-alive"], [b"close"]):
        return None
    [(name, value)] = framing
    if name == b"content-length" and _LENGTH.fullmatch(value):
        length = int(value)
    elif name == b"transfer-encoding" and value == b"chunked":
        length = None
    else:
        return None
    return ResponseHead(status_code, headers, length, connection != [b"close"], found.end())


def _headers(lines: bytes) -> Headers:
    headers = []
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers
