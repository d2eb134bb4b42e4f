"""Reading the html-style media tags that models allow in the string content of a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

__all__ = ["Tag", "parse"]

_OPEN = re.compile(r"<(img|audio|video)(?=[\s/>])", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\s*([^\s=>/"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""", re.DOTALL
)
_END = re.compile(r"\s*/?>")
_MOST_ATTRIBUTES = 16
_CLOSE = re.compile(r"\s*</(?:img|audio|video)\s*>", re.IGNORECASE)


@dataclass(frozen=True)
class Tag:
    """A media tag: its name in lower case, and the value of its `src`."""

    name: str
    source: str


def parse(text: str) -> list[str | Tag]:
    """Split `text` into its media tags and the texts around them, in order.

    A tag without a `src`, or one that never ends, is text. Where there is any tag the text
    around it is HTML, whose entities are resolved; a text without tags is returned as it is.
    """
    pieces: list[str | Tag] = []
    done = 0
    for start, end, tag in _tags(text):
        pieces += [unescape(text[done:start]), tag]
        done = end
    if not pieces:
        return [text] if text else []
    pieces.append(unescape(text[done:]))
    return [piece for piece in pieces if piece != ""]


def _tags(text: str) -> Iterator[tuple[int, int, Tag]]:
    position = 0
    while opened := _OPEN.search(text, position):
        position = opened.end()
        attributes, end = _attributes(text, position)
        if end is None or not attributes.get("src"):
            continue
        closed = _CLOSE.match(text, end)
        position = closed.end() if closed else end
        yield opened.start(), position, Tag(opened[1].lower(), unescape(attributes["src"]))


def _attributes(text: str, position: int) -> tuple[dict[str, str], int | None]:
    """Return the attributes that begin at `position`, and where their tag ends if it does."""
    attributes: dict[str, str] = {}
    for _ in range(_MOST_ATTRIBUTES):
        if ended := _END.match(text, position):
            return attributes, ended.end()
        found = _ATTRIBUTE.match(text, position)
        if not found:
            return attributes, None
        attributes[found[1].lower()] = found[2] or found[3] or found[4] or ""
        position = found.end()
    return attributes, None
