"""What a conversation is subject to: who asks, with which headers, how long it may take, how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .exchange import Request
from .keys import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of one conversation."""

    access: Access
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The user's own, under lower-case names. They go to the service's hosts only."""
    timeout: Any = None
    """Seconds for each phase, an httpx.Timeout, or None: an injected client's own, or else the defaults."""
    chunk_timeout: float | None = None
    """Seconds between two chunks of a body that is left open. None: as `timeout` has it."""
    requests_per_minute: int | None = None

    def headers_for(self, request: Request) -> dict[str, str]:
        """The headers of a request: the user's, and those that it needs, which win."""
        return {**self.headers, **request.headers} if request.authorized else dict(request.headers)
