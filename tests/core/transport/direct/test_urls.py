"""Urls that are read here, against what httpx makes of them."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.transport.direct.urls import parse_url

PIECES = ["http://", "https://", "ftp://", "a", "api", "x1", "1", "0", "256", "127.0.0.1", ".", "-", ":", "80", "443",
          "8000", "65536", "/", "//", "/v1", "/..", "%20", "%zz", "?", "q=1", "#", "é", "A", " ", "@", "[::1]", "xn--",
          "_", "'", '"', "\\", "|", "~", ";", "+", "\n"]  # fmt: skip


def parts(url: str) -> tuple[object, ...] | str:
    """What httpx makes of a url, or why it is none."""
    try:
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            return "it is not an http or https url"
    except (httpx.InvalidURL, UnicodeError) as error:  # It decodes `host` when asked for it.
        return str(error)
    if not all(parsed.raw_host.removesuffix(b".").split(b".")):
        return "its host name has an empty part"  # httpx finds out later, or its TLS does.
    return parsed.raw_scheme, parsed.raw_host, parsed.port, parsed.raw_path, parsed.netloc


def ours(url: str) -> tuple[object, ...] | str:
    try:
        return tuple(parse_url(url))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    "url",
    [
        "https://integrate.api.nvidia.com/v1/chat/completions",
        "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status/0a1b-2c",
        "http://127.0.0.1:8000/v1/chat/completions",
        "http://localhost:80/v1",
        "https://host:443",
        "https://host/a.b/c",
        "https://bucket.s3.us-west-2.amazonaws.com/a/b.zip?X-Amz-Date=1&b=%2F",
        "http://1.2.3.999/",
        "http://1.2.3.4.5/",
        "http://host:99999/",
        "https://host/a/../b",
        "https://host/./a",
        "https://host//a",
        "https://Host/Path",
        "https://[::1]:8000/v1",
        "https://bücher.example/",
        "http://xn--",
        "http://xn--http://",
        "https://api.example./v1",
        "https://.example/v1",
        "https://a..example/v1",
        "https://./v1",
    ],
)
def test_a_url_is_what_httpx_makes_of_it(url: str) -> None:
    assert ours(url) == parts(url)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join))
def test_any_url_is_what_httpx_makes_of_it(url: str) -> None:
    assert ours(url) == parts(url)


@given(st.lists(st.sampled_from(PIECES[3:]), max_size=8).map("".join))
def test_any_end_of_a_url_is_what_httpx_makes_of_it(end: str) -> None:
    assert ours(f"https://api.example/{end}") == parts(f"https://api.example/{end}")


def test_the_origin_names_the_port_that_the_scheme_stands_for() -> None:
    assert parse_url("https://host/").origin == (b"https", b"host", 443)
    assert parse_url("http://host:8000/").origin == (b"http", b"host", 8000)
    assert parse_url("http://host:80/").origin == parse_url("http://host").origin
    assert parse_url("http://host:0/").origin == (b"http", b"host", 0)


def test_a_label_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="its host name is too long"):
        parse_url(f"https://{'a' * 64}.example/")


def test_httpx_is_imported_only_where_it_is_needed() -> None:
    """Importing it takes longer than all the rest of the core."""
    code = (
        "import sys, nvcf_core; from nvcf_core.transport.direct.urls import parse_url; "
        "parse_url('https://integrate.api.nvidia.com/v1/chat/completions'); "
        "print('httpx' in sys.modules, 'rich' in sys.modules, 'click' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False"] * 3
