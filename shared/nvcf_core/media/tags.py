"""HTML-style media tags (<img>, <audio>, <video>) in a text: parsed, or escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from nvcf_core.messages import TAGS, MediaKind, Message, Part
from nvcf_core.models.validator import Validator

from .references import media_from_url

__all__ = [
    "contains_tag",
    "escape_media_tags",
    "parse_media_tags",
    "parse_tags",
    "warn_unparsed_tags",
]

_TAG = re.compile(
    r"""<(?P<name>img|audio|video)\s+src\s*=\s*(?:"(?P<double>[^"<>]*)"|'(?P<single>[^'<>]*)')\s*/?>""",
    re.IGNORECASE,
)

_TAG_START = re.compile(r"<(?=\s*(?:/\s*)?(?:img|audio|video)\b)", re.IGNORECASE)

_KINDS: Mapping[str, MediaKind] = {tag: kind for kind, tag in TAGS.items()}


def parse_tags(text: str, *, field: str) -> Iterator[Part]:
    """The text and the media of a string in which tags such as `<img src="…" />` are media.

    Raises:
        InvalidRequestError: a tag's source is unusable.
    """
    start = 0
    for tag in _TAG.finditer(text):
        if before := text[start : tag.start()]:
            yield before
        url = tag["double"] if tag["double"] is not None else tag["single"]
        yield media_from_url(url.strip(), kind=_KINDS[tag["name"].lower()], field=field)
        start = tag.end()
    if rest := text[start:]:
        yield rest


def contains_tag(text: str) -> bool:
    """Return whether the service might read a tag out of the text."""
    return "<" in text and _TAG_START.search(text) is not None


def escape_media_tags(text: str) -> str:
    """The text with the `<` of its tags escaped, so that they stay text."""
    return _TAG_START.sub("&lt;", text)


def parse_media_tags(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, with the tags in the user's texts read as media."""
    parsed = []
    for message in messages:
        if message.role == "user" and any(
            isinstance(part, str) and contains_tag(part) for part in message.parts
        ):
            parts: list[Part] = []
            for part in message.parts:
                parts += parse_tags(part, field=message.place) if isinstance(part, str) else [part]
            message = replace(message, parts=tuple(parts))
        parsed.append(message)
    return tuple(parsed)


def warn_unparsed_tags(messages: Sequence[Message], validator: Validator) -> None:
    """Warn if user texts contain media tags, which are sent as text, and name the setting that parses them."""
    parts = (part for message in messages if message.role == "user" for part in message.parts)
    if validator.spec.html_tags and any(
        isinstance(part, str) and contains_tag(part) and _TAG.search(part) for part in parts
    ):
        validator.warn(
            "tags",
            "a text holds a media tag, which is sent as text; "
            'media_tags="parse" has such tags read as media',
        )
