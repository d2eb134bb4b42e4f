"""Checks of the way to a host: certificates, proxy, DNS, TCP, TLS. No key is sent."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from nvcf_core.config.endpoints import is_loopback

from .check import CheckResult

__all__ = ["check_certificates", "check_host"]

_TIMEOUT = 10.0
"""Seconds for each step."""

_CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _Failed(Exception):
    """A step failed. The check says how."""

    def __init__(self, check: CheckResult) -> None:
        super().__init__(check.detail)
        self.check = check


def check_certificates() -> CheckResult:
    """Check whether the certificates that TLS is checked against can be loaded."""
    named = {name: os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)}
    said = ", ".join(f"{name}={path}" for name, path in named.items())
    try:
        for path in named.values():
            os.stat(path)
        context = httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        return CheckResult(
            "certificates",
            "failed",
            f"cannot load the certificates of {said or 'the installation'}: {error}",
            f"let {' or '.join(named)} name a readable PEM file, or unset it"
            if named
            else "reinstall certifi: pip install --force-reinstall certifi",
        )
    if "SSL_CERT_FILE" in named and not context.cert_store_stats()["x509_ca"]:
        return CheckResult(
            "certificates",
            "failed",
            f"{said} holds no certificate of an authority",
            "let SSL_CERT_FILE name a PEM file with the certificates of the authorities to trust",
        )
    return CheckResult("certificates", "ok", said or "those that are installed with certifi")


def check_host(url: str) -> Iterator[CheckResult]:
    """Yield the steps of the way to the host of a url, up to the one that fails.

    Args:
        url: any url of that host.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    target = _Target(parts.hostname or "", parts.port or (443 if tls else 80), tls)
    proxy = _proxy_for(parts)
    try:
        if proxy is None:
            yield _resolved(target)
            connection = _connected(target)
            yield CheckResult(f"TCP {target}", "ok", "connected")
        elif proxy.scheme not in ("http", "https"):
            yield _other_proxy(proxy)
            return
        else:
            connection = _through(proxy, target)
            yield CheckResult(f"proxy {_shown(proxy)}", "ok", f"leads to {target}")
        with connection:
            if tls:
                yield _handshake(connection, target)
    except _Failed as failed:
        yield failed.check


def _proxy_for(parts: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for a url; never one for this machine."""
    found = getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    if not proxy or is_loopback(parts.geturl()) or proxy_bypass(parts.netloc):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _shown(proxy: SplitResult) -> str:
    """The proxy without its user name and password."""
    return f"{proxy.scheme}://{proxy.hostname}:{proxy.port or 80}"


def _other_proxy(proxy: SplitResult) -> CheckResult:
    """A proxy that cannot be asked here: whether httpx can use it at all."""
    name = f"proxy {_shown(proxy)}"
    if proxy.scheme not in ("socks5", "socks5h"):
        return CheckResult(
            name,
            "failed",
            f"{proxy.scheme} is not a kind of proxy that works",
            "let HTTPS_PROXY, HTTP_PROXY or ALL_PROXY begin with http://, https:// or socks5://",
        )
    if find_spec("socksio") is None:
        return CheckResult(
            name, "failed", "a SOCKS proxy needs a package", 'pip install "httpx[socks]"'
        )
    return CheckResult(name, "note", "SOCKS proxies are not checked here")


def _resolved(target: _Target) -> CheckResult:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Failed(
            CheckResult(
                f"DNS {target.host}",
                "failed",
                f"the name cannot be resolved: {error}",
                "check the host's spelling, this machine's DNS, and whether it needs a proxy (HTTPS_PROXY)",
            )
        ) from None
    addresses = sorted({str(address[4][0]) for address in found})
    return CheckResult(f"DNS {target.host}", "ok", ", ".join(addresses[:3]))


def _connected(target: _Target) -> socket.socket:
    try:
        return socket.create_connection((target.host, target.port), timeout=_TIMEOUT)
    except OSError as error:
        raise _Failed(
            CheckResult(
                f"TCP {target}",
                "failed",
                f"no connection: {error}",
                "check that the server runs and that no firewall is between; behind a proxy set HTTPS_PROXY",
            )
        ) from None


def _through(proxy: SplitResult, target: _Target) -> socket.socket:
    """A connection through a proxy: by CONNECT where TLS follows, as httpx does it."""
    name = f"proxy {_shown(proxy)}"
    advice = "check HTTPS_PROXY and HTTP_PROXY; NO_PROXY names the hosts to reach without it"
    try:
        connection = socket.create_connection(
            (proxy.hostname or "", proxy.port or 80), timeout=_TIMEOUT
        )
        if proxy.scheme == "https":
            context = httpx.create_ssl_context()
            connection = context.wrap_socket(connection, server_hostname=proxy.hostname)
        answer = _connect(connection, proxy, target) if target.tls else b""
    except OSError as error:
        raise _Failed(
            CheckResult(name, "failed", f"the proxy does not respond: {error}", advice)
        ) from None
    head = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if target.tls and head.split(" ")[1:2] != ["200"]:
        connection.close()
        refusal = f"the proxy refuses to connect to {target}: {head or 'it closed the connection'}"
        raise _Failed(CheckResult(name, "failed", refusal, advice))
    return connection


def _connect(connection: socket.socket, proxy: SplitResult, target: _Target) -> bytes:
    """The head of the response to a CONNECT."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65_536:
        piece = connection.recv(1)  # No byte more than the head: TLS follows.
        if not piece:
            break
        head += piece
    return head


def _handshake(connection: socket.socket, target: _Target) -> CheckResult:
    name = f"TLS {target.host}"
    try:
        context = httpx.create_ssl_context()
        with context.wrap_socket(connection, server_hostname=target.host) as secured:
            return CheckResult(name, "ok", f"{secured.version()}, the certificate is trusted")
    except ssl.SSLCertVerificationError as error:
        raise _Failed(
            CheckResult(
                name,
                "failed",
                f"the certificate is not trusted: {error.verify_message}",
                "where a proxy or server of your organisation signs it, let SSL_CERT_FILE name "
                "a PEM file with its authority",
            )
        ) from None
    except OSError as error:
        raise _Failed(
            CheckResult(
                name,
                "failed",
                f"the handshake failed: {error}",
                "check that the port speaks TLS, and that no proxy or firewall cuts it off",
            )
        ) from None
