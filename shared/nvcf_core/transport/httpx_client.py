"""The only module that imports httpx: clients, requests, time limits, and our names for its failures."""

from __future__ import annotations

import importlib
import os
import ssl
import time
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import httpx
from pydantic import SecretStr

from nvcf_core.config.endpoints import origin
from nvcf_core.config.options import RequestOptions
from nvcf_core.errors import APIConnectionError, APITimeoutError, InvalidRequestError, NVCFError
from nvcf_core.exchange import Request

Limits = dict[str, float | None]

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
    http_client: Any = field(default=None, repr=False)
    http_async_client: Any = field(default=None, repr=False)

    def client(self) -> HTTPClient:
        """The user's synchronous client, or a new one of our own."""
        if self.http_client is not None:
            return HTTPClient(self.http_client, owned=False)
        return HTTPClient(httpx.Client(**self._options()), owned=True)

    def async_client(self) -> HTTPClient:
        """The user's asynchronous client, or a new one of our own."""
        if self.http_async_client is not None:
            return HTTPClient(self.http_async_client, owned=False)
        return HTTPClient(httpx.AsyncClient(**self._options()), owned=True)

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
            "mounts": dict.fromkeys(_UNPROXIED),
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


class HTTPClient:
    """One httpx client, sync or async, and what is to be known of it."""

    def __init__(self, client: Any, *, owned: bool) -> None:
        self.client = client
        self.owned = owned
        """Whether we made it. The user's own is used as it is, and never closed."""
        self.library = _library(client)
        """httpx, or httpx2 where the user brought a client of that."""

    def build(
        self, request: Request, content: Any, key: SecretStr | None, options: RequestOptions
    ) -> Any:
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
            return built
        given = self.library.USE_CLIENT_DEFAULT if timeout is None else timeout
        built = self.client.build_request(
            request.method, request.url, headers=headers, content=content, timeout=given
        )
        if key is not None:
            built.headers["authorization"] = f"Bearer {key.get_secret_value()}"
        return built

    def auth(self, request: Request, key: SecretStr | None) -> Any:
        """No credentials but the key: not the client's, nor a netrc's. Without a key, the client's own."""
        return self.library.USE_CLIENT_DEFAULT if request.authorized and key is None else None

    def translate_error(self, error: Exception, request: Request, limits: Limits) -> NVCFError:
        """Our name for what went wrong before there was a response, and which limit it was."""
        now, library = time.monotonic(), self.library
        where = f"{request.stage} ({origin(request.url)[1]})"
        if isinstance(error, library.ConnectTimeout):
            return APITimeoutError(
                f"{where}: no connection within {limits.get('connect')} s (timeout)", failed_at=now
            )
        if isinstance(error, library.WriteTimeout):
            return APITimeoutError(
                f"{where}: sending stood still for {limits.get('write')} s (timeout)", failed_at=now
            )
        if isinstance(error, library.PoolTimeout):
            return APITimeoutError(
                f"{where}: no free connection within {limits.get('pool')} s (timeout)",
                failed_at=now,
            )
        if isinstance(error, library.TimeoutException):
            return APITimeoutError(
                f"{where}: no response within {limits.get('read')} s (timeout)", failed_at=now
            )
        return APIConnectionError(f"{where}: {type(error).__name__}: {error}", failed_at=now)

    def transport_errors(self) -> tuple[type[Exception], ...]:
        """What httpx raises for a connection that fails, and what it forgets to translate."""
        return (self.library.RequestError, self.library.StreamError, ssl.SSLError)

    def request_errors(self) -> tuple[type[Exception], ...]:
        """What httpx raises for a request that it cannot even begin."""
        closed = (RuntimeError,) if self.client.is_closed else ()
        return (self.library.InvalidURL, *closed)

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
