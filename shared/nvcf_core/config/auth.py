"""The API key: resolved for each request, and sent only to the service's hosts."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Any, TypeAlias

from pydantic import SecretStr

from nvcf_core.errors import InvalidRequestError
from nvcf_core.exchange import Request
from nvcf_core.values import value_class

from .endpoints import is_loopback, is_nvidia_https_url, origin

__all__ = ["Auth", "KeySource", "key_fingerprint"]

KeySource: TypeAlias = SecretStr | str | Callable[[], Any] | None


_LEFT_BEHIND = (
    "This object was unpickled. API keys given as strings are not pickled: set NVIDIA_API_KEY in this process, "
    "or pass api_key as an importable function"
)


@value_class
class Auth:
    """The API key, and the hosts it may be sent to."""

    key: KeySource = field(repr=False)
    roots: tuple[str, ...]
    """The URLs of the service. The key is sent to their hosts only."""
    left_behind: bool = False
    """Whether the object had a key that was not pickled."""

    @property
    def hint(self) -> str:
        """A sentence to add to errors about a missing key, or ""."""
        return _LEFT_BEHIND if self.left_behind else ""

    def resolve_key(self) -> SecretStr | None:
        """Return the key, for a synchronous call.

        Raises:
            InvalidRequestError: NVIDIA's hosts need a key and there is none; it is not a valid key; or the callable is
                async.
        """
        found = self.key() if callable(self.key) else self.key
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise InvalidRequestError(
                "api_key is an async callable: it works in async calls only", field="api_key"
            )
        return self._require_key(_validate_key(found))

    async def aresolve_key(self) -> SecretStr | None:
        """Async version of `resolve_key`. The callable may be async.

        Raises:
            InvalidRequestError: NVIDIA's hosts need a key and there is none, or it is not a valid key.
        """
        found = self.key() if callable(self.key) else self.key
        if isinstance(found, Awaitable):
            found = await found
        return self._require_key(_validate_key(found))

    def _require_key(self, key: SecretStr | None) -> SecretStr | None:
        """Return the key.

        Raises:
            InvalidRequestError: there is none, and NVIDIA's hosts need one.
        """
        if key is None and any(is_nvidia_https_url(root) for root in self.roots):
            raise InvalidRequestError(
                "there is no API key: set NVIDIA_API_KEY, or pass api_key "
                f"(keys are made at https://build.nvidia.com). {self.hint}".rstrip(),
                field="api_key",
            )
        return key

    def applies_to(self, request: Request) -> bool:
        """Return whether the key is sent with this request: it must ask for it, and go to one of the service's
        hosts."""
        return request.authorized and origin(request.url) in {origin(root) for root in self.roots}

    def insecure_root(self) -> str | None:
        """Return a root URL to which the key would be sent unencrypted over a network, or None."""
        plain = (
            root for root in self.roots if root.startswith("http://") and not is_loopback(root)
        )
        return next(plain, None)


def _validate_key(found: object) -> SecretStr | None:
    """Return a key without the white space around it, None where nothing else is in it.

    Raises:
        InvalidRequestError: it is not text, or has characters that no key has.
    """
    if found is not None and not isinstance(found, (str, SecretStr)):
        raise InvalidRequestError(
            "api_key's callable must return a str or SecretStr", field="api_key"
        )
    key = found if isinstance(found, SecretStr) else SecretStr(found or "")
    # From here on nothing holds the bare key in a local variable, which a traceback might show.
    key = SecretStr(key.get_secret_value().strip())
    if not key.get_secret_value():
        return None
    if not (key.get_secret_value().isascii() and key.get_secret_value().isprintable()):
        raise InvalidRequestError(
            "the API key has characters that no key has (a line break, perhaps)", field="api_key"
        )
    return key


def key_fingerprint(key: SecretStr | None) -> str:
    """Return a hash that tells keys apart without holding one."""
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest() if key else ""
