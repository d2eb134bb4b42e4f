"""Hosts that are asked without a proxy, in every spelling of `NO_PROXY`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvcf_core.transport.no_proxy import is_excepted

NAMED = "http://api.service.example:8000/v1"


@pytest.mark.parametrize(
    ("entries", "excepted"),
    [
        ("", False),
        ("*", True),
        ("service.example", True),
        (".service.example", True),
        ("*.service.example", True),
        ("*.example", True),
        ("API.Service.Example.", True),
        ("other.example,api.service.example", True),
        (" other.example ,  api.service.example ", True),
        ("other.example api.service.example", True),
        ("api.service.example:8000", True),
        ("api.service.example:80", False),
        ("*:8000", False),
        ("ervice.example", False),
        ("*ervice.example", False),
        ("service", False),
        ("http://api.service.example", False),
        ("user@api.service.example", False),
        ("10.0.0.0/8", False),
        (",,[,::,%%%,(,*.", False),
    ],
)
def test_names(entries: str, excepted: bool) -> None:
    assert is_excepted(NAMED, entries) is excepted


@pytest.mark.parametrize(
    ("host", "entries", "excepted"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.9/24", True),
        ("10.1.2.3", "10.1.2.3:80", True),
        ("10.1.2.3", "10.1.2.3:443", False),
        ("10.1.2.3", "192.168.0.0/16, 10.0.0.0/8", True),
        ("10.1.2.3", "11.0.0.0/8", False),
        ("10.1.2.3", "300.0.0.0/8", False),
        ("10.1.2.3", "10.0.0.0/99", False),
        ("10.1.2.3", "1.2.3", False),
        ("10.1.2.3", "*.2.3", False),
        ("10.1.2.3", "fd00::/8", False),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("[fd00::1]", "[fd00:0:0::1]:80", True),
        ("[fd00::1]", "[fd00::1]:443", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "10.0.0.0/8", False),
    ],
)
def test_addresses(host: str, entries: str, excepted: bool) -> None:
    assert is_excepted(f"http://{host}/v1", entries) is excepted


def test_the_port_that_the_scheme_stands_for() -> None:
    assert is_excepted("https://service.example/v1", "service.example:443")
    assert not is_excepted("http://service.example/v1", "service.example:443")


@given(st.text(max_size=40))
def test_whatever_stands_there_fails_no_call(entries: str) -> None:
    for host in ("service.example", "10.1.2.3", "[fd00::1]"):
        assert isinstance(is_excepted(f"http://{host}/v1", entries), bool)
