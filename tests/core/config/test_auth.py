"""The key: where it comes from, and where it may go."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import SecretStr

from nvcf_core.config.auth import Auth, key_fingerprint
from nvcf_core.config.endpoints import origin
from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Request

ROOT = "https://integrate.api.nvidia.com/v1"
LOCAL = "http://127.0.0.1:8000/v1"


@pytest.fixture(params=["sync", "async"])
def find(request: pytest.FixtureRequest) -> Any:
    async def run(access: Auth) -> Any:
        return access.resolve_key() if request.param == "sync" else await access.aresolve_key()

    run.colour = request.param  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize(
    "source",
    [
        SecretStr("nvapi-x"),
        SecretStr(" nvapi-x\n"),
        lambda: "nvapi-x",
        lambda: SecretStr("nvapi-x"),
    ],
    ids=["secret", "with spaces", "callable", "callable of a secret"],
)
async def test_a_key_is_found(source: Any, find: Any) -> None:
    key = await find(Auth(source, (ROOT,)))
    assert key.get_secret_value() == "nvapi-x"


async def test_a_callable_is_asked_each_time(find: Any) -> None:
    keys = iter(["one", "two"])
    access = Auth(lambda: next(keys), (ROOT,))
    found = [(await find(access)).get_secret_value() for _ in range(2)]
    assert found == ["one", "two"]


async def test_an_async_callable_works_in_async_calls_only(find: Any) -> None:
    started = []

    async def fetch() -> str:
        started.append(1)
        return "nvapi-x"

    access = Auth(fetch, (ROOT,))
    if find.colour == "async":
        assert (await find(access)).get_secret_value() == "nvapi-x"
        return
    with pytest.raises(InvalidRequestError, match="async calls only") as caught:
        await find(access)
    assert caught.value.field == "api_key"
    assert not started


async def test_an_awaitable_that_is_no_coroutine() -> None:
    class Later:
        def __await__(self) -> Any:
            yield from ()
            return "nvapi-x"

    with pytest.raises(InvalidRequestError, match="async calls only"):
        Auth(Later, (ROOT,)).resolve_key()
    found = await Auth(Later, (ROOT,)).aresolve_key()
    assert found is not None
    assert found.get_secret_value() == "nvapi-x"
    assert inspect.isawaitable(Later())


@pytest.mark.parametrize("source", [None, SecretStr(""), SecretStr("  "), lambda: None, lambda: ""])
async def test_no_key(source: Any, find: Any) -> None:
    assert await find(Auth(source, (LOCAL,))) is None
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY") as caught:
        await find(Auth(source, (LOCAL, ROOT)))
    assert caught.value.field == "api_key"


@pytest.mark.parametrize("source", [lambda: 5, lambda: ["nvapi-x"], lambda: b"nvapi-x"])
async def test_a_callable_that_returns_no_key(source: Any, find: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must return a str or SecretStr") as caught:
        await find(Auth(source, (ROOT,)))
    assert "nvapi-x" not in str(caught.value)


@pytest.mark.parametrize("key", ["nvapi-a\r\nX: y", "nvapi-é", "nvapi-\0", "nvapi-\x7f"])
async def test_a_key_that_would_break_out_of_its_header(key: str, find: Any) -> None:
    with pytest.raises(InvalidRequestError, match="characters that no key has") as caught:
        await find(Auth(SecretStr(key), (LOCAL,)))
    assert "nvapi-" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://integrate.api.nvidia.com/v1/chat/completions", True),
        ("https://INTEGRATE.api.nvidia.com:443/v1/models", True),
        ("https://api.nvcf.nvidia.com/v2/nvcf/assets", True),
        ("http://integrate.api.nvidia.com/v1", False),
        ("https://integrate.api.nvidia.com:8443/v1", False),
        ("https://ai.api.nvidia.com/v1", False),
        ("https://s3.amazonaws.com/x", False),
        ("https://integrate.api.nvidia.com.evil.org/v1", False),
        ("https://integrate.api.nvidia.com@evil.org/v1", False),
    ],
)
def test_the_key_goes_only_to_the_hosts_it_is_for(url: str, allowed: bool) -> None:
    access = Auth(SecretStr("k"), (ROOT, "https://api.nvcf.nvidia.com/v2/nvcf"))
    assert access.applies_to(Request("ask", "POST", url)) is allowed
    assert not access.applies_to(Request("put", "PUT", url, authorized=False))


def test_where_it_would_go_in_the_clear() -> None:
    assert Auth(None, (ROOT, LOCAL)).insecure_root() is None
    assert Auth(None, (ROOT, "http://x.org/v1")).insecure_root() == "http://x.org/v1"


def test_origins_and_digests() -> None:
    assert origin("http://x.org/a") == ("http", "x.org", 80)
    assert origin("https://x.org:8443") == ("https", "x.org", 8443)
    assert key_fingerprint(None) == ""
    assert key_fingerprint(SecretStr("a")) != key_fingerprint(SecretStr("b"))
    assert "nvapi" not in key_fingerprint(SecretStr("nvapi"))


def test_access_does_not_show_its_key() -> None:
    assert "nvapi" not in repr(Auth(lambda: "nvapi", (ROOT,)))
    assert "nvapi" not in repr(Auth(SecretStr("nvapi"), (ROOT,)))
