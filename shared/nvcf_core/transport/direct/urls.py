"""Urls as they are sent: read here where they are plain, as nearly all are, and else by httpx."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple, TypeAlias

__all__ = ["Origin", "ParsedURL", "parse_url"]

Origin: TypeAlias = tuple[bytes, bytes, int]
"""Scheme, host and port: where a connection leads."""

_PORTS = {b"http": 80, b"https": 443}

_HIGHEST_PORT = 65535

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_NAME = "(?:[a-z0-9]+[.-])*[a-z][a-z0-9]*"
_PLAIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_NAME}|{_OCTET}(?:[.]{_OCTET}){{3}})(?::(?P<port>[1-9][0-9]{{0,4}}))?"
    r"(?P<target>/[A-Za-z0-9/_~:@!$&()*+,;=-]*(?:\.[A-Za-z0-9_~-]+)*)?"
)
"""Urls in which nothing has to be escaped, put in lower case, resolved or translated."""


class ParsedURL(NamedTuple):
    """The parts of a url as they are sent."""

    scheme: bytes
    host: bytes
    port: int | None
    """None: the scheme's own."""
    target: bytes
    netloc: bytes
    """The `host` header."""

    @property
    def origin(self) -> Origin:
        """Where it leads."""
        return self.scheme, self.host, _PORTS[self.scheme] if self.port is None else self.port


@functools.lru_cache(maxsize=256)
def parse_url(url: str) -> ParsedURL:
    """The parts of a url.

    Raises:
        ValueError: it is not an http url.
    """
    found = _plain(url) or _parse_with_httpx(url)
    labels = found.host.removesuffix(b".").split(b".")
    if any(len(label) > 63 for label in labels) or len(found.host) > 253:
        raise ValueError("its host name is too long")
    if not all(labels):
        raise ValueError("its host name has an empty part")
    return found


def _plain(url: str) -> ParsedURL | None:
    """The parts of a plain url. httpx would say the same, but importing it takes longer than all else here."""
    match = _PLAIN.fullmatch(url)
    if match is None or "//" in (match["target"] or ""):
        return None
    scheme, host = match["scheme"].encode(), match["host"].encode()
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > _HIGHEST_PORT:
        return None
    if port == _PORTS[scheme]:
        port = None
    netloc = host if port is None else b"%s:%d" % (host, port)
    return ParsedURL(scheme, host, port, (match["target"] or "/").encode(), netloc)


def _parse_with_httpx(url: str) -> ParsedURL:
    import httpx

    try:
        parsed = httpx.URL(url)
        is_http = parsed.scheme in ("http", "https") and bool(parsed.host)
        found = ParsedURL(
            parsed.raw_scheme, parsed.raw_host, parsed.port, parsed.raw_path, parsed.netloc
        )
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(str(error)) from None
    if not is_http:
        raise ValueError("it is not an http or https url")
    return found
