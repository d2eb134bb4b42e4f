"""Which urls are used, which hosts are NVIDIA's, and where a redirect may lead."""

from __future__ import annotations

import functools
import ipaddress
import re
from urllib.parse import urlsplit

from nvcf_core.errors import InvalidRequestError
from nvcf_core.values import value_class

__all__ = [
    "NVCF_URL",
    "Endpoints",
    "is_loopback",
    "is_nvidia_https_url",
    "is_safe_redirect",
    "origin",
    "validate_root_url",
]


def is_safe_redirect(url: str, root: str) -> bool:
    """Return whether an url that the service named may be used: never one less protected than the service itself."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port  # Reading a bad port raises.
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and root.startswith("http://")))


NVCF_URL = "https://api.nvcf.nvidia.com/v2/nvcf"
"""The documented root of the asset, polling and function API."""


@functools.lru_cache(maxsize=256)
def is_nvidia_https_url(url: str) -> bool:
    """Return whether a URL is https and its host is nvidia.com or below it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and (host == "nvidia.com" or host.endswith(".nvidia.com"))


@functools.lru_cache(maxsize=256)
def is_loopback(url: str) -> bool:
    """Return whether a url leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.lru_cache(maxsize=256)
def validate_root_url(url: str, field: str) -> str:
    """A root url without its last slash.

    Raises:
        InvalidRequestError: it is not an http url, or carries a user name, a query or a fragment.
    """
    if "@" in re.split("[/?#]", url.partition("//")[2], maxsplit=1)[0]:
        # Checked first, so that no message below repeats a password.
        raise InvalidRequestError(
            f"{field} carries a user name or password; give the key as api_key", field=field
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # A port that is not a number shows only here.
    except ValueError:
        usable = False
    if not usable or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        hint = "" if "://" in url else ". It begins with http:// or https://"
        raise InvalidRequestError(
            f"{field} is not an http or https url: {url!r}{hint}", field=field
        )
    if parts.query or parts.fragment:
        shown = re.split("[?#]", url, maxsplit=1)[0]  # Some put their key behind it.
        raise InvalidRequestError(
            f"{field} is a root, without the query or fragment that follows {shown!r}", field=field
        )
    return parts.scheme + url[len(parts.scheme) :].rstrip("/")


@functools.lru_cache(maxsize=256)
def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a key may go to."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", default if parts.port is None else parts.port


_FUNCTION_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@value_class
class Endpoints:
    """The URLs of the service for one model."""

    base_url: str
    """The root of the chat API, without a trailing slash."""
    nvcf_url: str | None
    """The root of the asset, polling and function API, None where there is none."""

    @classmethod
    @functools.lru_cache(maxsize=256)
    def resolve(cls, base_url: str | None, nvcf_url: str | None, documented: str) -> Endpoints:
        """The endpoints of a model, by what the user gave.

        Args:
            base_url: the user's; None: the documented one.
            nvcf_url: the user's; None: NVIDIA's own, while `base_url` is NVIDIA's.
            documented: the host that the model's documentation names, up to `/v1`.

        Raises:
            InvalidRequestError: one of them is not a usable root.
        """
        root = validate_root_url(base_url, "base_url") if base_url else documented
        if nvcf_url:
            return cls(root, validate_root_url(nvcf_url, "nvcf_url"))
        return cls(root, NVCF_URL if is_nvidia_https_url(root) else None)

    @property
    def roots(self) -> tuple[str, ...]:
        """Both of them: the key may go to their hosts."""
        return (self.base_url,) if self.nvcf_url is None else (self.base_url, self.nvcf_url)

    @property
    def own_server(self) -> bool:
        """Whether it is a server of the user's own: neither NVIDIA's, nor one with the API of NVIDIA's."""
        return self.nvcf_url is None

    @property
    def poll_url(self) -> str:
        """The URL below which the result of a request that was accepted with 202 is polled, by its id."""
        root = self.base_url if self.nvcf_url is None else f"{self.nvcf_url}/pexec"
        return f"{root}/status"

    def chat_url(self, path: str) -> str:
        """Return the chat URL of a catalogue model.

        Args:
            path: from the model spec.
        """
        return f"{self.base_url}/{path}"

    def function_url(self, function_id: str, version: str | None) -> str:
        """Return the URL of a function that is deployed on NVCF.

        Raises:
            InvalidRequestError: there is no `nvcf_url`, or an id has characters that no id has.
        """
        if self.nvcf_url is None:
            raise InvalidRequestError(
                "function_id needs nvcf_url, the root of the function API", field="nvcf_url"
            )
        for name, part in (("function_id", function_id), ("function_version", version)):
            if part is not None and not _FUNCTION_PART.fullmatch(part):
                raise InvalidRequestError(f"{name}={part!r} is not an id", field=name)
        url = f"{self.nvcf_url}/pexec/functions/{function_id}"
        return f"{url}/versions/{version}" if version else url
