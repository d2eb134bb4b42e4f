"""Bodies as a recording holds them: parsed JSON, texts, base64; of uploads the length and the hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import Receive, Scope

from nvcf_emulator.http.plain_asgi import body_pieces, read_body, request_path
from nvcf_emulator.http.redaction import BASE64
from nvcf_emulator.http.signed_urls import is_signed

__all__ = [
    "SentBody",
    "UploadedBody",
    "WholeBody",
    "bytes_of",
    "drained",
    "parsed_body",
    "sent_body",
    "text_of",
]


class WholeBody:
    """The body of a request, read whole.

    Attributes:
        content: What is sent on; None where there is no body.
    """

    def __init__(self, raw: bytes) -> None:
        self.content = raw or None

    def recorded(self) -> Any:
        """Return it as a recording holds it: parsed JSON, or a text."""
        return parsed_body(self.content)


class UploadedBody:
    """The bytes of an upload on their way, of which a recording holds the length and the hash.

    Attributes:
        content: What is sent on, as it comes.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.content = self._noted(pieces)
        self._length = 0
        self._hash = hashlib.sha256()

    async def _noted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self._length += len(piece)
            self._hash.update(piece)
            yield piece

    def recorded(self) -> Any:
        """Return it as a recording holds it, once it was sent."""
        return {"length": self._length, "sha256": self._hash.hexdigest()}


SentBody = WholeBody | UploadedBody


async def sent_body(scope: Scope, receive: Receive) -> SentBody:
    """Return the body of a request: that of an upload unread, any other read.

    Raises:
        ClientDisconnect: The client left before it had sent all of it.
    """
    if scope["method"] == "PUT" and is_signed(request_path(scope)):
        return UploadedBody(body_pieces(receive))
    return WholeBody(await read_body(receive))


async def drained(body: SentBody) -> None:
    """Read what is not read yet of a body."""
    if isinstance(body, UploadedBody):
        async for _ in body.content:
            pass


def parsed_body(raw: bytes | None) -> Any:
    """Return a body as a recording holds it: parsed JSON, or a text; None where there is none."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return text_of(raw)


def text_of(data: bytes) -> Any:
    """Return bytes as JSON can hold them: a text, or base64 in an object."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {BASE64: base64.b64encode(data).decode()}


def bytes_of(value: Any) -> bytes:
    """Return the bytes that `text_of` was given."""
    return base64.b64decode(value[BASE64]) if isinstance(value, dict) else value.encode()
