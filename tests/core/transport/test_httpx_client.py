"""The room that knows httpx: limits of time, names for failures, headers to hosts that are not the service's."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import httpx2
import pytest
from pydantic import SecretStr

from nvcf_core.config.auth import Auth
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import APIConnectionError, APITimeoutError
from nvcf_core.exchange import Request
from nvcf_core.transport.bodies import Outcome
from nvcf_core.transport.driver import AsyncDriver, Driver
from nvcf_core.transport.httpx_client import ClientConfig, HTTPClient

ROOT = "https://integrate.api.nvidia.com/v1"
ASK = Request("ask", "POST", f"{ROOT}/chat/completions", {"accept": "application/json"})
PUT = Request("put", "PUT", "https://s3.example.org/x", authorized=False)
KEY = SecretStr("nvapi-x")


def terms(timeout: Any = None, **headers: str) -> RequestOptions:
    return RequestOptions(auth=Auth(KEY, (ROOT,)), headers=headers, timeout=timeout)


@pytest.fixture
def http() -> Any:
    with httpx.Client(headers={"x-client": "1"}, cookies={"a": "b"}, timeout=7) as client:
        yield HTTPClient(client, owned=False)


@pytest.fixture
def own() -> Any:
    with httpx.Client() as client:
        yield HTTPClient(client, owned=True)


def limits(http: HTTPClient, timeout: Any = None, patience: float | None = None) -> Any:
    request = Request("poll", "GET", ASK.url, read_timeout=patience)
    return http.build(request, None, None, terms(timeout)).extensions["timeout"]


def each(connect: Any, read: Any, write: Any, pool: Any) -> dict[str, Any]:
    return {"connect": connect, "read": read, "write": write, "pool": pool}


def test_limits_of_our_own_client(own: HTTPClient) -> None:
    assert limits(own) == each(10, 300, 300, None)
    assert limits(own, 5) == each(5, 5, 5, None)
    assert limits(own, httpx.Timeout(5, read=None)) == each(5, None, 5, 5)
    assert limits(own, httpx2.Timeout(3)) == each(3, 3, 3, 3)


def test_limits_of_an_injected_client(http: HTTPClient) -> None:
    assert limits(http) == each(7, 7, 7, 7)
    assert limits(http, 5) == each(5, 5, 5, None)
    assert limits(http, patience=2) == each(7, 2, 7, 7)


def test_patience_only_shortens(own: HTTPClient) -> None:
    assert limits(own, patience=900)["read"] == 300
    assert limits(own, patience=20)["read"] == 20
    assert limits(own, httpx.Timeout(None), patience=20) == each(None, 20, None, None)


def test_the_service_gets_the_clients_own_headers_and_the_key(http: HTTPClient) -> None:
    built = http.build(ASK, b"{}", KEY, terms(**{"x-user": "1", "accept": "text/html"}))
    assert built.headers["authorization"] == "Bearer nvapi-x"
    assert (built.headers["x-client"], built.headers["x-user"]) == ("1", "1")
    assert built.headers["accept"] == "application/json"
    assert built.headers["cookie"] == "a=b"


def test_a_foreign_host_gets_none_of_them(http: HTTPClient) -> None:
    built = http.build(PUT, b"data", KEY, terms(**{"x-user": "1"}))
    assert set(built.headers) == {"host", "content-length"}
    assert built.extensions["timeout"] == each(7, 7, 7, 7)


def test_no_credentials_but_the_key(http: HTTPClient) -> None:
    assert http.auth(ASK, KEY) is None
    assert http.auth(PUT, None) is None
    assert http.auth(ASK, None) is httpx.USE_CLIENT_DEFAULT


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectTimeout("x"), "no connection within 1 s (timeout)"),
        (httpx.WriteTimeout("x"), "sending stood still for 3 s (timeout)"),
        (httpx.PoolTimeout("x"), "no free connection within 4 s (timeout)"),
        (httpx.ReadTimeout("x"), "no response within 2 s (timeout)"),
    ],
)
def test_every_limit_is_named(error: Exception, said: str, own: HTTPClient) -> None:
    failure = own.translate_error(error, ASK, each(1, 2, 3, 4))
    assert type(failure) is APITimeoutError
    assert str(failure) == f"ask (integrate.api.nvidia.com): {said}"
    assert failure.failed_at > 0


def test_other_failures_are_connections_that_failed(own: HTTPClient) -> None:
    failure = own.translate_error(httpx.ConnectError("refused"), PUT, {})
    assert type(failure) is APIConnectionError
    assert str(failure) == "put (s3.example.org): ConnectError: refused"
    assert own.transport_errors() == (httpx.RequestError, httpx.StreamError, ssl.SSLError)


def test_clients_of_httpx2_are_known() -> None:
    with httpx2.Client() as client:
        assert HTTPClient(client, owned=False).library is httpx2
    assert HTTPClient(object(), owned=False).library is httpx


def test_a_client_of_ones_own_is_found() -> None:
    class Mine(httpx.Client):
        pass

    with Mine() as client:
        assert HTTPClient(client, owned=False).library is httpx
        assert ClientConfig(http_client=client).client().client is client
        assert not ClientConfig(http_client=client).client().owned


def test_certificates_may_be_switched_off() -> None:
    made = ClientConfig(verify=False).client()
    assert made.owned
    made.client.close()


async def test_an_answer_without_a_response_has_nothing_to_be_read() -> None:
    assert list(Driver(ClientConfig()).read(Outcome(None))) == []
    assert [piece async for piece in AsyncDriver(ClientConfig()).read(Outcome(None))] == []
    assert isinstance(Outcome(None).translate_error(ValueError("x")), APIConnectionError)
