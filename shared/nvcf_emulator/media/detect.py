"""What an image, audio or video file is, by its bytes: kind, format, size, length and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from nvcf_emulator.media import audio_video, images
from nvcf_emulator.media.images import Data
from nvcf_emulator.specs.models import Kind

__all__ = ["FORMATS", "MIMES", "MIME_FORMATS", "Media", "decode", "format_of"]

FORMATS: Mapping[str, Kind] = {
    "png": "image",
    "jpeg": "image",
    "gif": "image",
    "webp": "image",
    "wav": "audio",
    "mp3": "audio",
    "mp4": "video",
    "mov": "video",
    "webm": "video",
    "mkv": "video",
}
MIME_FORMATS: Mapping[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "video/mp4": "mp4",
    "video/mov": "mov",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
}
MIMES: Mapping[str, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
}


@dataclass(frozen=True)
class Media:
    """One image, audio or video that the service was given.

    Attributes:
        kind: image, audio or video.
        format: png, jpeg, webp, gif, wav, mp3, mp4, mov, webm or mkv; empty if not recognised,
            or if only a url is known.
        length: Size in bytes.
        sha256: Hash of the bytes in hex; empty where it was not computed.
        pixels: Width and height of an image.
        seconds: Length of a recording, where its file says so.
        url: Where the bytes are, for media given by url.
        asset: Id of the asset, for media that were uploaded.
    """

    kind: Kind
    format: str = ""
    length: int = 0
    sha256: str = ""
    pixels: tuple[int, int] | None = None
    seconds: float | None = None
    url: str = ""
    asset: str = ""

    def __str__(self) -> str:
        if self.url:
            return f"{self.kind} at {self.url}"
        facts = [f"{self.kind} {MIMES.get(self.format, 'of unknown format')}"]
        if self.pixels:
            facts.append(f"{self.pixels[0]}x{self.pixels[1]} pixels")
        if self.seconds is not None:
            facts.append(f"{self.seconds:.2f} seconds")
        facts.append(f"{self.length} bytes")
        if self.sha256:
            facts.append(f"sha256 {self.sha256[:12]}")
        if self.asset:
            facts.append(f"asset {self.asset}")
        return ", ".join(facts)


def format_of(data: Data) -> str:
    """Return the format of the bytes, one of `FORMATS`, or an empty string."""
    return images.sniff(data) or audio_video.sniff(data)


def decode(
    kind: Kind, data: Data, length: int | None = None, sha256: str | None = None, asset: str = ""
) -> Media:
    """Return what `data` is.

    Args:
        kind: What it is given as; the result has the kind that the bytes show, if they do.
        data: The bytes, or the beginning of them.
        length: Size of the whole in bytes; None for that of `data`.
        sha256: Hash of the whole in hex; None to compute it.
        asset: Id of the asset that the bytes belong to.
    """
    found = format_of(data)
    real = FORMATS.get(found, kind)
    return Media(
        kind=real,
        format=found,
        length=len(data) if length is None else length,
        sha256=hashlib.sha256(data).hexdigest() if sha256 is None else sha256,
        pixels=images.size(found, data) if found and real == "image" else None,
        seconds=audio_video.duration_seconds(found, data) if found and real != "image" else None,
        asset=asset,
    )
