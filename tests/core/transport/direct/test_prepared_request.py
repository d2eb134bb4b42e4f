"""A request as it goes out over our own client: its length, its key, its headers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from nvcf_core.config.auth import Auth
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Request
from nvcf_core.transport.direct.prepared_request import prepare_request

ROOT = "https://integrate.api.nvidia.com/v1"
KEY = SecretStr("nvapi-x")
OPTIONS = RequestOptions(auth=Auth(KEY, (ROOT,)), headers={"x-user": "1"})


def headers_of(
    request: Request, content: Any = None, key: SecretStr | None = None
) -> dict[bytes, bytes]:
    sent, _ = prepare_request(request, content, key, OPTIONS)
    names = [name for name, _ in sent.headers]
    assert len(set(names)) == len(names)
    return dict(sent.headers)


@pytest.mark.parametrize(
    ("method", "content", "length"),
    [
        ("GET", None, None),
        ("DELETE", None, None),
        ("POST", None, b"0"),
        ("PUT", None, b"0"),
        ("POST", b"four", b"4"),
    ],
)
def test_the_length_of_a_body(method: str, content: bytes | None, length: bytes | None) -> None:
    asked = Request("models", method, f"{ROOT}/models")
    assert headers_of(asked, content).get(b"content-length") == length


def test_a_length_that_was_given_stands() -> None:
    asked = Request("put", "PUT", f"{ROOT}/x", {"content-length": "9"}, authorized=False)
    assert headers_of(asked, lambda: iter(()))[b"content-length"] == b"9"


def test_what_goes_to_the_service_and_to_others() -> None:
    known = headers_of(Request("models", "GET", f"{ROOT}/models"), key=KEY)
    assert known[b"authorization"] == b"Bearer nvapi-x"
    assert known[b"accept-encoding"] == b"identity"
    assert known[b"x-user"] == b"1"
    foreign = Request("fetch", "GET", "https://s3.example.org/x", {"a": "b"}, authorized=False)
    assert headers_of(foreign) == {b"host": b"s3.example.org", b"a": b"b"}


def test_a_url_that_is_none() -> None:
    with pytest.raises(InvalidRequestError, match="not an http or https url"):
        prepare_request(Request("models", "GET", "ftp://a/"), None, None, OPTIONS)
