"""How each image, audio or video reaches the model: as a link, inline, uploaded, or as an existing asset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from nvcf_core.exchange import ByteSource
from nvcf_core.messages import Media, Message
from nvcf_core.models.validator import Validator
from nvcf_core.values import value_class

from .formats import (
    format_can_hold,
    kind_of_mime_type,
    mime_of_format,
    omitted_media_text,
    sniff_format,
)
from .sources import base64_length, first_bytes, sha256_hex

__all__ = [
    "INLINE_LIMIT",
    "INLINE_TOTAL",
    "MOST_ASSETS",
    "ContentKey",
    "Deliveries",
    "Delivery",
    "Upload",
    "plan_delivery",
]

INLINE_LIMIT = 180_000
"""Characters of base64 that one media item may have inline: that of NVIDIA's samples, the lower of the two
documented."""

INLINE_TOTAL = 200_000
"""Characters of base64 that all inline media of one request may have: the documented 200 KB."""

MOST_ASSETS = 10
"""Assets of one request: the documented header of 370 characters holds ten ids."""


ContentKey: TypeAlias = tuple[str, str]
"""The SHA-256 of the bytes, and their media type."""


@dataclass(slots=True)
class Upload:
    """Bytes that are sent as an asset of their own."""

    source: ByteSource
    mime_type: str
    sha256: str = ""
    """Taken by `Deliveries.hash_uploads`: it may have to read a file."""

    @property
    def key(self) -> ContentKey:
        """Identifies the content."""
        return self.sha256, self.mime_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Media):
    """A media item and how it is sent to the model. Its `mime_type` is detected from its bytes."""

    method: Literal["link", "inline", "asset", "upload"]
    length: int = 0
    """Characters of base64, where there are bytes."""
    upload: Upload | None = None
    """What is to be uploaded, where `method` is "upload"."""


@value_class
class Deliveries:
    """The media of one request, in the order of its messages."""

    items: tuple[Delivery, ...]
    validator: Validator

    def uploads(self) -> list[Upload]:
        """Return what is to be uploaded, each content once."""
        found = [item.upload for item in self.items if item.upload is not None]
        return list({upload.key: upload for upload in found}.values())

    def asset_ids(self, uploaded: Mapping[ContentKey, str]) -> list[str]:
        """The ids of all assets that the request references, each once.

        Args:
            uploaded: the ids of those that were uploaded for it.
        """
        ids = [
            item.asset_id if item.upload is None else uploaded[item.upload.key]
            for item in self.items
            if item.method in ("asset", "upload")
        ]
        return list(dict.fromkeys(asset_id for asset_id in ids if asset_id is not None))

    def hash_uploads(self) -> None:
        """Take the hash of what is to be uploaded, and count the assets that this comes to.

        Reads every byte of it: not to be called where nothing may block.

        Raises:
            InvalidRequestError: there are more than `MOST_ASSETS`.
        """
        for item in self.items:
            if item.upload is not None and not item.upload.sha256:
                item.upload.sha256 = sha256_hex(item.upload.source)
        given = {item.asset_id for item in self.items if item.method == "asset"}
        _check_assets(len(given) + len(self.uploads()), self.validator)


def _check_assets(count: int, validator: Validator) -> None:
    if count > MOST_ASSETS:
        raise validator.invalid_request(
            "messages",
            f"the request would reference {count} assets; the service takes {MOST_ASSETS}",
        )


def plan_delivery(
    messages: Sequence[Message], validator: Validator, *, can_upload: bool
) -> tuple[tuple[Message, ...], Deliveries]:
    """Decide how each media item of a request is sent, before anything is sent.

    Args:
        messages: the normalized messages.
        validator: the model's documentation.
        can_upload: whether the service has an asset API.

    Returns:
        The messages with a `Delivery` in place of each `Media`, and all of these.

    Raises:
        InvalidRequestError: the model takes no such media, or not so many, or not in this format.
    """
    deliveries = [
        replace(
            _initial_delivery(part, part.place, validator), index=part.index, returned=part.returned
        )
        for message in messages
        for part in message.parts
        if isinstance(part, Media)
    ]
    if not deliveries:
        return tuple(messages), Deliveries((), validator)
    most = validator.spec.max_media
    if most is not None and len(deliveries) > most:
        validator.reject(
            "messages",
            f"the request has {len(deliveries)} media; the model's documentation allows {most}",
        )
    # What is uploaded is counted by `hash_uploads`, which may have to read files.
    given = {item.asset_id for item in deliveries if not item.returned} - {None}
    _check_assets(len(given), validator)
    if can_upload and validator.spec.assets:
        deliveries = _upload_largest_until_it_fits(deliveries, _may_be_assets(messages))
    surplus = _surplus(deliveries)
    planned = iter(
        [
            _omission_line(item, validator) if place in surplus else item
            for place, item in enumerate(deliveries)
        ]
    )
    return (
        tuple(
            replace(
                message,
                parts=tuple(
                    next(planned) if isinstance(part, Media) else part for part in message.parts
                ),
            )
            for message in messages
        ),
        Deliveries(
            tuple(item for place, item in enumerate(deliveries) if place not in surplus), validator
        ),
    )


def _surplus(deliveries: Sequence[Delivery]) -> set[int]:
    """The places of what tools returned and what would be more assets than a request may have: the oldest of them."""
    places = [place for place, item in enumerate(deliveries) if item.method in ("asset", "upload")]
    if len(places) <= MOST_ASSETS:
        return set()
    contents = {place: _content_key(deliveries[place]) for place in places}
    own = {contents[place] for place in places if not deliveries[place].returned}
    newest_first = dict.fromkeys(contents[place] for place in reversed(places))
    returned = [content for content in newest_first if content not in own]
    left_out = set(returned[max(0, MOST_ASSETS - len(own)) :])
    return {place for place, content in contents.items() if content in left_out}


def _content_key(delivery: Delivery) -> ContentKey:
    """Return a key that is equal for two deliveries of one asset."""
    if delivery.upload is None:
        return delivery.asset_id or "", ""
    delivery.upload.sha256 = sha256_hex(delivery.upload.source)
    return delivery.upload.key


def _omission_line(delivery: Delivery, validator: Validator) -> str:
    """Return the text that is sent in place of a media item that would be one asset too many."""
    line = omitted_media_text(
        delivery, f"a request has {MOST_ASSETS} assets at most, and newer ones are in it"
    )
    validator.warn(
        "unseen_media", f"{delivery.place}: {line} is sent in its place ({validator.spec.id})"
    )
    return line


def _initial_delivery(media: Media, field: str, validator: Validator) -> Delivery:
    if media.kind not in validator.spec.media:
        taken = ", ".join(validator.spec.media) or "no media"
        sent = "; it is sent all the same" if validator.validation == "warn" else ""
        validator.reject(field, f"{field} has {media.kind}; the model takes {taken}{sent}")
    if media.detail is not None and validator.spec.documented:
        validator.warn(
            "detail",
            f"the documentation of {validator.spec.id} has no `detail` for images: it is not sent",
        )
    if media.url is not None:
        if not validator.spec.remote_urls:
            validator.reject(
                field, f"{field} has a url; the model takes media as data or asset only"
            )
        return Delivery(
            kind=media.kind,
            url=media.url,
            mime_type=media.mime_type,
            detail=media.detail,
            method="link",
        )
    if media.source is None:
        return Delivery(
            kind=media.kind,
            asset_id=media.asset_id,
            mime_type=media.mime_type,
            detail=media.detail,
            method="asset",
        )
    length = base64_length(media.source.length)
    if not length:
        raise validator.invalid_request(field, f"{field} has {media.kind} data that is empty")
    return Delivery(
        kind=media.kind,
        source=media.source,
        mime_type=_checked_mime_type(media, media.source, field, validator),
        detail=media.detail,
        method="inline",
        length=length,
    )


def _checked_mime_type(media: Media, source: ByteSource, field: str, validator: Validator) -> str:
    """The media type by the bytes, or as declared where they say nothing."""
    found = sniff_format(first_bytes(source))
    allowed = validator.spec.media.get(media.kind)
    if allowed is not None and found not in allowed:
        formats = ", ".join(sorted(allowed))
        what = found or "of no known format"
        validator.reject(
            field,
            f"{field}: the {media.kind} is {what}, by its bytes; the model's documentation allows {formats}",
        )
    if found is None:
        if media.mime_type is None or kind_of_mime_type(media.mime_type) is None:
            message = f"{field}: the {media.kind} is of no known format; give its mime_type"
            raise validator.invalid_request(field, message)
        return media.mime_type
    if not format_can_hold(media.kind, found):
        validator.reject(field, f"{field}: the {media.kind} is {found}, by its bytes")
    return mime_of_format(found, media.kind)


def _may_be_assets(messages: Sequence[Message]) -> list[bool]:
    """Return for each media item whether it may be an asset: only user messages can refer to assets."""
    return [
        message.role == "user"
        for message in messages
        for part in message.parts
        if isinstance(part, Media)
    ]


def _upload_largest_until_it_fits(
    deliveries: Sequence[Delivery], may_be_assets: Sequence[bool]
) -> list[Delivery]:
    """Upload what is too large to go inline, and the largest of the rest until all of it fits."""
    planned = list(deliveries)
    inline = [
        place
        for place, delivery in enumerate(planned)
        if delivery.method == "inline" and may_be_assets[place]
    ]
    inline.sort(key=lambda place: planned[place].length)
    total = sum(delivery.length for delivery in planned if delivery.method == "inline")
    while inline and (planned[inline[-1]].length > INLINE_LIMIT or total > INLINE_TOTAL):
        place = inline.pop()
        total -= planned[place].length
        planned[place] = _as_upload(planned[place])
    return planned


def _as_upload(delivery: Delivery) -> Delivery:
    if delivery.source is None:
        raise AssertionError("inline media have bytes")
    upload = Upload(delivery.source, delivery.mime_type or "")
    return replace(delivery, method="upload", upload=upload)
