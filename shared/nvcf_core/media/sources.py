"""Sources of the bytes of an image, audio or video, read in chunks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
import string
from collections.abc import Generator
from dataclasses import field
from typing import BinaryIO

from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import ByteSource
from nvcf_core.values import value_class

__all__ = [
    "PIECE",
    "Base64Source",
    "BytesSource",
    "FileSource",
    "PathSource",
    "base64_length",
    "first_bytes",
    "open_source",
    "sha256_hex",
]

PIECE = 3 << 18
"""Bytes, or characters of base64, read or sent at a time: a multiple of 3 and of 4, so that neither is cut."""

_ALPHABET = string.ascii_letters.encode() + string.digits.encode() + b"+/"

_HEAD = 4096
"""Bytes that are enough to detect a media format."""


def base64_length(length: int) -> int:
    """Characters that `length` bytes take as base64."""
    return 4 * ((length + 2) // 3)


def first_bytes(source: ByteSource) -> bytes:
    """Return the first bytes of a source: enough to detect its format."""
    return next(source.chunks(), b"")[:_HEAD]


def sha256_hex(source: ByteSource) -> str:
    """The SHA-256 of the bytes, as hexadecimal text."""
    total = hashlib.sha256()
    for chunk in source.chunks():
        total.update(chunk)
    return total.hexdigest()


def _encoded(chunks: Generator[bytes]) -> Generator[bytes]:
    """Encode chunks as base64: bytes that do not fill a group of three wait for the next chunk."""
    rest = b""
    for chunk in chunks:
        whole = rest + chunk if rest else chunk
        cut = len(whole) - len(whole) % 3
        rest = whole[cut:]
        yield base64.b64encode(memoryview(whole)[:cut])
    if rest:
        yield base64.b64encode(rest)


def _pieces(file: BinaryIO) -> Generator[bytes]:
    while piece := file.read(PIECE):
        yield piece


@value_class
class BytesSource:
    """Bytes that are in memory already."""

    data: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes in all."""
        return len(self.data)

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start."""
        for start in range(0, len(self.data), PIECE):
            yield self.data[start : start + PIECE]

    def base64(self) -> Generator[bytes]:
        """The bytes as base64 text, from the start."""
        return _encoded(self.chunks())


@value_class
class Base64Source:
    """Bytes that were given as base64 text. The text is kept as it is; the bytes never exist all at once."""

    text: str = field(repr=False)
    start: int = 0
    """Where the base64 begins, so that a data url need not be copied."""

    @classmethod
    def from_text(cls, text: str, *, field: str, start: int = 0) -> Base64Source:
        """Take base64 text as a user has it, line breaks allowed.

        Raises:
            InvalidRequestError: it is empty, cut off, or no base64. `field` names the place.
        """
        if any(text.find(space, start) >= 0 for space in " \r\n\t"):
            text, start = "".join(text[start:].split()), 0
        count = len(text) - start
        if count == 0:
            raise InvalidRequestError(f"{field}: the base64 text is empty", field=field)
        if count % 4:
            raise InvalidRequestError(
                f"{field}: the base64 text is cut off: its {count} characters are not a multiple of 4",
                field=field,
            )
        source = cls(text, start)
        if not source._has_only_base64():
            raise InvalidRequestError(f"{field}: this is not base64 text", field=field)
        return source

    def _has_only_base64(self) -> bool:
        """Return whether there are no letters but base64's, and padding at the end alone: found faster than by
        decoding."""
        if not self.text.isascii():
            return False
        others = b"".join(piece.translate(None, _ALPHABET) for piece in self.base64())
        return others in (b"", b"=", b"==") and self.text.endswith(others.decode())

    @property
    def length(self) -> int:
        """Bytes in all."""
        return (len(self.text) - self.start) // 4 * 3 - self.text[-2:].count("=")

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start."""
        for piece in self.base64():
            yield binascii.a2b_base64(piece)

    def base64(self) -> Generator[bytes]:
        """The bytes as base64 text, from the start."""
        for start in range(self.start, len(self.text), PIECE):
            yield self.text[start : start + PIECE].encode("ascii")


@value_class
class PathSource:
    """A file on disk, opened anew for every reading."""

    path: str
    length: int
    """Bytes in all, when it was given."""

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, field: str) -> PathSource:
        """Take a file's path.

        Raises:
            InvalidRequestError: there is no such file, or it cannot be read, is empty, or is not a file: a pipe, say.
        """
        name = os.fspath(path)
        try:
            about = os.stat(name)
            if not stat.S_ISREG(about.st_mode):  # Opening a pipe would wait for who writes to it.
                raise OSError(f"{name} is a folder, a pipe or a device")
            with open(name, "rb"):
                pass  # It may be read.
        except (OSError, ValueError) as error:
            raise InvalidRequestError(
                f"{field}: cannot read the file: {error}", field=field
            ) from None
        if not about.st_size:
            raise InvalidRequestError(f"{field}: the file {name} is empty", field=field)
        return cls(name, about.st_size)

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start.

        Raises:
            InvalidRequestError: it can no longer be read.
        """
        try:
            with open(self.path, "rb") as file:
                yield from _pieces(file)
        except OSError as error:
            raise InvalidRequestError(f"cannot read the file any more: {error}") from error

    def base64(self) -> Generator[bytes]:
        """The bytes as base64 text, from the start."""
        return _encoded(self.chunks())


@value_class
class FileSource:
    """A binary file that the user has open. It is read from where it stands, and never closed."""

    file: BinaryIO = field(repr=False)
    start: int
    length: int

    @classmethod
    def from_file(cls, file: BinaryIO, *, field: str) -> FileSource:
        """Take an open file.

        Raises:
            InvalidRequestError: it is a text file, or cannot be rewound: an upload needs the length
                beforehand, and a retry the bytes once more.
        """
        try:
            start = file.tell()
            end = file.seek(0, os.SEEK_END)
            file.seek(start)
        except (OSError, ValueError, AttributeError) as error:
            raise InvalidRequestError(
                f"{field}: the file cannot be rewound ({error}); give a path, or the bytes",
                field=field,
            ) from None
        if not isinstance(file.read(0), bytes):
            raise InvalidRequestError(
                f'{field}: the file is open as text; open it with "rb"', field=field
            )
        if end <= start:
            raise InvalidRequestError(
                f"{field}: there is nothing left to read in the file", field=field
            )
        return cls(file, start, end - start)

    def chunks(self) -> Generator[bytes]:
        """The bytes, from the start.

        Raises:
            InvalidRequestError: it can no longer be read.
        """
        try:
            self.file.seek(self.start)
            yield from _pieces(self.file)
        except (OSError, ValueError) as error:  # The second, where it was closed.
            raise InvalidRequestError(f"cannot read the file any more: {error}") from error

    def base64(self) -> Generator[bytes]:
        """The bytes as base64 text, from the start."""
        return _encoded(self.chunks())


def open_source(file: str | os.PathLike[str] | BinaryIO, *, field: str) -> PathSource | FileSource:
    """A file given by its path, or open already.

    Raises:
        InvalidRequestError: it cannot be read, or is empty.
    """
    if isinstance(file, (str, os.PathLike)):
        return PathSource.from_path(file, field=field)
    return FileSource.from_file(file, field=field)
