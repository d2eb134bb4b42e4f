"""What the finish reason of an answer says: that it is complete, was cut off, or that the service gave up."""

from __future__ import annotations

__all__ = ["GAVE_UP", "cut_reason"]

GAVE_UP = frozenset(("abort", "error"))
"""The finish reasons with which the service says that it gave up."""

_CUT = {
    "length": "the answer was cut off at max_tokens",
    "content_filter": "the answer was cut off by the service's content filter",
}


def cut_reason(finish_reason: str | None, *, only_reasoning: bool = False) -> str:
    """Say why an answer breaks off; an empty text where it is complete.

    Args:
        finish_reason: what the service sent. None for an answer that has ended: it sent nothing, and is complete.
        only_reasoning: whether there is reasoning and nothing else.
    """
    if finish_reason in GAVE_UP:
        return f"the service gave up (finish_reason {finish_reason!r})"
    cut = _CUT.get(finish_reason or "")
    if not cut:
        return ""
    spent = (
        ", all of them spent on reasoning" if only_reasoning and finish_reason == "length" else ""
    )
    return f"{cut}{spent} (finish_reason {finish_reason!r})"
