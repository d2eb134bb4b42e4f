"""What happens when a request breaks the model's page: an error, a warning, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .errors import InvalidRequestError
from .models import ModelSpec


@dataclass(frozen=True, slots=True)
class Judge:
    """Holds one call against one row."""

    spec: ModelSpec
    validation: Literal["error", "warn", "off"]
    warn: Callable[[str, str], None]
    """Takes a reason, for which it warns only once, and the message."""

    def broken(self, field: str, message: str) -> None:
        """A documented bound is broken.

        Raises:
            InvalidRequestError: unless `validation` says otherwise.
        """
        if self.validation == "error":
            raise self.refusal(field, message)
        if self.validation == "warn":
            self.warn(f"bound:{field}", f"{message} ({self.spec.id})")

    def refusal(self, field: str, message: str) -> InvalidRequestError:
        """The error for what cannot be sent, whatever `validation` says."""
        return InvalidRequestError(
            f"{message} (model {self.spec.id})", field=field, model=self.spec.id
        )

    def undocumented(self, field: str) -> None:
        """Something is sent that the model's page does not have."""
        if not self.spec.documents(field):
            self.warn(
                f"field:{field}",
                f"{field} is sent, but the page of {self.spec.id} does not document it",
            )
