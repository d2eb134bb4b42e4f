"""How many retries the process can afford: a service in trouble must not be asked by all at once, again and again."""

from __future__ import annotations

from nvcf_core.errors import APITimeoutError
from nvcf_core.locks import Lock

from .registry import Registry

__all__ = ["RetryBudget", "shared_retry_budget"]

_FULL = 500
_FOR_A_RETRY = 5
_AFTER_A_TIMEOUT = 10


class RetryBudget:
    """Tokens that retries take, and that requests which succeed at once bring back: one each."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens = _FULL

    def take(self, failure: Exception | None) -> bool:
        """Take what a retry after this failure costs; False: there is not enough left."""
        cost = _AFTER_A_TIMEOUT if isinstance(failure, APITimeoutError) else _FOR_A_RETRY
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def bring_back(self) -> None:
        """Note a request that succeeded at the first try."""
        if self._tokens < _FULL:
            with self._lock:
                self._tokens = min(self._tokens + 1, _FULL)


_budgets: Registry[tuple[str, tuple[str, str, int | None]], RetryBudget] = Registry(RetryBudget)


def shared_retry_budget(key_digest: str, origin: tuple[str, str, int | None]) -> RetryBudget:
    """The budget of a key at an origin (scheme, host and port), one for the whole process."""
    return _budgets.get((key_digest, origin))
