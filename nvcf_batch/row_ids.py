"""What a row is known by: a digest of its key column, or of all that it holds and how it is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nvcf_core.errors import InvalidRequestError

__all__ = ["ID_BYTES", "key_digests", "numbered", "request_digests"]

ID_BYTES = 16


def key_digests(values: Sequence[Any], key: str) -> list[bytes]:
    """The digests of the values of a key column.

    Raises:
        InvalidRequestError: one of them is null.
    """
    if None in values:
        raise InvalidRequestError(f"key: the column {key!r} has a null", field="key")
    return [_digest(value) for value in values]


def request_digests(rows: Sequence[Mapping[str, Any]], request: str) -> list[bytes]:
    """The digests of whole rows.

    Args:
        rows: the rows.
        request: how they are asked, as text: model, prompt, settings.
    """
    return [_digest([request, row]) for row in rows]


def numbered(digest: bytes, number: int) -> bytes:
    """The digest of the n-th of several rows that are the same."""
    if not number:
        return digest
    return hashlib.blake2b(digest + b"%d" % number, digest_size=ID_BYTES).digest()


def _digest(value: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=ID_BYTES)
    for piece in _pieces(value):
        digest.update(piece)
    return digest.digest()


def _pieces(value: Any) -> Iterator[bytes]:
    """A value as bytes that no other value has, whatever stands beside it."""
    if isinstance(value, Mapping):
        yield b"{%d:" % len(value)
        for name in sorted(value):
            yield from _pieces(name)
            yield from _pieces(value[name])
    elif isinstance(value, list | tuple):
        yield b"[%d:" % len(value)
        for item in value:
            yield from _pieces(item)
    else:
        data = value if isinstance(value, bytes) else repr(value).encode(errors="surrogatepass")
        yield b"%s%d:" % (type(value).__name__.encode(), len(data))
        yield data
