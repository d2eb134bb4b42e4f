"""Media given as a url, a data url or an asset id."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes, urlsplit

from nvcf_core.errors import InvalidRequestError
from nvcf_core.messages import Media, MediaKind

from .formats import kind_of_mime_type
from .sources import Base64Source, BytesSource

__all__ = ["asset_reference", "media_from_url"]

_ASSET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def media_from_url(url: str, *, kind: MediaKind, field: str, mime: str | None = None) -> Media:
    """Return a media item from an http, https or data url, or a reference such as `data:image/png;asset_id,<id>`.

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
        raise InvalidRequestError(f"{field}: {url[:80]!r} is not a usable url", field=field)
    return Media(kind=kind, url=url, mime_type=mime)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _media_from_data_url(url: str, kind: MediaKind, field: str) -> Media:
    comma = url.find(",")
    if comma < 0:
        raise InvalidRequestError(
            f"{field}: the data url has no comma, and so no data", field=field
        )
    mime, *options = [part.strip().lower() for part in url[5:comma].split(";")]
    if "base64" in options:
        source = Base64Source.from_text(url, field=field, start=comma + 1)
        return Media(kind=kind, source=source, mime_type=mime or None)
    data = url[comma + 1 :]
    if "asset_id" in options:
        return asset_reference(data.strip(), kind=kind, mime=mime or None, field=field)
    try:
        decoded = unquote_to_bytes(data)
    except UnicodeEncodeError:
        raise InvalidRequestError(
            f"{field}: the data url has half of a surrogate pair", field=field
        ) from None
    if not decoded:
        raise InvalidRequestError(f"{field}: the data url is empty", field=field)
    return Media(kind=kind, source=BytesSource(decoded), mime_type=mime or None)


def asset_reference(asset_id: str, *, kind: MediaKind, mime: str | None, field: str) -> Media:
    """Return a media item for an asset that the service has already.

    Raises:
        InvalidRequestError: the id has letters that no id has, or the media type is missing.
    """
    if not isinstance(asset_id, str) or not _ASSET_ID.fullmatch(asset_id):
        raise InvalidRequestError(
            f"{field}: {str(asset_id)[:80]!r} is not an asset id", field=field
        )
    if not mime or kind_of_mime_type(mime) is None:
        raise InvalidRequestError(
            f'{field}: an asset needs its mime_type, e.g. "image/png"; it has {mime!r}', field=field
        )
    return Media(kind=kind, asset_id=asset_id, mime_type=mime)
