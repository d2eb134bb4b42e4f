"""TLS contexts, one for the whole process and each `verify`: making one takes longer than a request."""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from typing import TypeAlias

import certifi

from nvcf_core.errors import InvalidRequestError

__all__ = ["Verify", "aload_context", "load_context"]

Verify: TypeAlias = "bool | str | os.PathLike[str] | ssl.SSLContext"
"""What `verify` may be: whether certificates are checked, a CA file or folder, or a context."""


def load_context(verify: Verify) -> ssl.SSLContext:
    """The context for `verify`, made at first use.

    Raises:
        InvalidRequestError: there is no such CA file, or it holds no certificates.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        return _of_environment(verify, file, folder)
    return _of_path(os.fspath(verify))


async def aload_context(verify: Verify) -> ssl.SSLContext:
    """Async version of `load_context`: in a thread, since it reads files."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    return await asyncio.to_thread(load_context, verify)


@functools.lru_cache(maxsize=16)
def _of_environment(verify: bool, file: str | None, folder: str | None) -> ssl.SSLContext:
    if not verify or not (file or folder):
        return _default_context(verify)
    variable, path = ("SSL_CERT_FILE", file) if file else ("SSL_CERT_DIR", folder)
    try:
        context = ssl.create_default_context(cafile=file or None, capath=folder or None)
        if not file and not any(map(os.path.isdir, (folder or "").split(os.pathsep))):
            raise NotADirectoryError(
                "there is no such folder"
            )  # OpenSSL takes what does not exist.
    except OSError as error:
        raise InvalidRequestError(
            f"{variable}: cannot use {path!r} for certificates: {error}", field="verify"
        ) from None
    return context


def _default_context(verify: bool) -> ssl.SSLContext:
    """A context that trusts the CAs that httpx trusts, or, with `verify=False`, anybody."""
    if verify:
        return ssl.create_default_context(cafile=certifi.where())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@functools.lru_cache(maxsize=16)
def _of_path(path: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise InvalidRequestError(f"verify: cannot use {path!r}: {error}", field="verify") from None
