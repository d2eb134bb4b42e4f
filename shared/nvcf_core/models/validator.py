"""What happens when a request breaks a rule of the model spec: an error, a warning, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from nvcf_core.errors import InvalidRequestError
from nvcf_core.values import value_class

from .spec import ModelSpec, Range

__all__ = ["Validator", "check_number"]

_INTEGERS = frozenset(("max_tokens", "seed", "reasoning_budget"))

_ANY_NUMBER = Range(-math.inf, math.inf)


def check_number(name: str, value: Any, validator: Validator) -> None:
    """Hold a number against its type and the range that the model documents.

    Raises:
        InvalidRequestError: it is not a finite number of that type, or out of range (unless `validation` says
            otherwise).
    """
    wanted = int if name in _INTEGERS else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = "a whole number" if name in _INTEGERS else "a number"
        raise validator.invalid_request(name, f"{name} must be {kind}, not {value!r}")
    if not math.isfinite(value):
        raise validator.invalid_request(name, f"{name} must be finite, not {value!r}")
    bound = validator.spec.bounds.get(name, _ANY_NUMBER)
    if not bound.low <= value <= bound.high:
        validator.reject(
            name, f"{name}={value!r} is out of range: the model's documentation allows {bound}"
        )


@value_class
class Validator:
    """Checks one call against a model spec."""

    spec: ModelSpec
    validation: Literal["error", "warn", "off"]
    warn: Callable[[str, str], None]
    """Takes a reason, for which it warns only once, and the message."""

    def reject(self, field: str, message: str) -> None:
        """Report a broken rule: raise, warn, or ignore it, by `validation`.

        Raises:
            InvalidRequestError: unless `validation` says otherwise.
        """
        if self.validation == "error":
            raise self.invalid_request(field, message)
        if self.validation == "warn":
            self.warn(f"bound:{field}", f"{message} ({self.spec.id})")

    def invalid_request(self, field: str, message: str) -> InvalidRequestError:
        """The error for what cannot be sent, whatever `validation` says."""
        return InvalidRequestError(
            f"{message} (model {self.spec.id})", field=field, model=self.spec.id
        )

    def warn_undocumented(self, field: str) -> None:
        """Warn if the model does not document a field that is sent."""
        if not self.spec.documents(field):
            self.warn(
                f"field:{field}",
                f"{field} is sent, but the documentation of {self.spec.id} does not have it",
            )
