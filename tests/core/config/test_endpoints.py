"""Which urls are used, which hosts are NVIDIA's, which are this machine's."""

from __future__ import annotations

from typing import Any

import pytest

from nvcf_core.config.endpoints import (
    NVCF_URL,
    Endpoints,
    is_loopback,
    is_nvidia_https_url,
    validate_root_url,
)
from nvcf_core.errors import InvalidRequestError

HOSTED = "https://integrate.api.nvidia.com/v1"
LOCAL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("url", "nvidia"),
    [
        ("https://integrate.api.nvidia.com/v1", True),
        ("https://ai.api.nvidia.com/v1", True),
        ("https://nvidia.com", True),
        ("https://API.NVIDIA.COM/v1", True),
        ("http://integrate.api.nvidia.com/v1", False),
        ("https://evilnvidia.com/v1", False),
        ("https://nvidia.com.evil.org/v1", False),
        ("https://x.org/nvidia.com", False),
        ("https://integrate.api.nvidia.com@evil.org/", False),
    ],
)
def test_which_hosts_are_nvidias(url: str, nvidia: bool) -> None:
    assert is_nvidia_https_url(url) is nvidia


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.evil.org/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.evil.org/v1", False),
        ("http://0.0.0.0/v1", False),
    ],
)
def test_which_hosts_are_this_machine(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://x.org/v1", "https://x.org/v1"),
        ("https://x.org/v1/", "https://x.org/v1"),
        ("http://[::1]:8/v1//", "http://[::1]:8/v1"),
        ("HTTP://LocalHost:8/V1", "http://LocalHost:8/V1"),
    ],
)
def test_roots(url: str, root: str) -> None:
    assert validate_root_url(url, "base_url") == root


@pytest.mark.parametrize(
    ("base_url", "nvcf_url", "expected"),
    [
        (None, None, (HOSTED, NVCF_URL)),
        (f"{LOCAL}/", None, (LOCAL, None)),
        ("https://ai.api.nvidia.com/v1", None, ("https://ai.api.nvidia.com/v1", NVCF_URL)),
        (LOCAL, "http://127.0.0.1:2/n/", (LOCAL, "http://127.0.0.1:2/n")),
        (None, "http://127.0.0.1:2/n", (HOSTED, "http://127.0.0.1:2/n")),
    ],
)
def test_where_a_service_lies(base_url: Any, nvcf_url: Any, expected: Any) -> None:
    endpoints = Endpoints.resolve(base_url, nvcf_url, HOSTED)
    assert (endpoints.base_url, endpoints.nvcf_url) == expected
    assert endpoints.roots == tuple(root for root in expected if root)


def test_urls_below_the_roots() -> None:
    with_api, without = Endpoints(LOCAL, "http://x.org/n"), Endpoints(LOCAL, None)
    assert with_api.chat_url("chat/completions") == f"{LOCAL}/chat/completions"
    assert with_api.poll_url == "http://x.org/n/pexec/status"
    assert without.poll_url == f"{LOCAL}/status"
    functions = "http://x.org/n/pexec/functions"
    assert with_api.function_url("f-1", None) == f"{functions}/f-1"
    assert with_api.function_url("f-1", "v-2") == f"{functions}/f-1/versions/v-2"
    with pytest.raises(InvalidRequestError, match="needs nvcf_url") as caught:
        without.function_url("f-1", None)
    assert caught.value.field == "nvcf_url"


@pytest.mark.parametrize(("field", "roots"), [("base_url", ("x", None)), ("nvcf_url", (None, "x"))])
def test_roots_that_are_not_urls(field: str, roots: Any) -> None:
    with pytest.raises(InvalidRequestError, match=field) as caught:
        Endpoints.resolve(*roots, HOSTED)
    assert caught.value.field == field


@pytest.mark.parametrize("url", ["localhost:8000/v1", "127.0.0.1:8000", "api.example.org/v1"])
def test_a_root_without_its_scheme(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="It begins with http:// or https://"):
        validate_root_url(url, "base_url")


@pytest.mark.parametrize("end", ["?key=nvapi-secret", "#nvapi-secret", "?a#nvapi-secret"])
def test_what_follows_a_root_is_not_repeated(end: str) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"without the query.*'http://x\.org/v1'"
    ) as caught:
        validate_root_url(f"http://x.org/v1{end}", "base_url")
    assert "nvapi-secret" not in str(caught.value)
