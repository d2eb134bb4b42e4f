"""One line of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CheckResult", "Status"]

Status: TypeAlias = Literal["ok", "note", "failed", "skipped"]
"""`note`: nothing is broken, but worth knowing. `skipped`: what it needs has failed already."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    name: str
    status: Status
    detail: str
    advice: str = ""
    """What to do; empty where there is nothing to do."""
