"""Tool names that the service accepts, and the way back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_REFUSED = re.compile(r"[^a-zA-Z0-9_\ud800-\udfff-]")
"""Halves of surrogate pairs are left in: such a name is an error, which is raised where the body is built."""

_LONGEST_NAME = 64

__all__ = ["ToolNames", "safe_name"]


class ToolNames:
    """Names as the service accepts them (`[a-zA-Z0-9_-]`, 64 at most), and the way back."""

    __slots__ = ("_original", "_safe")

    def __init__(self, names: Iterable[str]) -> None:
        wanted = list(dict.fromkeys(names))
        # Names that can stay as they are come first, so that no replacement takes one of theirs.
        self._safe = {name: name for name in wanted if _is_safe(name)}
        taken = set(self._safe)
        for name in wanted:
            if name not in self._safe:
                safe = _unique_safe_name(name, taken)
                taken.add(safe)
                self._safe[name] = safe
        self._original = {safe: name for name, safe in self._safe.items() if safe != name}

    def to_wire(self, name: str) -> str:
        """The name to send."""
        return self._safe.get(name, name)

    def from_wire(self, name: str) -> str:
        """The name that the user gave to what the service calls `name`."""
        return self._original.get(name, name)


def safe_name(name: str) -> str:
    """A name as the service accepts it: what it refuses becomes `_`, and no more than 64 characters stay."""
    return _REFUSED.sub("_", name)[:_LONGEST_NAME] or "tool"


def _is_safe(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and not _REFUSED.search(name)


def _unique_safe_name(name: str, taken: set[str]) -> str:
    safe = safe_name(name)
    if safe not in taken:
        return safe
    mark = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
    return f"{safe[: _LONGEST_NAME - 9]}_{mark}"
