"""The only module that imports httpx: the user's own clients, and ours where a proxy is in between."""

from __future__ import annotations

import importlib
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, MutableMapping
from contextlib import aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import ModuleType
from typing import Any, Protocol

import httpx
from pydantic import SecretStr

from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import InvalidRequestError, NVCFError
from nvcf_core.exchange import Request

from .encodings import decompressor_for
from .failures import body_failure, connection_failure, proxy_failure, unusable_url
from .interface import Content, HTTPResponse
from .time_limits import Phase, TimeLimits, time_limits

__all__ = [
    "HTTPXClient",
    "proxied_async_client",
    "proxied_client",
]

_MOST_IDLE = 20
"""Connections kept open for the next request."""


_PROXY_REFUSED = 407


class _Proxy(Protocol):
    @property
    def url(self) -> str: ...

    @property
    def source(self) -> str: ...


def proxied_client(
    proxy: _Proxy, context: ssl.SSLContext, max_connections: int | None
) -> HTTPXClient:
    """Return a synchronous client that sends through a proxy.

    Raises:
        InvalidRequestError: the proxy's url is not one, or needs a package that is not installed.
    """
    return _proxied(httpx.Client, proxy, context, max_connections)


def proxied_async_client(
    proxy: _Proxy, context: ssl.SSLContext, max_connections: int | None
) -> HTTPXClient:
    """Async version of `proxied_client`."""
    return _proxied(httpx.AsyncClient, proxy, context, max_connections)


def _proxied(
    kind: Callable[..., Any], proxy: _Proxy, context: ssl.SSLContext, max_connections: int | None
) -> HTTPXClient:
    limits = httpx.Limits(
        max_connections=max_connections,
        max_keepalive_connections=_MOST_IDLE,
        keepalive_expiry=30.0,
    )
    try:
        if not httpx.URL(proxy.url).host:
            raise ValueError("it names no host")
        client = kind(
            proxy=proxy.url,
            verify=context,
            limits=limits,
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
    except ImportError:
        raise InvalidRequestError(
            f"{proxy.source} names a SOCKS proxy, for which a package is missing: "
            "pip install 'httpx[socks]'",
            field="proxy",
        ) from None
    except (ValueError, httpx.InvalidURL):
        # Their texts repeat the url, and with it perhaps a password.
        raise InvalidRequestError(
            f"{proxy.source} is not the url of a proxy (http, https, socks5 or socks5h)",
            field="proxy",
        ) from None
    shown = httpx.URL(proxy.url)
    return HTTPXClient(client, owned=True, proxy=f"{shown.scheme}://{shown.netloc.decode()}")


class _NativeRequest(Protocol):
    """A request as httpx and httpx2 have it."""

    headers: MutableMapping[str, str]
    extensions: dict[str, Any]


class _NativeResponse(Protocol):
    """A response as httpx and httpx2 have it."""

    status_code: int
    is_stream_consumed: bool

    @property
    def headers(self) -> Mapping[str, str]: ...

    def iter_bytes(self) -> Iterator[bytes]: ...

    def iter_raw(self) -> Iterator[bytes]: ...

    def aiter_bytes(self) -> AsyncGenerator[bytes]: ...

    def aiter_raw(self) -> AsyncGenerator[bytes]: ...

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


class _RequestInFlight:
    """An httpx request, the client to send it, and the errors that it may raise."""

    __slots__ = ("_auth", "_http", "_native", "_request", "limits")

    def __init__(
        self, http: HTTPXClient, request: Request, native: _NativeRequest, auth: Any
    ) -> None:
        self._http, self._request, self._native = http, request, native
        self._auth = auth
        self.limits = TimeLimits(native.extensions.setdefault("timeout", {}))

    def send(self) -> HTTPResponse:
        """Send it, and wait for the head of the response."""
        self._begin(self._trace)
        try:
            native = self._http.client.send(
                self._native, stream=True, auth=self._auth, follow_redirects=False
            )
        except self._http.errors as error:
            raise self._failure(error) from error
        finally:
            self._native.extensions.pop("trace", None)
        self.limits.note_sending()  # A transport of the user's own may not trace.
        if native.status_code == _PROXY_REFUSED:
            native.close()
            raise self._refused_by_proxy()
        return _Response(native, self)

    async def asend(self) -> HTTPResponse:
        """Async version of `send`."""
        self._begin(self._atrace)
        try:
            native = await self._http.client.send(
                self._native, stream=True, auth=self._auth, follow_redirects=False
            )
        except self._http.errors as error:
            raise self._failure(error) from error
        finally:
            self._native.extensions.pop("trace", None)
        self.limits.note_sending()
        if native.status_code == _PROXY_REFUSED:
            await native.aclose()
            raise self._refused_by_proxy()
        return _Response(native, self)

    def forget_key(self) -> None:
        """Drop the API key, which errors and tracebacks must not hold."""
        self._native.headers.pop("authorization", None)

    def limit_body(self) -> None:
        """Set httpx's read timeout for the body, which it reads when the body begins."""
        self.limits.chunk_arrived()  # httpx takes no limit that changes with the first chunk.
        self.limits.phases["read"] = self.limits.body_limit[0]
        self._limit_call()

    def _begin(self, trace: Callable[[str, dict[str, Any]], Any]) -> None:
        self.limits.begin("read")
        if self.limits.on_sending is not None:
            self._native.extensions["trace"] = trace
        self._limit_call()

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Told by httpcore what it does. The request to a proxy for a tunnel is not yet ours."""
        if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
            self.limits.note_sending()

    async def _atrace(self, event: str, info: dict[str, Any]) -> None:
        self._trace(event, info)

    def _limit_call(self) -> None:
        """Limit each phase to the time that the call has left: httpx takes no limit over several phases."""
        deadline, phases = self.limits.deadline, self.limits.phases
        if deadline is not None:
            left = max(deadline - time.monotonic(), 0.001)
            for phase, seconds in phases.items():
                phases[phase] = left if seconds is None else min(seconds, left)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """The exceptions that httpx raises."""
        return self._http.errors

    def body_failure(self, error: Exception) -> NVCFError:
        """Return the error for a body that failed to arrive."""
        self._forget_request(error)
        if isinstance(error, self._http.library.TimeoutException):
            return self.limits.body_too_late()
        return body_failure(error)

    def _forget_request(self, error: Exception) -> None:
        """Drop the request from httpx's error: the service may have echoed the key in its URL."""
        if isinstance(error, self._http.library.RequestError):
            error.request = None

    def _refused_by_proxy(self) -> NVCFError:
        """A request in the clear: through TLS, httpx raises an error of its own instead."""
        where = f"{self._request.stage} ({origin(self._request.url)[1]})"
        return proxy_failure(where, self._http.proxy, f"HTTP {_PROXY_REFUSED}")

    def _failure(self, error: Exception) -> NVCFError:
        """Return the error for a request without a response, naming the limit if it timed out."""
        library = self._http.library
        self._forget_request(error)
        if isinstance(error, library.InvalidURL) or type(error) is RuntimeError:
            return unusable_url(self._request, error)
        where = f"{self._request.stage} ({origin(self._request.url)[1]})"
        if isinstance(error, library.ProxyError):
            return proxy_failure(where, self._http.proxy, error)
        if isinstance(error, (library.ConnectError, library.ConnectTimeout)) and self._http.owned:
            where = f"{where} through the proxy {self._http.proxy}"
        if not isinstance(error, library.TimeoutException):
            return connection_failure(where, error)
        phases: tuple[tuple[type[Exception], Phase], ...] = (
            (library.ConnectTimeout, "connect"),
            (library.WriteTimeout, "write"),
            (library.PoolTimeout, "pool"),
            (library.TimeoutException, "read"),
        )
        for kind, phase in phases:
            if isinstance(error, kind):
                self.limits.begin(phase)
                break
        return self.limits.response_too_late(where)


class _Response:
    """A response of httpx's, its body decoded within bounds."""

    __slots__ = ("_in_flight", "_native", "headers", "status_code")

    def __init__(self, native: _NativeResponse, in_flight: _RequestInFlight) -> None:
        self._native, self._in_flight = native, in_flight
        self.status_code, self.headers = native.status_code, native.headers

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the decoded body in chunks, as it arrives."""
        self._in_flight.limit_body()
        decompressor = decompressor_for(self.headers)
        native = self._native
        try:
            if decompressor is None or native.is_stream_consumed:
                yield from native.iter_bytes()
            else:
                for data in native.iter_raw():
                    yield from decompressor.feed(data)
        except self._in_flight.errors as error:
            raise self._in_flight.body_failure(error) from error

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """Async version of `iter_bytes`."""
        self._in_flight.limit_body()
        decompressor = decompressor_for(self.headers)
        native = self._native
        plain = decompressor is None or native.is_stream_consumed
        try:
            async with aclosing(native.aiter_bytes() if plain else native.aiter_raw()) as body:
                async for data in body:
                    if plain or decompressor is None:
                        yield data
                    else:
                        for piece in decompressor.feed(data):
                            yield piece
        except self._in_flight.errors as error:
            raise self._in_flight.body_failure(error) from error

    def close(self) -> None:
        """Close the response."""
        self._native.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        await self._native.aclose()


class HTTPXClient:
    """One client of httpx or httpx2, sync or async, and what is to be known of it."""

    def __init__(self, client: Any, *, owned: bool, proxy: str = "of the client") -> None:
        self.client = client
        self.owned = owned
        """Whether we made it. The user's own is used as it is, and never closed."""
        self.proxy = proxy
        """What is between, for errors: without its password."""
        self.library = _library(client)
        """httpx, or httpx2 where the user brought a client of that."""

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> _RequestInFlight:
        """httpx's request. To a foreign host none of the client's own headers and cookies go along."""
        limits = self._limits(request, options)
        headers = options.headers_for(request)
        if request.authorized:
            headers.setdefault("accept-encoding", "identity")
        try:
            if not request.authorized:
                built = self.library.Request(
                    request.method, request.url, headers=headers, content=content
                )
                built.extensions["timeout"] = (limits or self.client.timeout).as_dict()
                return _RequestInFlight(self, request, built, None)
            default = self.library.USE_CLIENT_DEFAULT
            built = self.client.build_request(
                request.method,
                request.url,
                headers=headers,
                content=content,
                timeout=default if limits is None else limits,
            )
        except (self.library.InvalidURL, UnicodeError) as error:
            raise unusable_url(request, error) from None
        # No credentials but the key: not the client's, nor a netrc's. Without a key, the client's own.
        if key is None:
            return _RequestInFlight(self, request, built, default)
        built.headers["authorization"] = f"Bearer {key.get_secret_value()}"
        return _RequestInFlight(self, request, built, None)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """The exceptions that httpx raises, including those that it fails to translate."""
        library = self.library
        closed = (RuntimeError,) if self.client.is_closed else ()
        return (
            library.RequestError, library.StreamError, ssl.SSLError, library.InvalidURL, UnicodeError, *closed
        )  # fmt: skip

    def close(self) -> None:
        """Close every connection."""
        self.client.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        await self.client.aclose()

    def drop(self) -> None:
        """Nothing: httpx closes no connection without waiting."""

    def _limits(self, request: Request, options: RequestOptions) -> Any:
        """The limits of one request as httpx has them; None: as the client has them."""
        if options.timeout is None and not self.owned and request.read_timeout is None:
            return None
        default = None if self.owned else self.client.timeout
        return self.library.Timeout(**time_limits(request, options, default).phases)


def _library(client: object) -> ModuleType:
    for kind in type(client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("httpx", "httpx2"):
            return importlib.import_module(name)
    return httpx
