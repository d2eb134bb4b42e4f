"""Which HTTP client a request goes over: the user's own, ours, or one of httpx's where a proxy is in between."""

from __future__ import annotations

import asyncio
import importlib
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from nvcf_core.config.endpoints import is_loopback
from nvcf_core.config.options import RequestOptions
from nvcf_core.exchange import Request
from nvcf_core.locks import Lock

from .direct.client import AsyncDirectClient, DirectClient
from .interface import Content, HTTPClient, SendableRequest
from .no_proxy import is_excepted
from .tls import Verify, aload_context, load_context

__all__ = ["ClientConfig", "Proxies", "Proxy"]


class Proxy(NamedTuple):
    """A proxy, and who named it."""

    url: str
    source: str
    """The keyword or environment variable."""


class Proxies:
    """The proxies of the user, or else those of the environment, as they were when this was made.

    Args:
        given: the user's, for every request.
    """

    def __init__(self, given: str | None = None) -> None:
        self._given = None if given is None else Proxy(given, "proxy")
        self._found = {} if given else urllib.request.getproxies()

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return self._given is not None or any(name != "no" for name in self._found)

    def for_url(self, url: str) -> Proxy | None:
        """Return the proxy for a URL. None: the request is sent directly.

        A request to this machine never goes through a proxy of the environment, which would get a local server's key
        unencrypted. Entries of `NO_PROXY` that cannot be read are passed over.
        """
        if self._given is not None:
            return self._given
        if is_loopback(url):
            return None
        parts = urlsplit(url)
        name = parts.scheme if parts.scheme in self._found else "all"
        if name not in self._found or is_excepted(url, self._found.get("no", "")):
            return None
        if urllib.request.proxy_bypass(parts.netloc):  # What the settings of the system say.
            return None
        found = self._found[name]
        variable = f"{name}_proxy"
        source = variable if variable in os.environ else variable.upper()
        return Proxy(found if "://" in found else f"http://{found}", source)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How connections are made. All of it belongs to one model object."""

    verify: Verify = True
    max_connections: int | None = None
    proxy: str | None = field(default=None, repr=False)
    http_client: Any = field(default=None, repr=False)
    http_async_client: Any = field(default=None, repr=False)

    def client(self) -> HTTPClient:
        """The user's synchronous client, or a new one of our own."""
        if self.http_client is not None:
            client: HTTPClient = _httpx().HTTPXClient(self.http_client, owned=False)
            return client
        if not isinstance(self.verify, bool):
            load_context(self.verify)  # Raises for a wrong path, also if no TLS is used.
        direct = DirectClient(self.verify, self.max_connections)
        proxies = Proxies(self.proxy)
        if not proxies:
            return direct
        httpx_client = _httpx()

        def through(proxy: Proxy) -> HTTPClient:
            context = load_context(self.verify)
            client: HTTPClient
            client = httpx_client.proxied_client(proxy, context, self.max_connections)
            return client

        return _RoutingClient(direct, proxies, through)

    async def async_client(self) -> HTTPClient:
        """The user's asynchronous client, or a new one of our own."""
        if self.http_async_client is not None:
            client: HTTPClient = _httpx().HTTPXClient(self.http_async_client, owned=False)
            return client
        if not isinstance(self.verify, bool):
            await aload_context(self.verify)
        direct = AsyncDirectClient(self.verify, self.max_connections)
        proxies = Proxies(self.proxy)
        if not proxies:
            return direct
        context = await aload_context(self.verify)
        httpx_client = await asyncio.to_thread(_httpx)

        def through(proxy: Proxy) -> HTTPClient:
            client: HTTPClient
            client = httpx_client.proxied_async_client(proxy, context, self.max_connections)
            return client

        return _RoutingClient(direct, proxies, through)


def _httpx() -> ModuleType:
    """Our module for httpx, which takes as long to import as all else here: only where a client of it is needed."""
    return importlib.import_module("nvcf_core.transport.httpx_client")


class _RoutingClient:
    """Sends each request directly, or through the proxy for its URL."""

    owned = True

    def __init__(
        self, direct: HTTPClient, proxies: Proxies, through: Callable[[Proxy], HTTPClient]
    ) -> None:
        self._direct, self._proxies, self._through = direct, proxies, through
        self._lock = Lock()
        self._proxied: dict[Proxy, HTTPClient] = {}

    def prepare(
        self, request: Request, content: Content, key: SecretStr | None, options: RequestOptions
    ) -> SendableRequest:
        """A request that is ready to be sent. See `HTTPClient`."""
        return self._client_for(request.url).prepare(request, content, key, options)

    def close(self) -> None:
        """Close every connection."""
        self._direct.close()
        for client in self._proxied.values():
            client.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        await self._direct.aclose()
        for client in self._proxied.values():
            await client.aclose()

    def drop(self) -> None:
        """Close what can be closed without waiting."""
        self._direct.drop()

    def _client_for(self, url: str) -> HTTPClient:
        proxy = self._proxies.for_url(url)
        if proxy is None:
            return self._direct
        with self._lock:
            if proxy not in self._proxied:
                self._proxied[proxy] = self._through(proxy)
            return self._proxied[proxy]
