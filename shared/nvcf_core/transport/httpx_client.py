"""The only module that imports httpx: clients, requests, time limits, and our names for its failures."""

from __future__ import annotations

import importlib
import os
import ssl
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import httpx
from pydantic import SecretStr

from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import APIConnectionError, APITimeoutError, InvalidRequestError, NVCFError
from nvcf_core.exchange import Request

from .bodies import pause_too_long
from .interface import Content, HTTPClient, HTTPResponse, Limits

__all__ = ["ClientConfig", "HTTPXClient"]

_CONNECT, _READ = 10.0, 300.0
"""Seconds, where the user gave no `timeout`."""

_IDLE = 100
"""Connections kept open for the next request."""

_UNPROXIED = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""Never asked through a proxy of the environment, to which a local server's key would go in the clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How connections are made. All of it belongs to one model object."""

    verify: Any = True
    max_connections: int | None = None
    proxy: str | None = field(default=None, repr=False)
    """The url of a proxy for all requests; None: what the environment says."""
    http_client: Any = field(default=None, repr=False)
    http_async_client: Any = field(default=None, repr=False)

    def client(self) -> HTTPClient:
        """The user's synchronous client, or a new one of our own."""
        if self.http_client is not None:
            return HTTPXClient(self.http_client, owned=False)
        return HTTPXClient(httpx.Client(**self._options()), owned=True)

    def async_client(self) -> HTTPClient:
        """The user's asynchronous client, or a new one of our own."""
        if self.http_async_client is not None:
            return HTTPXClient(self.http_async_client, owned=False)
        return HTTPXClient(httpx.AsyncClient(**self._options()), owned=True)

    def _options(self) -> dict[str, Any]:
        limits = httpx.Limits(
            max_connections=self.max_connections,
            max_keepalive_connections=_IDLE,
            keepalive_expiry=30.0,
        )
        return {
            "verify": _context(self.verify),
            "limits": limits,
            "follow_redirects": False,
            "mounts": {} if self.proxy else dict.fromkeys(_UNPROXIED),
            "proxy": self.proxy,
        }


def _context(verify: Any) -> Any:
    """What httpx takes as `verify`: a CA file or folder becomes a context.

    Raises:
        InvalidRequestError: there is no such file, or it holds no certificates.
    """
    if not isinstance(verify, (str, os.PathLike)):
        return verify
    try:
        folder = os.path.isdir(verify)
        return (
            ssl.create_default_context(capath=verify)
            if folder
            else ssl.create_default_context(cafile=verify)
        )
    except OSError as error:
        raise InvalidRequestError(
            f"verify: cannot use {verify!r}: {error}", field="verify"
        ) from None


class _NativeRequest(Protocol):
    """A request as httpx and httpx2 have it."""

    headers: MutableMapping[str, str]
    extensions: dict[str, Any]


class _Prepared:
    """A request of httpx's, and the client to send it."""

    __slots__ = ("_auth", "_client", "_native", "limits")

    def __init__(self, client: Any, native: _NativeRequest, auth: Any) -> None:
        self._client, self._native = client, native
        self._auth = auth
        self.limits: Limits = native.extensions.get("timeout", {})
        """httpx reads it at the start of each phase, the body's included."""

    def send(self) -> HTTPResponse:
        """Send it, and wait for the head of the response."""
        response: HTTPResponse = self._client.send(
            self._native, stream=True, auth=self._auth, follow_redirects=False
        )
        return response

    async def asend(self) -> HTTPResponse:
        """As `send`."""
        response: HTTPResponse = await self._client.send(
            self._native, stream=True, auth=self._auth, follow_redirects=False
        )
        return response

    def forget_key(self) -> None:
        """Drop the API key, which errors and tracebacks must not hold."""
        self._native.headers.pop("authorization", None)


class HTTPXClient:
    """One client of httpx or httpx2, sync or async, and what is to be known of it."""

    def __init__(self, client: Any, *, owned: bool) -> None:
        self.client = client
        self.owned = owned
        """Whether we made it. The user's own is used as it is, and never closed."""
        self.library = _library(client)
        """httpx, or httpx2 where the user brought a client of that."""

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> _Prepared:
        """httpx's request. To a foreign host none of the client's own headers and cookies go along.

        Args:
            request: what is to be sent.
            content: its body, in a form that httpx can send.
            key: added as a bearer token.
            options: the user's own headers, and limits of time.
        """
        timeout = self._timeout(options.timeout, request.read_timeout)
        headers = options.headers_for(request)
        if not request.authorized:
            built = self.library.Request(
                request.method, request.url, headers=headers, content=content
            )
            built.extensions["timeout"] = (timeout or self.client.timeout).as_dict()
            return _Prepared(self.client, built, None)
        default = self.library.USE_CLIENT_DEFAULT
        built = self.client.build_request(
            request.method,
            request.url,
            headers=headers,
            content=content,
            timeout=default if timeout is None else timeout,
        )
        # No credentials but the key: not the client's, nor a netrc's. Without a key, the client's own.
        if key is None:
            return _Prepared(self.client, built, default)
        built.headers["authorization"] = f"Bearer {key.get_secret_value()}"
        return _Prepared(self.client, built, None)

    def close(self) -> None:
        """Close every connection."""
        self.client.close()

    async def aclose(self) -> None:
        """As `close`."""
        await self.client.aclose()

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What httpx raises where something fails, and what it forgets to translate."""
        library = self.library
        closed = (RuntimeError,) if self.client.is_closed else ()
        return (
            library.RequestError, library.StreamError, ssl.SSLError, library.InvalidURL, *closed
        )  # fmt: skip

    def translate_error(self, error: Exception, request: Request, limits: Limits) -> NVCFError:
        """Our name for what went wrong before there was a response, and which limit it was."""
        library = self.library
        where = f"{request.stage} ({origin(request.url)[1]})"
        if isinstance(error, library.InvalidURL) or type(error) is RuntimeError:
            return InvalidRequestError(
                f"{request.stage}: the request cannot be sent: {error}", field="http_client"
            )
        for kind, said in (
            (library.ConnectTimeout, f"no connection within {limits.get('connect')} s"),
            (library.WriteTimeout, f"sending stood still for {limits.get('write')} s"),
            (library.PoolTimeout, f"no free connection within {limits.get('pool')} s"),
            (library.TimeoutException, f"no response within {limits.get('read')} s"),
        ):
            if isinstance(error, kind):
                return APITimeoutError(f"{where}: {said} (timeout)", failed_at=time.monotonic())
        return APIConnectionError(
            f"{where}: {type(error).__name__}: {error}", failed_at=time.monotonic()
        )

    def translate_body_error(self, error: Exception, limits: Limits, name: str) -> NVCFError:
        """Our name for what went wrong while the body arrived."""
        if isinstance(error, self.library.TimeoutException):
            return pause_too_long(limits.get("read"), name)
        return APIConnectionError(
            f"the connection failed: {type(error).__name__}: {error}", failed_at=time.monotonic()
        )

    def _timeout(self, timeout: Any, patience: float | None) -> Any:
        """The limits of one request; None: as the client has them."""
        if timeout is None and not self.owned and patience is None:
            return None
        if timeout is None and not self.owned:
            timeout = self.client.timeout
        # With max_connections calls wait their turn, however long that takes.
        limits: Limits = {"connect": _CONNECT, "read": _READ, "write": _READ, "pool": None}
        if isinstance(timeout, (int, float)):
            limits = {"connect": timeout, "read": timeout, "write": timeout, "pool": None}
        elif timeout is not None:
            limits = {name: getattr(timeout, name, None) for name in limits}
        if patience is not None:
            read = limits["read"]
            limits["read"] = patience if read is None else min(read, patience)
        return self.library.Timeout(**limits)


def _library(client: object) -> ModuleType:
    for kind in type(client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("httpx", "httpx2"):
            return importlib.import_module(name)
    return httpx
