"""What the content of messages holds: texts and media, held against the model's rules."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from nvcf_emulator.media.assets import AssetState
from nvcf_emulator.media.detect import FORMATS, MIME_FORMATS, Media, decode
from nvcf_emulator.media.tags import Tag, parse
from nvcf_emulator.specs.fields import only_keys, require_object, require_text
from nvcf_emulator.specs.models import ANY_FORMAT, PART_KINDS, TAG_KINDS, Kind, ModelSpec
from nvcf_emulator.specs.rejections import Rejection, asset_missing

__all__ = ["ASSET_HEADER", "ContentReader", "FindAsset", "Pieces", "asset_references"]

Pieces = tuple[str | Media, ...]
FindAsset = Callable[[str], AssetState | None]

INLINE_LIMIT = 200_000
HEADER_LIMIT = 370
MOST_ASSETS = 10
ASSET_HEADER = "NVCF-INPUT-ASSET-REFERENCES"

_DATA = re.compile(r"data:([^;,]*);(base64|asset_id),(.*)", re.DOTALL | re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def asset_references(header: str | None, spec: ModelSpec) -> tuple[str, ...]:
    """Return the asset ids that the header of a request names.

    Raises:
        Rejection: The model takes no assets, or the header is too long or malformed.
    """
    if header is None:
        return ()
    if not spec.assets:
        raise Rejection("this model takes no assets", field=ASSET_HEADER)
    if len(header) > HEADER_LIMIT:
        raise Rejection(f"at most {HEADER_LIMIT} characters, got {len(header)}", field=ASSET_HEADER)
    ids = tuple(header.split(","))
    for asset_id in ids:
        if not _UUID.fullmatch(asset_id):
            raise Rejection(
                f"asset ids separated by commas, without spaces; got {asset_id!r}",
                field=ASSET_HEADER,
            )
    if len(ids) > MOST_ASSETS:
        raise Rejection(f"at most {MOST_ASSETS} assets, got {len(ids)}", field=ASSET_HEADER)
    return ids


class ContentReader:
    """Reads the content of one request's messages.

    Args:
        spec: The rules.
        header_ids: Assets that the request's header names.
        find: Returns an asset that the caller may use, by id.
    """

    def __init__(self, spec: ModelSpec, header_ids: tuple[str, ...], find: FindAsset) -> None:
        self._spec = spec
        self._header_ids = header_ids
        self._find = find
        self._inline = 0
        self._media = 0
        self._used: set[str] = set()

    def text(self, name: str, content: str, role: str) -> Pieces:
        """Return what a string content holds; in user messages tags are media."""
        if role != "user" or not self._spec.tags:
            return (content,) if content else ()
        return tuple(
            self._tag(name, piece) if isinstance(piece, Tag) else piece
            for piece in self._documented_tags(content)
        )

    def parts(self, name: str, content: list[Any], role: str) -> Pieces:
        """Return what a list of parts holds; tags inside text parts are text."""
        if role not in self._spec.list_roles:
            raise Rejection(
                f"Input should be a string: the object list format is not supported for {role}",
                field=name,
            )
        if not content:
            raise Rejection("Array should have at least 1 item", field=name)
        return tuple(
            self._part(f"{name}[{position}]", part, role) for position, part in enumerate(content)
        )

    def finish(self) -> None:
        """Check what can be said only after every message was read."""
        unused = [asset_id for asset_id in self._header_ids if asset_id not in self._used]
        if unused:
            raise Rejection(f"asset {unused[0]} is not referenced in messages", field=ASSET_HEADER)
        if self._inline > INLINE_LIMIT:
            raise Rejection(
                f"Inline media of {self._inline} base64 characters exceed the limit of "
                f"{INLINE_LIMIT}; upload them as assets",
                field="messages",
                status=413,
            )

    def _documented_tags(self, content: str) -> list[str | Tag]:
        pieces = parse(content)
        if self._spec.strict:
            return pieces
        # What the tags of an undocumented model may hold is not known.
        odd = [
            piece
            for piece in pieces
            if isinstance(piece, Tag) and not piece.source.startswith(("data:", "http"))
        ]
        return [content] if odd else pieces

    def _tag(self, name: str, tag: Tag) -> Media:
        kind = TAG_KINDS[tag.name]
        with_asset = ";asset_id," in tag.source[:64]
        known = tag.name in self._spec.tags or (with_asset and tag.name in self._spec.asset_tags)
        if not known:
            raise Rejection(f"the tag <{tag.name}> is not supported by this model", field=name)
        return self._source(name, kind, tag.source, assets=True)

    def _part(self, name: str, part: Any, role: str) -> str | Media:
        kind = require_object(name, part).get("type")
        if kind == "text":
            only_keys(name, part, frozenset({"type", "text"}))
            return require_text(f"{name}.text", part.get("text"))
        if not isinstance(kind, str) or PART_KINDS.get(kind) not in self._spec.formats:
            raise Rejection(f"unknown part type {kind!r}", field=f"{name}.type")
        if role != "user" and self._spec.strict:
            raise Rejection("media can be passed only with role=user", field=name)
        only_keys(name, part, frozenset({"type", kind}))
        inner = f"{name}.{kind}"
        value = require_object(inner, part.get(kind))
        if kind == "input_audio":
            return self._input_audio(inner, value)
        if self._spec.strict:
            only_keys(inner, value, frozenset({"url"}))
        source = require_text(f"{inner}.url", value.get("url"), empty=False)
        return self._source(f"{inner}.url", PART_KINDS[kind], source, assets=False)

    def _input_audio(self, name: str, value: dict[str, Any]) -> Media:
        self._count(name)
        only_keys(name, value, frozenset({"data", "format"}))
        declared = require_text(f"{name}.format", value.get("format"))
        if declared not in ANY_FORMAT["audio"]:
            raise Rejection(f"unknown audio format {declared!r}", field=f"{name}.format")
        data = require_text(f"{name}.data", value.get("data"))
        return self._inline_data(f"{name}.data", "audio", declared, data)

    def _source(self, name: str, kind: Kind, source: str, assets: bool) -> Media:
        self._count(name)
        if source.startswith(("http://", "https://")):
            if not self._spec.remote:
                raise Rejection(f"{kind} must be base64 data or an asset, not a url", field=name)
            return Media(kind, url=source)
        parsed = _DATA.fullmatch(source)
        if not parsed:
            raise Rejection(f"{kind} must be an http(s) url or a data url", field=name)
        mime, way, data = parsed[1].lower(), parsed[2].lower(), parsed[3]
        declared = self._declared(name, kind, mime)
        if way == "base64":
            return self._inline_data(name, kind, declared, data)
        if not assets:
            raise Rejection("an asset can be referred to only by a tag in a string", field=name)
        return self._asset(name, kind, mime, declared, data)

    def _count(self, name: str) -> None:
        self._media += 1
        if self._media > self._spec.most_media:
            raise Rejection(f"at most {self._spec.most_media} media are supported", field=name)

    def _declared(self, name: str, kind: Kind, mime: str) -> str:
        declared = MIME_FORMATS.get(mime, "")
        if self._spec.strict and FORMATS.get(declared) != kind:
            raise Rejection(f"{mime!r} is not a supported type of {kind}", field=name)
        return declared

    def _inline_data(self, name: str, kind: Kind, declared: str, data: str) -> Media:
        self._inline += len(data)
        try:
            decoded = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Rejection(f"invalid base64: {error}", field=name) from error
        if not decoded:
            raise Rejection(f"empty {kind}", field=name)
        found = decode(kind, decoded)
        self._check_format(name, kind, declared, found)
        return found

    def _asset(self, name: str, kind: Kind, mime: str, declared: str, asset_id: str) -> Media:
        if not self._spec.assets:
            raise Rejection("this model takes no assets", field=name)
        if asset_id not in self._header_ids:
            raise Rejection(f"asset {asset_id} is not named in {ASSET_HEADER}", field=name)
        self._used.add(asset_id)
        asset = self._find(asset_id)
        if asset is None or asset.media is None:
            raise asset_missing(asset_id)
        if self._spec.strict and MIME_FORMATS.get(asset.content_type.lower()) != declared:
            raise Rejection(
                f"asset {asset_id} was created as {asset.content_type}, not {mime}", field=name
            )
        self._check_format(name, kind, declared, asset.media)
        return asset.media

    def _check_format(self, name: str, kind: Kind, declared: str, found: Media) -> None:
        """Raise `Rejection` unless the bytes are what they are declared to be, and supported."""
        if not self._spec.strict:
            return
        allowed = self._spec.formats.get(kind, frozenset())
        if found.kind != kind or found.format not in allowed:
            listed = ", ".join(sorted(allowed))
            raise Rejection(
                f"cannot identify {kind}: supported are {listed}, "
                f"got {found.format or 'unknown bytes'}",
                field=name,
            )
        if found.format != declared:
            raise Rejection(f"declared as {declared}, but the bytes are {found.format}", field=name)
        if (kind == "image" and not found.pixels) or (kind == "audio" and not found.seconds):
            raise Rejection(f"cannot decode {kind}: the file is damaged", field=name)
