"""Media given as a url, a data url or an asset id."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from nvcf_core import Media
from nvcf_core.errors import InvalidRequestError
from nvcf_core.media.references import asset_reference, media_from_url
from nvcf_core.media.sources import Base64Source, BytesSource

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def from_url(url: str, kind: Any = "image") -> Media:
    return media_from_url(url, kind=kind, field="messages[0]")


@pytest.mark.parametrize("url", ["https://x.org/a.png", "http://x.org/a?b=c#d", "HTTPS://x.org/ä"])
def test_links_are_handed_on(url: str) -> None:
    assert from_url(url) == Media(kind="image", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "C:\\x.png",
        "a.png",
        "",
        "ftp://x/y",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "http://[bad/",
        "https://x.org/a\nb",
        "https://x.org/a b",
        "https://x.org/\x7f",
        "https://x.org/\0",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]") as caught:
        from_url(url)
    assert caught.value.field == "messages[0]"


def test_data_urls() -> None:
    text = base64.b64encode(PNG).decode()
    url = f"data:image/PNG;charset=x;base64,{text}"
    source = Base64Source(url, start=len(url) - len(text))
    assert from_url(url) == Media(kind="image", source=source, mime_type="image/png")
    assert b"".join(source.chunks()) == PNG
    media = from_url("data:image/svg+xml,%3Csvg%2F%3E")
    assert media == Media(kind="image", source=BytesSource(b"<svg/>"), mime_type="image/svg+xml")
    assert from_url("data:;base64,AAAA").mime_type is None
    assert from_url("data:image/png;asset_id, 123-abc ") == Media(
        kind="image", asset_id="123-abc", mime_type="image/png"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64,abc", "cut off"),
        ("data:image/png;base64,ab!=", "not base64"),
        ("data:image/png,", "empty"),
        ("data:image/png;asset_id,../secret", "not an asset id"),
        ("data:image/png;asset_id,", "not an asset id"),
        ("data:image/png;asset_id,a,b", "not an asset id"),
        ("data:;asset_id,abc", "needs its mime_type"),
        ("data:text/plain;asset_id,abc", "needs its mime_type"),
        ("data:image/png,\ud800", "surrogate"),
    ],
)
def test_data_urls_that_hold_nothing_usable(url: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        from_url(url)


@pytest.mark.parametrize(
    "asset_id", ["a/b", "../x", "a b", "a\nb", "-a", "x" * 65, "", None, 5, "ä", "a%2fb"]
)
def test_asset_ids_that_climb_or_break_out(asset_id: Any) -> None:
    with pytest.raises(InvalidRequestError, match="not an asset id"):
        asset_reference(asset_id, kind="image", mime="image/png", field="f")
