"""What a run says when it has ended, and what it is expected to need before it begins."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts", "Estimate", "Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of the rows of a run."""

    rows: int
    """Rows of the source: those of the three below together."""
    answered: int
    failed: int
    """Rows that were asked in vain: `error_type` and `error` say why."""
    skipped: int
    """Rows that were not asked, because the output has them already."""
    prompt_tokens: int
    """As the service counted them, of the rows answered in this run."""
    completion_tokens: int
    seconds: float
    """Of the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run is expected to need. Tokens are reckoned from characters, images, audio and video left out."""

    rows: int
    skipped: int
    """Rows that the output has already."""
    requests: int
    """Rows that would be asked."""
    prompt_tokens: int
    completion_tokens: int | None
    """At most: `max_tokens` for each request. None where `max_tokens` is not set."""
    minutes: float | None
    """By `requests_per_minute`. None where it is not set."""


@dataclass(slots=True)
class Counts:
    """Rows and tokens so far, as progress shows them."""

    answered: int = 0
    failed: int = 0
    skipped: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def rows(self) -> int:
        """Rows that are done."""
        return self.answered + self.failed + self.skipped

    def add(self, more: Counts) -> None:
        """Add others to these."""
        self.answered += more.answered
        self.failed += more.failed
        self.skipped += more.skipped
        self.prompt_tokens += more.prompt_tokens
        self.completion_tokens += more.completion_tokens
