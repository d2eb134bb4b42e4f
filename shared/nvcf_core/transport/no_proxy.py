"""Hosts that are asked without a proxy, by `NO_PROXY` in the spellings that other programs understand."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["is_excepted"]

_ENTRY = re.compile(
    r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<host>[^:\[\]]+|[^\[\]]*:[^\[\]]*:[^\[\]]*))(?::(?P<port>\d+))?"
)
"""A host and perhaps a port. A host with more than one colon is an IPv6 address, also without its brackets."""


def is_excepted(url: str, entries: str) -> bool:
    """Whether a url is asked without a proxy.

    Args:
        url: an http url.
        entries: names (with all that is below them, also as `.name` and `*.name`), addresses, networks such as
            `10.0.0.0/8`, each perhaps with a port, or `*`; between commas or white space. What cannot be read is
            passed over.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return any(_fits(entry, host, port) for entry in re.split(r"[,\s]+", entries.lower()))


def _fits(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    found = _ENTRY.fullmatch(entry)
    if found is None or (found["port"] and int(found["port"]) != port):
        return False
    named = found["bracketed"] or found["host"] or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = named.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ipaddress.ip_network(named, strict=False)
    except ValueError:
        return False
