"""How each image, audio or video reaches the model: as a link, inline, uploaded, or as an existing asset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nvcf_core.exchange import ByteSource
from nvcf_core.messages import Media, Message
from nvcf_core.models.validator import Validator

from .formats import AMBIGUOUS_FORMATS, MIME_TYPES, kind_of_mime_type, mime_of_format, sniff_format
from .sources import base64_length, first_bytes, sha256_hex

INLINE_LIMIT = 180_000
"""Characters of base64 that one medium may have inline: that of NVIDIA's samples, the lower of the two documented."""

INLINE_TOTAL = 200_000
"""Characters of base64 that all inline media of one request may have: the documented 200 KB."""

MOST_ASSETS = 10
"""Assets of one request: the documented header of 370 characters holds ten ids."""


@dataclass(slots=True)
class Delivery:
    """One medium and the way it takes to the model."""

    media: Media
    mime_type: str
    method: Literal["link", "inline", "asset", "upload"]
    length: int = 0
    """Characters of base64, where there are bytes."""
    sha256: str = ""
    """SHA-256 of the bytes, where they are to be uploaded."""


class Deliveries(dict[int, Delivery]):
    """Every medium of one request, by the identity of its `Media`."""

    def of(self, media: Media) -> Delivery:
        """The way that a medium takes."""
        return self[id(media)]

    def uploads(self) -> list[Delivery]:
        """Those to be uploaded, each content once."""
        wanted: dict[tuple[str, str], Delivery] = {}
        for delivery in self.values():
            if delivery.method == "upload":
                wanted.setdefault((delivery.sha256, delivery.mime_type), delivery)
        return list(wanted.values())

    def hash_uploads(self, validator: Validator) -> None:
        """Take the hash of what is to be uploaded, and count the assets that this comes to.

        Raises:
            InvalidRequestError: there are more than `MOST_ASSETS`.
        """
        for delivery in self.values():
            if delivery.method == "upload" and delivery.media.source is not None:
                delivery.sha256 = sha256_hex(delivery.media.source)
        given = {
            delivery.media.asset_id for delivery in self.values() if delivery.method == "asset"
        }
        count = len(given) + len(self.uploads())
        if count > MOST_ASSETS:
            raise validator.invalid_request(
                "messages",
                f"the request would reference {count} assets; the service takes {MOST_ASSETS}",
            )


def plan_delivery(
    messages: Sequence[Message], validator: Validator, *, can_upload: bool
) -> Deliveries:
    """Decide for every medium of a request how it travels, before anything is sent.

    Args:
        messages: the arranged messages.
        validator: the model's documentation.
        can_upload: whether the service has an asset API.

    Raises:
        InvalidRequestError: the model takes no such media, or not so many, or not in this format.
    """
    deliveries = Deliveries()
    count = 0
    for message in messages:
        for part in message.parts:
            if isinstance(part, Media):
                count += 1
                deliveries[id(part)] = _deliver(part, part.place, validator)
    most = validator.spec.max_media
    if most is not None and count > most:
        validator.reject(
            "messages", f"the request has {count} media; the model's documentation allows {most}"
        )
    assets = {delivery.media.asset_id for delivery in deliveries.values()} - {None}
    if (
        len(assets) > MOST_ASSETS
    ):  # Known without reading a file. `hash_uploads` counts what is uploaded as well.
        raise validator.invalid_request(
            "messages",
            f"the request references {len(assets)} assets; the service takes {MOST_ASSETS}",
        )
    if can_upload and validator.spec.assets:
        _upload_largest_until_it_fits(deliveries)
    return deliveries


def _deliver(media: Media, field: str, validator: Validator) -> Delivery:
    if media.kind not in validator.spec.media:
        taken = ", ".join(validator.spec.media) or "no media"
        sent = "; it is sent all the same" if validator.validation == "warn" else ""
        validator.reject(field, f"{field} has {media.kind}; the model takes {taken}{sent}")
    if media.detail is not None and validator.spec.documented:
        validator.warn(
            "detail",
            f"the model's documentation of {validator.spec.id} has no `detail` for images: it is not sent",
        )
    if media.url is not None:
        if not validator.spec.remote_urls:
            validator.reject(
                field, f"{field} has a url; the model takes media as data or asset only"
            )
        return Delivery(media, media.mime_type or "", "link")
    if media.source is None:
        return Delivery(media, media.mime_type or "", "asset")
    length = base64_length(media.source.length)
    if not length:
        raise validator.invalid_request(field, f"{field} has {media.kind} data that is empty")
    return Delivery(
        media, _checked_mime_type(media, media.source, field, validator), "inline", length
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
            f"{field}: the {media.kind} is {what}, by its bytes; the model's documentation takes {formats}",
        )
    if found is None:
        if media.mime_type is None or kind_of_mime_type(media.mime_type) is None:
            message = f"{field}: the {media.kind} is of no known format; give its mime_type"
            raise validator.invalid_request(field, message)
        return media.mime_type
    if found not in AMBIGUOUS_FORMATS and kind_of_mime_type(MIME_TYPES[found]) != media.kind:
        validator.reject(field, f"{field}: the {media.kind} is {found}, by its bytes")
    return mime_of_format(found, media.kind)


def _upload_largest_until_it_fits(deliveries: Deliveries) -> None:
    """Upload what is too large to go inline, and the largest of the rest until all of it fits."""
    inline = [delivery for delivery in deliveries.values() if delivery.method == "inline"]
    inline.sort(key=lambda delivery: delivery.length)
    total = sum(delivery.length for delivery in inline)
    while inline and (inline[-1].length > INLINE_LIMIT or total > INLINE_TOTAL):
        largest = inline.pop()
        largest.method = "upload"
        total -= largest.length
