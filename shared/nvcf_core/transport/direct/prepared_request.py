"""A request as it goes out over our own client: its url, its headers with the key among them, its limits."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from nvcf_core.config.options import RequestOptions
from nvcf_core.exchange import Request
from nvcf_core.transport.failures import unusable_url
from nvcf_core.transport.interface import Content
from nvcf_core.transport.time_limits import TimeLimits, time_limits

from .urls import ParsedURL, parse_url

__all__ = ["PreparedRequest", "prepare_request"]

_USER_AGENT = b"nvcf-adapters"


@dataclass(slots=True)
class PreparedRequest:
    """A request as it goes out."""

    method: str
    url: ParsedURL
    headers: list[tuple[bytes, bytes]]
    content: Content


def prepare_request(
    request: Request, content: Content, key: SecretStr | None, options: RequestOptions
) -> tuple[PreparedRequest, TimeLimits]:
    """A request as it is sent, and its limits. To a foreign host only its own headers go."""
    try:
        url = parse_url(request.url)
    except ValueError as error:
        raise unusable_url(request, error) from None
    headers = {b"host": url.netloc}
    if request.authorized:
        headers |= {b"accept": b"*/*", b"accept-encoding": b"identity", b"user-agent": _USER_AGENT}
    for name, value in options.headers_for(request).items():
        headers[name.encode("ascii")] = value.encode("ascii")
    if b"content-length" not in headers and (content or request.method in ("POST", "PUT")):
        length = len(content) if isinstance(content, bytes) else 0
        headers[b"content-length"] = b"%d" % length
    if key is not None:
        headers[b"authorization"] = b"Bearer " + key.get_secret_value().encode("ascii")
    sent = PreparedRequest(request.method, url, list(headers.items()), content)
    return sent, time_limits(request, options)
