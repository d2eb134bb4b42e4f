"""The chunks of a body that comes in chunks (RFC 9112, section 7.1), as nearly every server frames them. No I/O."""

from __future__ import annotations

import re

__all__ = ["ChunkReader", "MalformedChunk"]

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
"""The line before a chunk: its size, and nothing else."""

_SIZE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{1,15}\r?")

_END = b"\r\n"
"""What follows the data of a chunk."""


class MalformedChunk(ValueError):
    """A chunk goes on where it has to end."""


class ChunkReader:
    """Takes the data out of chunks of a size and that many bytes; all else it leaves for h11.

    A model's words come in a chunk each, and reading one with h11 costs as much as all that is done with it afterwards.
    So the usual is read here. The last chunk and its trailers, a chunk with extensions, and what is not a chunk at all
    are left over, from the beginning of a line on, and all that follows with them.
    """

    __slots__ = ("_end_left", "_left", "_line")

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the current chunk's data that are to come."""
        self._end_left = 0
        """Bytes of the end behind them that are to come."""
        self._line = b""
        """The beginning of the line before the next chunk."""

    def feed(self, data: bytes, pieces: list[bytes]) -> bytes | None:
        """Take the next bytes of the body.

        Args:
            data: the bytes.
            pieces: where the data of chunks in them is appended.

        Returns:
            What was left over, and is not empty: nothing may be fed any more. None: all was taken.

        Raises:
            MalformedChunk: what came before it has been appended.
        """
        data, self._line = self._line + data, b""
        at, length = 0, len(data)
        while at < length:
            if self._left:
                pieces.append(data[at : at + self._left])
                at += self._took(len(pieces[-1]))
            elif self._end_left:
                at += self._took_end(data[at : at + self._end_left])
            elif line := _SIZE.match(data, at):
                size = int(line[1], 16)
                if not size:
                    return data[at:]
                at = line.end()
                if data.startswith(_END, at + size):
                    pieces.append(data[at : at + size])  # All of it is there, as nearly always.
                    at += size + len(_END)
                else:
                    self._left = size
            elif _SIZE_SO_FAR.fullmatch(data, at):
                self._line = data[at:]
                break
            else:
                return data[at:]
        return None

    def _took(self, count: int) -> int:
        self._left -= count
        if not self._left:
            self._end_left = len(_END)
        return count

    def _took_end(self, found: bytes) -> int:
        if not _END[-self._end_left :].startswith(found):
            raise MalformedChunk(f"a chunk is followed by {found!r}, and not by the end of a line")
        self._end_left -= len(found)
        return len(found)
