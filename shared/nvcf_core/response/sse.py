"""Server-sent events, incrementally: bytes in, events out, in time linear in the bytes."""

from __future__ import annotations

__all__ = ["LONGEST_EVENT", "EventTooLong", "SSEDecoder"]

LONGEST_EVENT = 32 * 1024 * 1024
"""Bytes of one event or one line, past which a stream is refused unless told otherwise."""

_BOM = b"\xef\xbb\xbf"

_PLAIN = b"data: "
_PLAIN_LENGTH = len(_PLAIN)

_LINE_COST = 64
"""What a line counts besides its bytes: as much as it takes in memory, so that empty lines are bounded, too."""


class EventTooLong(ValueError):
    """An event, or a line that never ends, is longer than the decoder's limit."""


class SSEDecoder:
    """Decodes a `text/event-stream` whose bytes may be cut anywhere.

    An event is a pair of its name (empty unless the stream names it) and its data. An event named
    `error` that has no data, only a comment, is one too: one server explains its failures there.

    Args:
        longest_event: bytes of one event or one line, past which the stream is refused.
    """

    __slots__ = (
        "_comment",
        "_data",
        "_longest_event",
        "_name",
        "_partial",
        "_partial_length",
        "_size",
        "_skip_lf",
        "_started",
    )

    def __init__(self, longest_event: int = LONGEST_EVENT) -> None:
        self._longest_event = longest_event
        self._partial: list[bytes] = []
        self._partial_length = 0
        self._skip_lf = False
        self._started = False
        self._name = b""
        self._comment = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take the next bytes; return the events that they complete.

        Raises:
            EventTooLong: see there.
        """
        if self._skip_lf and data:
            # A CR ended the last read. It ended its line too; an LF right behind it is of the same end.
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Only these end a line: splitlines() would also cut where JSON carries other separators.
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._partial:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial.clear()
            self._partial_length = 0
        if rest:
            self._partial.append(rest)
            self._partial_length += len(rest)
            self._check(self._partial_length + self._size)
        return self._lines(lines)

    def flush(self) -> list[tuple[bytes, bytes]]:
        """Return the event left over when the stream ends without its blank line."""
        lines = [b"".join(self._partial), b""]
        self._partial.clear()
        self._partial_length = 0
        return self._lines(lines)

    def _lines(self, lines: list[bytes]) -> list[tuple[bytes, bytes]]:
        events: list[tuple[bytes, bytes]] = []
        if lines and not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        if not (self._data or self._name) and (plain := self._plain_events(lines)):
            self._comment = b""
            return plain
        for line in lines:
            if not line:
                self._dispatch(events)
            elif line.startswith(b"data:"):
                self._add(line[5:])
            else:
                self._other(line)
        return events

    def _plain_events(self, lines: list[bytes]) -> list[tuple[bytes, bytes]]:
        """The events in lines that are events of one line of data each and nothing else, as nearly all reads are.

        Going line by line through these as through any others costs twice as much.

        Returns:
            The events; none where any of the lines is another.
        """
        if len(lines) % 2 or any(lines[1::2]):
            return []
        longest = self._longest_event - _LINE_COST
        events: list[tuple[bytes, bytes]] = []
        for line in lines[::2]:
            if len(line) > longest or not line.startswith(_PLAIN):
                return []
            events.append((b"", line[_PLAIN_LENGTH:]))
        return events

    def _add(self, value: bytes) -> None:
        self._size += len(value) + _LINE_COST
        self._check(self._size)
        self._data.append(value.removeprefix(b" "))

    def _other(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = value.strip()
        elif not field:
            self._comment = value.strip()
        elif field == b"data":
            self._add(b"")

    def _dispatch(self, events: list[tuple[bytes, bytes]]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append((self._name, data))
            self._data.clear()
            self._size = 0
        elif self._name == b"error":
            events.append((self._name, self._comment))
        self._name = self._comment = b""

    def _check(self, size: int) -> None:
        if size > self._longest_event:
            raise EventTooLong(f"one event is longer than {self._longest_event} bytes")
