"""What the content of messages holds: texts and media, judged by the model's page."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from nvcf_emulator.media import detect as decoding
from nvcf_emulator.media.assets import AssetState
from nvcf_emulator.media.detect import FORMATS, MIME_FORMATS, Media
from nvcf_emulator.media.tags import Tag, parse
from nvcf_emulator.specs.fields import only_keys, require_object, require_text
from nvcf_emulator.specs.models import ANY_FORMAT, PART_KINDS, TAG_KINDS, Kind, Page
from nvcf_emulator.specs.rejections import Refusal, asset_missing

Pieces = tuple[str | Media, ...]
FindAsset = Callable[[str], AssetState | None]

INLINE_LIMIT = 200_000
HEADER_LIMIT = 370
MOST_ASSETS = 10
ASSET_HEADER = "NVCF-INPUT-ASSET-REFERENCES"

_DATA = re.compile(r"data:([^;,]*);(base64|asset_id),(.*)", re.DOTALL | re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def referenced(header: str | None, page: Page) -> tuple[str, ...]:
    """Return the asset ids that the header of a request names.

    Raises:
        Refusal: The page has no such header, or it is too long or malformed.
    """
    if header is None:
        return ()
    if not page.assets:
        raise Refusal("this model takes no assets", field=ASSET_HEADER)
    if len(header) > HEADER_LIMIT:
        raise Refusal(f"at most {HEADER_LIMIT} characters, got {len(header)}", field=ASSET_HEADER)
    ids = tuple(header.split(","))
    for asset_id in ids:
        if not _UUID.fullmatch(asset_id):
            raise Refusal(
                f"asset ids separated by commas, without spaces; got {asset_id!r}",
                field=ASSET_HEADER,
            )
    if len(ids) > MOST_ASSETS:
        raise Refusal(f"at most {MOST_ASSETS} assets, got {len(ids)}", field=ASSET_HEADER)
    return ids


class Intake:
    """Reads the content of one request's messages.

    Args:
        page: The rules.
        header_ids: Assets that the request's header names.
        find: Returns an asset that the caller may use, by id.
    """

    def __init__(self, page: Page, header_ids: tuple[str, ...], find: FindAsset) -> None:
        self._page = page
        self._header_ids = header_ids
        self._find = find
        self._inline = 0
        self._media = 0
        self._used: set[str] = set()

    def text(self, name: str, content: str, role: str) -> Pieces:
        """Return what a string content holds; in user messages tags are media."""
        if role != "user" or not self._page.tags:
            return (content,) if content else ()
        return tuple(
            self._tag(name, piece) if isinstance(piece, Tag) else piece
            for piece in self._documented_tags(content)
        )

    def parts(self, name: str, content: list[Any], role: str) -> Pieces:
        """Return what a list of parts holds; tags inside text parts are text."""
        if role not in self._page.list_roles:
            raise Refusal(
                f"Input should be a string: the object list format is not supported for {role}",
                field=name,
            )
        if not content:
            raise Refusal("Array should have at least 1 item", field=name)
        return tuple(
            self._part(f"{name}[{position}]", part, role) for position, part in enumerate(content)
        )

    def finish(self) -> None:
        """Check what can be said only after every message was read."""
        unused = [asset_id for asset_id in self._header_ids if asset_id not in self._used]
        if unused:
            raise Refusal(f"asset {unused[0]} is not referenced in messages", field=ASSET_HEADER)
        if self._inline > INLINE_LIMIT:
            raise Refusal(
                f"Inline media of {self._inline} base64 characters exceed the limit of "
                f"{INLINE_LIMIT}; upload them as assets",
                field="messages",
                status=413,
            )

    def _documented_tags(self, content: str) -> list[str | Tag]:
        pieces = parse(content)
        if self._page.strict:
            return pieces
        # Of a model that nobody documented nobody knows what its tags may hold.
        odd = [
            piece
            for piece in pieces
            if isinstance(piece, Tag) and not piece.source.startswith(("data:", "http"))
        ]
        return [content] if odd else pieces

    def _tag(self, name: str, tag: Tag) -> Media:
        kind = TAG_KINDS[tag.name]
        with_asset = ";asset_id," in tag.source[:64]
        known = tag.name in self._page.tags or (with_asset and tag.name in self._page.asset_tags)
        if not known:
            raise Refusal(f"the tag <{tag.name}> is not supported by this model", field=name)
        return self._source(name, kind, tag.source, assets=True)

    def _part(self, name: str, part: Any, role: str) -> str | Media:
        kind = require_object(name, part).get("type")
        if kind == "text":
            only_keys(name, part, frozenset({"type", "text"}))
            return require_text(f"{name}.text", part.get("text"))
        if not isinstance(kind, str) or PART_KINDS.get(kind) not in self._page.formats:
            raise Refusal(f"unknown part type {kind!r}", field=f"{name}.type")
        if role != "user" and self._page.strict:
            raise Refusal("media can be passed only with role=user", field=name)
        only_keys(name, part, frozenset({"type", kind}))
        inner = f"{name}.{kind}"
        value = require_object(inner, part.get(kind))
        if kind == "input_audio":
            return self._input_audio(inner, value)
        if self._page.strict:
            only_keys(inner, value, frozenset({"url"}))
        source = require_text(f"{inner}.url", value.get("url"), empty=False)
        return self._source(f"{inner}.url", PART_KINDS[kind], source, assets=False)

    def _input_audio(self, name: str, value: dict[str, Any]) -> Media:
        self._count(name)
        only_keys(name, value, frozenset({"data", "format"}))
        declared = require_text(f"{name}.format", value.get("format"))
        if declared not in ANY_FORMAT["audio"]:
            raise Refusal(f"unknown audio format {declared!r}", field=f"{name}.format")
        data = require_text(f"{name}.data", value.get("data"))
        return self._inline_data(f"{name}.data", "audio", declared, data)

    def _source(self, name: str, kind: Kind, source: str, assets: bool) -> Media:
        self._count(name)
        if source.startswith(("http://", "https://")):
            if not self._page.remote:
                raise Refusal(f"{kind} must be base64 data or an asset, not a url", field=name)
            return Media(kind, url=source)
        parsed = _DATA.fullmatch(source)
        if not parsed:
            raise Refusal(f"{kind} must be an http(s) url or a data url", field=name)
        mime, way, data = parsed[1].lower(), parsed[2].lower(), parsed[3]
        declared = self._declared(name, kind, mime)
        if way == "base64":
            return self._inline_data(name, kind, declared, data)
        if not assets:
            raise Refusal("an asset can be referred to only by a tag in a string", field=name)
        return self._asset(name, kind, mime, declared, data)

    def _count(self, name: str) -> None:
        self._media += 1
        if self._media > self._page.most_media:
            raise Refusal(f"at most {self._page.most_media} media are supported", field=name)

    def _declared(self, name: str, kind: Kind, mime: str) -> str:
        declared = MIME_FORMATS.get(mime, "")
        if self._page.strict and FORMATS.get(declared) != kind:
            raise Refusal(f"{mime!r} is no type of {kind} that is supported", field=name)
        return declared

    def _inline_data(self, name: str, kind: Kind, declared: str, data: str) -> Media:
        self._inline += len(data)
        try:
            decoded = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refusal(f"invalid base64: {error}", field=name) from error
        if not decoded:
            raise Refusal(f"empty {kind}", field=name)
        found = decoding.decode(kind, decoded)
        self._judge(name, kind, declared, found)
        return found

    def _asset(self, name: str, kind: Kind, mime: str, declared: str, asset_id: str) -> Media:
        if not self._page.assets:
            raise Refusal("this model takes no assets", field=name)
        if asset_id not in self._header_ids:
            raise Refusal(f"asset {asset_id} is not named in {ASSET_HEADER}", field=name)
        self._used.add(asset_id)
        asset = self._find(asset_id)
        if asset is None or asset.media is None:
            raise asset_missing(asset_id)
        if self._page.strict and MIME_FORMATS.get(asset.content_type.lower()) != declared:
            raise Refusal(
                f"asset {asset_id} was created as {asset.content_type}, not {mime}", field=name
            )
        self._judge(name, kind, declared, asset.media)
        return asset.media

    def _judge(self, name: str, kind: Kind, declared: str, found: Media) -> None:
        """Raise `Refusal` unless the bytes are what they are declared to be, and supported."""
        if not self._page.strict:
            return
        allowed = self._page.formats.get(kind, frozenset())
        if found.kind != kind or found.format not in allowed:
            listed = ", ".join(sorted(allowed))
            raise Refusal(
                f"cannot identify {kind}: supported are {listed}, "
                f"got {found.format or 'unknown bytes'}",
                field=name,
            )
        if found.format != declared:
            raise Refusal(f"declared as {declared}, but the bytes are {found.format}", field=name)
        if (kind == "image" and not found.pixels) or (kind == "audio" and not found.seconds):
            raise Refusal(f"cannot decode {kind}: the file is damaged", field=name)
