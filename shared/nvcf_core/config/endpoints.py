"""Which urls are used, which hosts are NVIDIA's, and where a redirect may lead."""

from __future__ import annotations

import functools
import ipaddress
import re
from urllib.parse import urlsplit

from nvcf_core.errors import InvalidRequestError

__all__ = [
    "FUNCTION_PART",
    "NVCF_URL",
    "checked_root",
    "is_loopback",
    "is_nvidia",
    "is_safe_redirect",
    "origin",
]


def is_safe_redirect(url: str, root: str) -> bool:
    """Whether an url that the service named may be used: never one less protected than the service itself."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port  # Reading a bad port raises.
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and root.startswith("http://")))


NVCF_URL = "https://api.nvcf.nvidia.com/v2/nvcf"
"""The documented root of the asset, polling and function API."""


@functools.lru_cache(maxsize=256)
def is_nvidia(url: str) -> bool:
    """Whether a url leads to a host of NVIDIA's, over TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and (host == "nvidia.com" or host.endswith(".nvidia.com"))


@functools.lru_cache(maxsize=256)
def is_loopback(url: str) -> bool:
    """Whether a url leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.lru_cache(maxsize=256)
def checked_root(url: str, field: str) -> str:
    """A root url without its last slash.

    Raises:
        InvalidRequestError: it is no http url, or carries a user name, a query or a fragment.
    """
    if "@" in re.split("[/?#]", url.partition("//")[2], maxsplit=1)[0]:
        # Told first, lest a message below repeats a password.
        raise InvalidRequestError(
            f"{field} carries a user name or password; give the key as api_key", field=field
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # A port that is no number shows only here.
    except ValueError:
        usable = False
    if not usable or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise InvalidRequestError(f"{field} is no http or https url: {url!r}", field=field)
    if parts.query or parts.fragment:
        raise InvalidRequestError(
            f"{field} is a root, without query or fragment: {url!r}", field=field
        )
    return url.rstrip("/")


FUNCTION_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@functools.lru_cache(maxsize=256)
def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a key may go to."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default
