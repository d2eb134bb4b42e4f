"""How each image, audio or video reaches the model: as a link, inline, uploaded, or as an existing asset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nvcf_core.exchange import Source
from nvcf_core.messages import Media, Message
from nvcf_core.models.validator import Judge

from .formats import _EITHER, _MIMES, _mime, kind_of, sniff
from .sources import base64_length, digest, head

INLINE_LIMIT = 180_000
"""Characters of base64 that one medium may have inline: the samples' own limit, the lower of the page's two."""

INLINE_TOTAL = 200_000
"""Characters of base64 that all inline media of one request may have: the page's 200 KB."""

MOST_ASSETS = 10
"""Assets of one request: the page's header of 370 characters holds ten ids."""


@dataclass(slots=True)
class Placed:
    """One medium and the way it takes to the model."""

    media: Media
    mime: str
    way: Literal["link", "inline", "asset", "upload"]
    length: int = 0
    """Characters of base64, where there are bytes."""
    digest: str = ""
    """SHA-256 of the bytes, where they are to be uploaded."""


class Placements(dict[int, Placed]):
    """Every medium of one request, by the identity of its `Media`."""

    def of(self, media: Media) -> Placed:
        """The way that a medium takes."""
        return self[id(media)]

    def uploads(self) -> list[Placed]:
        """Those to be uploaded, each content once."""
        wanted: dict[tuple[str, str], Placed] = {}
        for placed in self.values():
            if placed.way == "upload":
                wanted.setdefault((placed.digest, placed.mime), placed)
        return list(wanted.values())

    def digest_uploads(self, judge: Judge) -> None:
        """Take the hash of what is to be uploaded, and count the assets that this comes to.

        Raises:
            InvalidRequestError: there are more than `MOST_ASSETS`.
        """
        for placed in self.values():
            if placed.way == "upload" and placed.media.source is not None:
                placed.digest = digest(placed.media.source)
        given = {placed.media.asset_id for placed in self.values() if placed.way == "asset"}
        count = len(given) + len(self.uploads())
        if count > MOST_ASSETS:
            raise judge.refusal(
                "messages",
                f"the request would reference {count} assets; the service takes {MOST_ASSETS}",
            )


def place(messages: Sequence[Message], judge: Judge, *, can_upload: bool) -> Placements:
    """Decide for every medium of a request how it travels, before anything is sent.

    Args:
        messages: the arranged messages.
        judge: the model's page.
        can_upload: whether the service has an asset API.

    Raises:
        InvalidRequestError: the model takes no such media, or not so many, or not in this format.
    """
    placements = Placements()
    count = 0
    for number, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, Media):
                count += 1
                placements[id(part)] = _placed(part, f"messages[{number}]", judge)
    most = judge.spec.max_media
    if most is not None and count > most:
        judge.broken("messages", f"the request has {count} media; the page allows {most}")
    if can_upload and judge.spec.assets:
        _move_large_ones(placements)
    return placements


def _placed(media: Media, field: str, judge: Judge) -> Placed:
    if media.kind not in judge.spec.media:
        taken = ", ".join(judge.spec.media) or "no media"
        judge.broken(field, f"{field} has {media.kind}; the model takes {taken}")
    if media.detail is not None and judge.spec.known:
        judge.warn(
            "detail", f"the page of {judge.spec.id} has no `detail` for images: it is not sent"
        )
    if media.url is not None:
        if not judge.spec.remote_urls:
            judge.broken(field, f"{field} has a url; the model takes media as data or asset only")
        return Placed(media, media.mime or "", "link")
    if media.source is None:
        return Placed(media, media.mime or "", "asset")
    length = base64_length(media.source.length)
    if not length:
        raise judge.refusal(field, f"{field} has {media.kind} data that is empty")
    return Placed(media, _checked_mime(media, media.source, field, judge), "inline", length)


def _checked_mime(media: Media, source: Source, field: str, judge: Judge) -> str:
    """The media type by the bytes, or as declared where they say nothing."""
    found = sniff(head(source))
    allowed = judge.spec.media.get(media.kind)
    if allowed is not None and found not in allowed:
        formats = ", ".join(sorted(allowed))
        what = found or "of no known format"
        judge.broken(
            field, f"{field}: the {media.kind} is {what}, by its bytes; the page takes {formats}"
        )
    if found is None:
        if media.mime is None or kind_of(media.mime) is None:
            message = f"{field}: the {media.kind} is of no known format; give its mime_type"
            raise judge.refusal(field, message)
        return media.mime
    if found not in _EITHER and kind_of(_MIMES[found]) != media.kind:
        judge.broken(field, f"{field}: the {media.kind} is {found}, by its bytes")
    return _mime(found, media.kind)


def _move_large_ones(placements: Placements) -> None:
    """Upload what is too large to go inline, and the largest of the rest until all of it fits."""
    inline = [placed for placed in placements.values() if placed.way == "inline"]
    inline.sort(key=lambda placed: placed.length)
    total = sum(placed.length for placed in inline)
    while inline and (inline[-1].length > INLINE_LIMIT or total > INLINE_TOTAL):
        largest = inline.pop()
        largest.way = "upload"
        total -= largest.length
