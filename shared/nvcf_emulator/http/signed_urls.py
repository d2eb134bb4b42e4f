"""Urls that the service signs for one request at another host: of uploads, and of large results."""

from __future__ import annotations

import json
import re
from typing import AnyStr
from urllib.parse import urlsplit

__all__ = ["SignedUrls", "is_signed", "led_to", "path_at_recorder"]

_RECORDER = "http://recorder.invalid"
"""Stands in a recording for the address of the recorder, or of who answers from the recording."""

_PATH = "/__signed__/"
_UPLOAD_URL = re.compile(rb'("uploadUrl"\s*:\s*)("(?:[^"\\]|\\.)*")')


def is_signed(path: str) -> bool:
    """Tell whether a path at the recorder stands for a signed url."""
    return path.startswith(_PATH)


def led_to(root: str, value: AnyStr) -> AnyStr:
    """Return a text or bytes of a recording whose urls lead to `root`, where the recorder's stood."""
    if isinstance(value, str):
        return value.replace(_RECORDER, root)
    return value.replace(_RECORDER.encode(), root.encode())


def path_at_recorder(url: str) -> str:
    """Return the path of a url that a recording holds in the place of another."""
    return url.removeprefix(_RECORDER)


class SignedUrls:
    """The signed urls that the service gave out, each under a short path of the recorder's.

    So their requests pass the recorder too, and none of the signatures is written.
    """

    def __init__(self) -> None:
        self._urls: list[str] = []

    def url(self, path: str) -> str | None:
        """Return the signed url that a path stands for, None if there is none."""
        number = path.removeprefix(_PATH)
        known = number.isascii() and number.isdigit() and 1 <= int(number) <= len(self._urls)
        return self._urls[int(number) - 1] if known else None

    def replaced(self, url: str) -> str:
        """Return the url at the recorder that stands for a signed one from now on."""
        self._urls.append(url)
        return self.of_recorder(f"{_PATH}{len(self._urls)}")

    @staticmethod
    def of_recorder(path: str) -> str:
        """Return the url of a path at the recorder, as a recording holds it."""
        return _RECORDER + path

    def replaced_in(self, body: bytes) -> bytes:
        """Return the description of a new asset with another url for its upload; the rest as it is."""
        try:
            json.loads(body)
        except ValueError:
            return body
        return _UPLOAD_URL.sub(self._replaced_text, body)

    def _replaced_text(self, found: re.Match[bytes]) -> bytes:
        url = json.loads(found[2])
        if urlsplit(url).scheme not in ("http", "https"):
            return found[0]
        return found[1] + json.dumps(self.replaced(url)).encode()
