"""How a picture, sound or film reaches the model: as a link, inline, or as an asset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

from .errors import InvalidRequestError
from .judge import Judge
from .messages import TAGS, Kind, Media, Message, Part
from .sources import Base64Source, BytesSource, Source, base64_length, digest, head

INLINE_LIMIT = 180_000
"""Characters of base64 that one medium may have inline: the samples' own limit, the lower of the page's two."""
INLINE_TOTAL = 200_000
"""Characters of base64 that all inline media of one request may have: the page's 200 KB."""
MOST_ASSETS = 10
"""Assets of one request: the page's header of 370 characters holds ten ids."""

_MIMES: Mapping[str, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
    "tiff": "image/tiff", "avif": "image/avif", "heic": "image/heic",
    "wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4",
    "aac": "audio/aac",
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska",
    "avi": "video/x-msvideo", "mpeg": "video/mpeg",
}  # fmt: skip
_EITHER = frozenset(("ogg", "webm", "mp4", "mkv"))
"""Containers of sound as well as of film: what the user says decides."""
_MAGIC: Sequence[tuple[int, bytes, str]] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (8, b"WEBP", "webp"),
    (8, b"WAVE", "wav"),
    (8, b"AVI ", "avi"),
)
_BRANDS: Mapping[bytes, str] = {
    b"avif": "avif", b"avis": "avif", b"heic": "heic", b"mif1": "heic", b"M4A ": "m4a", b"M4B ": "m4a", b"qt  ": "mov",
}  # fmt: skip
_TAG = re.compile(
    r"""<(?P<name>img|audio|video)\s+src\s*=\s*(?:"(?P<double>[^"<>]*)"|'(?P<single>[^'<>]*)')\s*/?>""",
    re.IGNORECASE,
)
_TAG_START = re.compile(r"<(?=\s*(?:/\s*)?(?:img|audio|video)\b)", re.IGNORECASE)
_KINDS: Mapping[str, Kind] = {tag: kind for kind, tag in TAGS.items()}
_FAMILIES: Mapping[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}
# It goes into headers and tags.
_MIME = re.compile(r"(image|audio|video)/[\w.+-]+(?:\s*;\s*[\w.+-]+=[\w.+-]+)*", re.ASCII)
_ASSET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def sniff(data: bytes) -> str | None:
    """The format of a medium by its first bytes (`png`, `mp3`, `mov`, …), None where they say nothing."""
    for place, magic, name in _MAGIC:
        if data[place : place + len(magic)] == magic:
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "mp4")
    if data[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in data[:64] else "mkv"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "mp3" if data[1] & 0x06 else "aac"
    return None


def kind_of(mime: str | None) -> Kind | None:
    """The kind of media that a media type names, None where it is none."""
    found = _MIME.fullmatch((mime or "").strip().lower())
    return _FAMILIES[found[1]] if found else None


def media_kind(source: Source, mime: str | None, *, field: str) -> tuple[Kind, str]:
    """Kind and media type of a file, by its bytes, or else as declared.

    Raises:
        InvalidRequestError: neither tells.
    """
    found = sniff(head(source))
    declared = kind_of(mime)
    if found is not None:
        kind = kind_of(_MIMES[found])
        if declared is not None and found in _EITHER:
            kind = declared
        if kind is not None:
            return kind, _mime(found, kind)
    if declared is None or mime is None:
        raise InvalidRequestError(
            f"{field}: the bytes are no picture, sound or film that is known; give mime_type",
            field=field,
        )
    return declared, mime


def _mime(found: str, kind: Kind) -> str:
    """The media type of a format; of a container that may be either, with the user's kind."""
    family, _, name = _MIMES[found].partition("/")
    return f"{kind}/{name}" if found in _EITHER else f"{family}/{name}"


def media_from_url(url: str, *, kind: Kind, field: str, mime: str | None = None) -> Media:
    """A medium from an http, https or data url, or a reference such as `data:image/png;asset_id,<id>`.

    Raises:
        InvalidRequestError: it is a path, a `file:` or any other url, or a data url that holds no base64.
            No path is ever read out of a text.
    """
    scheme = url[:16].partition(":")[0].lower() if ":" in url[:16] else ""
    if scheme == "data":
        return _media_from_data_url(url, kind, field)
    if scheme not in ("http", "https"):
        shown = url[:80]
        raise InvalidRequestError(
            f"{field}: {shown!r} is neither an http nor a data url. A file is read from disk by upload(path), "
            "or given as bytes",
            field=field,
        )
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url) or not _host(url):
        raise InvalidRequestError(f"{field}: {url[:80]!r} is no usable url", field=field)
    return Media(kind=kind, url=url, mime=mime)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _media_from_data_url(url: str, kind: Kind, field: str) -> Media:
    comma = url.find(",")
    if comma < 0:
        raise InvalidRequestError(
            f"{field}: the data url has no comma, and so no data", field=field
        )
    mime, *options = [part.strip() for part in url[5:comma].split(";")]
    mime = mime.lower()
    if "base64" in options:
        source = Base64Source.checked(url, field=field, start=comma + 1)
        return Media(kind=kind, source=source, mime=mime or None)
    data = url[comma + 1 :]
    if "asset_id" in options:
        return asset(data.strip(), kind=kind, mime=mime or None, field=field)
    try:
        decoded = unquote_to_bytes(data)
    except UnicodeEncodeError:
        raise InvalidRequestError(
            f"{field}: the data url has half of a surrogate pair", field=field
        ) from None
    if not decoded:
        raise InvalidRequestError(f"{field}: the data url is empty", field=field)
    return Media(kind=kind, source=BytesSource(decoded), mime=mime or None)


def asset(asset_id: str, *, kind: Kind, mime: str | None, field: str) -> Media:
    """A medium that lies at the service already.

    Raises:
        InvalidRequestError: the id has letters that no id has, or the media type is missing.
    """
    if not isinstance(asset_id, str) or not _ASSET_ID.fullmatch(asset_id):
        raise InvalidRequestError(f"{field}: {str(asset_id)[:80]!r} is no asset id", field=field)
    if not mime or kind_of(mime) is None:
        raise InvalidRequestError(
            f'{field}: an asset needs its mime_type, e.g. "image/png"; it has {mime!r}', field=field
        )
    return Media(kind=kind, asset_id=asset_id, mime=mime)


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


def has_tag(text: str) -> bool:
    """Whether the service might read a tag out of the text."""
    return "<" in text and _TAG_START.search(text) is not None


def without_tags(text: str) -> str:
    """The text with the `<` of its tags escaped, so that they stay text."""
    return _TAG_START.sub("&lt;", text)


def with_parsed_tags(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages, with the tags in the user's texts read as media."""
    parsed = []
    for place, message in enumerate(messages):
        if message.role == "user" and any(
            isinstance(part, str) and has_tag(part) for part in message.parts
        ):
            parts: list[Part] = []
            for part in message.parts:
                parts += (
                    parse_tags(part, field=f"messages[{place}]")
                    if isinstance(part, str)
                    else [part]
                )
            message = replace(message, parts=tuple(parts))
        parsed.append(message)
    return tuple(parsed)


def warn_of_tags(messages: Sequence[Message], judge: Judge) -> None:
    """Tell a user whose texts hold tags, which stay text, of the way to have them read as media."""
    parts = (part for message in messages if message.role == "user" for part in message.parts)
    if judge.spec.tags and any(
        isinstance(part, str) and has_tag(part) and _TAG.search(part) for part in parts
    ):
        judge.warn(
            "tags",
            "a text holds a media tag, which is sent as text; "
            'media_tags="parse" has such tags read as media',
        )


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
