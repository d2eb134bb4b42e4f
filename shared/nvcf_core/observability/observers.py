"""The observer of every call of this process, if an application has set one."""

from __future__ import annotations

from collections.abc import Callable

from nvcf_core.protocol.chat_request import ChatRequest

from .observation import UNOBSERVED, Observation

__all__ = ["Observer", "observe", "set_observer"]

Observer = Callable[[ChatRequest], Observation]
"""Makes the observation of a call that is about to begin."""

_observer: Observer | None = None


def set_observer(observer: Observer | None) -> None:
    """Set the observer of all calls that begin from now on. None: no observer."""
    global _observer
    _observer = observer


def observe(call: ChatRequest) -> Observation:
    """Return the observation of a call."""
    return UNOBSERVED if _observer is None else _observer(call)
