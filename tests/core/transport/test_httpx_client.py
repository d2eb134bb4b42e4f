"""The module that knows httpx: limits of time, names for failures, headers to hosts that are not the service's."""

from __future__ import annotations

import time
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest
from pydantic import SecretStr

from nvcf_core.config.auth import Auth
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import APIConnectionError, APITimeoutError, InvalidRequestError, NVCFError
from nvcf_core.exchange import Request
from nvcf_core.transport.clients import ClientConfig
from nvcf_core.transport.httpx_client import HTTPXClient

ROOT = "https://integrate.api.nvidia.com/v1"
ASK = Request("ask", "POST", f"{ROOT}/chat/completions", {"accept": "application/json"})
PUT = Request("put", "PUT", "https://s3.example.org/x", authorized=False)
KEY = SecretStr("nvapi-x")


def terms(timeout: Any = None, **headers: str) -> RequestOptions:
    return RequestOptions(auth=Auth(KEY, (ROOT,)), headers=headers, timeout=timeout)


class Sent:
    """What reaches a client of the user's own, and with which credentials."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200)

    @property
    def headers(self) -> httpx.Headers:
        return self.requests[-1].headers


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def http(sent: Sent) -> Any:
    with httpx.Client(
        headers={"x-client": "1"},
        cookies={"a": "b"},
        auth=("user", "password"),
        timeout=7,
        transport=httpx.MockTransport(sent),
    ) as client:
        yield HTTPXClient(client, owned=False)


@pytest.fixture
def own() -> Any:
    with httpx.Client() as client:
        yield HTTPXClient(client, owned=True)


def limits(http: HTTPXClient, timeout: Any = None, patience: float | None = None) -> Any:
    request = Request("poll", "GET", ASK.url, read_timeout=patience)
    return http.prepare(request, None, None, terms(timeout)).limits.phases


def each(connect: Any, read: Any, write: Any, pool: Any) -> dict[str, Any]:
    return {"connect": connect, "read": read, "write": write, "pool": pool}


def test_limits_of_our_own_client(own: HTTPXClient) -> None:
    assert limits(own) == each(10, 300, 300, None)
    assert limits(own, 5) == each(5, 5, 5, None)
    assert limits(own, httpx.Timeout(5, read=None)) == each(5, None, 5, 5)
    assert limits(own, httpx2.Timeout(3)) == each(3, 3, 3, 3)


def test_limits_of_an_injected_client(http: HTTPXClient) -> None:
    assert limits(http) == each(7, 7, 7, 7)
    assert limits(http, 5) == each(5, 5, 5, None)
    assert limits(http, patience=2) == each(7, 2, 7, 7)


def test_patience_only_shortens(own: HTTPXClient) -> None:
    assert limits(own, patience=900)["read"] == 300
    assert limits(own, patience=20)["read"] == 20
    assert limits(own, httpx.Timeout(None), patience=20) == each(None, 20, None, None)


def test_the_service_gets_the_clients_own_headers_and_the_key(
    http: HTTPXClient, sent: Sent
) -> None:
    http.prepare(ASK, b"{}", KEY, terms(**{"x-user": "1", "accept": "text/html"})).send()
    assert sent.headers["authorization"] == "Bearer nvapi-x"
    assert (sent.headers["x-client"], sent.headers["x-user"]) == ("1", "1")
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["cookie"] == "a=b"


def test_a_foreign_host_gets_none_of_them(http: HTTPXClient, sent: Sent) -> None:
    prepared = http.prepare(PUT, b"data", KEY, terms(**{"x-user": "1"}))
    prepared.send()
    assert set(sent.headers) == {"host", "content-length"}
    assert prepared.limits.phases == each(7, 7, 7, 7)


def test_without_a_key_the_clients_own_credentials_count(http: HTTPXClient, sent: Sent) -> None:
    http.prepare(ASK, b"{}", None, terms()).send()
    assert sent.headers["authorization"].startswith("Basic ")


def test_a_request_that_was_sent_holds_no_key(http: HTTPXClient, sent: Sent) -> None:
    prepared = http.prepare(ASK, b"{}", KEY, terms())
    prepared.send()
    prepared.forget_key()
    assert "authorization" not in sent.headers


class Failing(httpx.BaseTransport):
    """Fails each request, or its body, in the same way."""

    def __init__(self, error: Exception, in_body: bool = False) -> None:
        self.error, self.in_body = error, in_body

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.in_body:
            raise self.error
        return httpx.Response(200, stream=self.Body(self.error))

    class Body(httpx.SyncByteStream):
        def __init__(self, error: Exception) -> None:
            self.error = error

        def __iter__(self) -> Any:
            yield b"begun"
            raise self.error


def failure(
    error: Exception, request: Request = ASK, in_body: bool = False, owned: bool = True
) -> Exception:
    """What becomes of a failure of httpx's."""
    with httpx.Client(transport=Failing(error, in_body)) as client:
        timeout = httpx.Timeout(connect=1, read=2, write=3, pool=4)
        http = HTTPXClient(client, owned=owned, proxy="http://proxy:8080")
        prepared = http.prepare(request, b"", None, terms(timeout))
        if not in_body:
            with pytest.raises(NVCFError) as caught:
                prepared.send()
        else:
            response = prepared.send()
            with pytest.raises(NVCFError) as caught:
                list(response.iter_bytes())
    return caught.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectTimeout("x"), "no connection within 1 s (timeout)"),
        (httpx.WriteTimeout("x"), "sending stalled for 3 s (timeout)"),
        (httpx.PoolTimeout("x"), "no free connection within 4 s (timeout)"),
        (httpx.ReadTimeout("x"), "no response within 2 s (timeout)"),
    ],
)
def test_every_limit_is_named(error: Exception, said: str) -> None:
    late = failure(error, owned=False)
    assert type(late) is APITimeoutError
    assert str(late) == f"ask (integrate.api.nvidia.com): {said}"
    assert late.failed_at > 0


def test_other_failures_are_connections_that_failed() -> None:
    refused = failure(httpx.ConnectError("refused"), PUT, owned=False)
    assert type(refused) is APIConnectionError
    assert refused.retryable
    assert str(refused) == "put (s3.example.org): ConnectError: refused"


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("x")])
def test_where_a_proxy_is_in_between_it_is_named(error: Exception) -> None:
    said = str(failure(error))
    assert said.startswith("ask (integrate.api.nvidia.com) through the proxy http://proxy:8080: ")
    assert "through the proxy" not in str(failure(httpx.ReadError("reset")))


def test_a_proxy_that_refuses_is_not_asked_again() -> None:
    refused = failure(httpx.ProxyError("407 Proxy Authentication Required"))
    assert not refused.retryable
    assert "the proxy http://proxy:8080 refused: 407" in str(refused)


@pytest.mark.parametrize("in_body", [False, True])
def test_what_led_to_an_error_holds_no_url(in_body: bool) -> None:
    """A service can redirect to any URL, and put into it what it likes."""
    request = httpx.Request("GET", "http://s3.example.org/nvapi-echoed")
    cause = failure(httpx.ReadError("reset", request=request), in_body=in_body).__cause__
    assert isinstance(cause, httpx.ReadError)
    assert "nvapi-echoed" not in repr(vars(cause))


def test_a_request_that_cannot_be_sent() -> None:
    refused = failure(httpx.InvalidURL("no host"), PUT)
    assert type(refused) is InvalidRequestError
    assert str(refused) == "put: the request cannot be sent: no host"
    asked = failure(httpx.InvalidURL("no host"))
    assert isinstance(asked, InvalidRequestError)
    assert asked.field == "base_url"
    assert str(asked) == "ask: the request cannot be sent: no host. Check base_url"


def test_what_goes_wrong_in_a_body() -> None:
    late = failure(httpx.ReadTimeout("x"), in_body=True)
    assert (type(late), str(late)) == (APITimeoutError, "nothing arrived for 2 s (timeout)")
    broken = failure(httpx.ReadError("reset"), in_body=True)
    assert str(broken) == "the connection failed: ReadError: reset"


def test_a_phase_never_takes_longer_than_the_call_has_left() -> None:
    with httpx.Client(transport=Failing(httpx.ReadTimeout("x"))) as client:
        prepared = HTTPXClient(client, owned=True).prepare(ASK, b"", None, terms(60))
        prepared.limits.deadline = time.monotonic() + 5
        with pytest.raises(APITimeoutError):
            prepared.send()
    assert all(0 < seconds <= 5 for seconds in prepared.limits.phases.values())


class Tracing(httpx.MockTransport):
    """Tells what it does, as httpcore does, of a request through the tunnel of a proxy."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for event, method in self.events:
            request.extensions["trace"](event, {"request": SimpleNamespace(method=method)})
            self.noted.append(len(self.told))
        return super().handle_request(request)

    told: list[float]
    noted: list[int]
    events = (
        ("connection.connect_tcp.started", b"POST"),
        ("http11.send_request_headers.started", b"CONNECT"),
        ("http11.send_request_headers.started", b"POST"),
        ("http11.send_request_body.started", b"POST"),
    )


def test_a_request_goes_out_when_its_connection_is_there() -> None:
    """And not when it is handed to httpx, which may have to connect first."""
    transport = Tracing(lambda _: httpx.Response(200))
    transport.told, transport.noted = [], []
    with httpx.Client(transport=transport) as client:
        prepared = HTTPXClient(client, owned=False).prepare(ASK, b"", None, terms())
        prepared.limits.on_sending = lambda: transport.told.append(time.monotonic())
        prepared.send()
    assert transport.noted == [0, 0, 1, 1]
    assert len(transport.told) == 1


def test_a_transport_that_does_not_trace_sends_all_the_same(http: HTTPXClient) -> None:
    told: list[float] = []
    prepared = http.prepare(ASK, b"", None, terms())
    prepared.limits.on_sending = lambda: told.append(time.monotonic())
    prepared.send()
    assert len(told) == 1


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_asynchronous_clients_tell_it_too(library: Any, raw: Any) -> None:
    raw.answer(raw.framed(b"{}"))
    request = Request("ask", "POST", f"{raw.url}/chat/completions")
    seen: list[int] = []
    async with library.AsyncClient() as client:
        for _ in range(2):
            prepared = HTTPXClient(client, owned=False).prepare(request, b"{}", None, terms())
            prepared.limits.on_sending = lambda: seen.append(len(raw.requests))
            response = await prepared.asend()
            assert [piece async for piece in response.aiter_bytes()] == [b"{}"]
            await response.aclose()
    assert seen == [0, 1]


def test_clients_of_httpx2_are_known() -> None:
    with httpx2.Client() as client:
        assert HTTPXClient(client, owned=False).library is httpx2
    assert HTTPXClient(object(), owned=False).library is httpx


def test_a_client_of_ones_own_is_found() -> None:
    class Mine(httpx.Client):
        pass

    with Mine() as client:
        assert HTTPXClient(client, owned=False).library is httpx
        assert ClientConfig(http_client=client).client().client is client
        assert not ClientConfig(http_client=client).client().owned


class Noting(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that notes that it was closed."""

    closed = False

    def __iter__(self) -> Any:
        yield b"a"
        yield b"b"

    async def __aiter__(self) -> Any:
        yield b"a"
        yield b"b"

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


async def test_a_response_of_a_proxy_that_refuses_is_closed() -> None:
    for colour in ("sync", "async"):
        body = Noting()
        transport = httpx.MockTransport(lambda _, body=body: httpx.Response(407, stream=body))
        if colour == "sync":
            with httpx.Client(transport=transport) as client:
                prepared = HTTPXClient(client, owned=True).prepare(ASK, b"", None, terms())
                with pytest.raises(APIConnectionError, match="407"):
                    prepared.send()
        else:
            async with httpx.AsyncClient(transport=transport) as aclient:
                prepared = HTTPXClient(aclient, owned=True).prepare(ASK, b"", None, terms())
                with pytest.raises(APIConnectionError, match="407"):
                    await prepared.asend()
        assert body.closed


async def test_a_body_that_is_left_is_closed_at_once() -> None:
    body = Noting()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    async with httpx.AsyncClient(transport=transport) as client:
        response = await HTTPXClient(client, owned=True).prepare(ASK, b"", None, terms()).asend()
        native: Any = response._native  # type: ignore[attr-defined]
        inner = native.aiter_raw()
        native.aiter_raw = native.aiter_bytes = lambda: inner
        async with aclosing(response.aiter_bytes()) as pieces:
            assert await anext(pieces) == b"a"
        with pytest.raises(StopAsyncIteration):
            await anext(inner)


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_redirects_are_not_followed(colour: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": "https://elsewhere.example/"})

    transport = httpx.MockTransport(answer)
    if colour == "sync":
        with httpx.Client(transport=transport, follow_redirects=True) as client:
            response = HTTPXClient(client, owned=False).prepare(ASK, b"", None, terms()).send()
    else:
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as aclient:
            prepared = HTTPXClient(aclient, owned=False).prepare(ASK, b"", None, terms())
            response = await prepared.asend()
    assert (response.status_code, asked) == (302, [ASK.url])
