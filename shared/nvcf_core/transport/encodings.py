"""Decompression in chunks of limited size: a small compressed body can expand to any number of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from nvcf_core.errors import InvalidResponseError

__all__ = ["Decompressor", "decompressor_for"]

_PIECE = 1 << 16
"""Bytes that are decoded at a time: as many as are read at a time, for a small body can be a long answer."""

_HEADER = 2
"""Bytes of zlib's header."""


class Decompressor:
    """Undoes gzip or deflate.

    Args:
        name: the encoding, for the error.
        window: zlib's `wbits`.
    """

    def __init__(self, name: str, window: int) -> None:
        self._name = name
        self._inner = zlib.decompressobj(window)
        self._may_be_raw = window == zlib.MAX_WBITS
        """Whether raw deflate, without zlib's header, may come instead: some servers send that."""
        self._start = b""
        """What came before the two bytes that tell."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes, in chunks. What follows the end of the encoded body is ignored.

        Raises:
            InvalidResponseError: they are not of this encoding.
        """
        if self._may_be_raw:
            data = self._start + data
            if len(data) < _HEADER:
                self._start = data
                return
            self._may_be_raw = False
            if not _has_zlib_header(data):
                self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            while not self._inner.eof:
                chunk = self._inner.decompress(data, _PIECE)
                data = self._inner.unconsumed_tail
                if chunk:
                    yield chunk
                if not data and len(chunk) < _PIECE:
                    break  # zlib may have taken all of the data and still hold some of what it stands for.
        except zlib.error as error:
            raise InvalidResponseError(
                f"the response is not {self._name} as its content-encoding says: {error}",
                body=b"",
            ) from None


def _has_zlib_header(data: bytes) -> bool:
    """Return whether the first two bytes are those that RFC 1950 wants: deflate, and a check of both."""
    method, flags = data[:_HEADER]
    return method & 0x0F == zlib.DEFLATED and (method << 8 | flags) % 31 == 0


class _Headers(Protocol):
    def get(self, name: str, default: str, /) -> str: ...


_KNOWN: dict[str, Callable[[], Decompressor]] = {
    "gzip": lambda: Decompressor("gzip", zlib.MAX_WBITS | 16),
    "x-gzip": lambda: Decompressor("gzip", zlib.MAX_WBITS | 16),
    "deflate": lambda: Decompressor("deflate", zlib.MAX_WBITS),
}


def decompressor_for(headers: _Headers) -> Decompressor | None:
    """Return the decompressor for the content encoding of a response. None: it is not encoded.

    Raises:
        InvalidResponseError: the encoding is unknown, or there are several. The client requests none.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    known = _KNOWN.get(encoding)
    if known is None:
        raise InvalidResponseError(
            f"the response's content-encoding, {encoding[:100]!r}, was not requested", body=b""
        )
    return known()
