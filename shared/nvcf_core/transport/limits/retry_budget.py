"""A budget of retries for the process, so that retries do not overload a failing service."""

from __future__ import annotations

from nvcf_core.errors import APITimeoutError
from nvcf_core.locks import Lock

from .registry import Registry

__all__ = ["RetryBudget", "shared_retry_budget"]

_FULL = 500
_FOR_A_RETRY = 5
_AFTER_A_TIMEOUT = 10


class RetryBudget:
    """Tokens: a retry costs some, and a request that succeeds at the first attempt gives one back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens = _FULL

    def take(self, failure: Exception | None) -> bool:
        """Take the cost of a retry after this error. Return False if not enough is left."""
        cost = _AFTER_A_TIMEOUT if isinstance(failure, APITimeoutError) else _FOR_A_RETRY
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def refund(self) -> None:
        """Record a request that succeeded at the first attempt."""
        if self._tokens < _FULL:
            with self._lock:
                self._tokens = min(self._tokens + 1, _FULL)


_budgets: Registry[tuple[str, tuple[str, str, int | None]], RetryBudget] = Registry(RetryBudget)


def shared_retry_budget(key_digest: str, origin: tuple[str, str, int | None]) -> RetryBudget:
    """The budget of a key at an origin (scheme, host and port), one for the whole process."""
    return _budgets.get((key_digest, origin))
