"""Who is told of every call of this process: nobody, or what an application has set."""

from __future__ import annotations

from collections.abc import Callable

from nvcf_core.protocol.chat_request import ChatRequest

from .observation import UNOBSERVED, Observation

__all__ = ["Observer", "observe", "set_observer"]

Observer = Callable[[ChatRequest], Observation]
"""Makes the observation of a call that is about to begin."""

_observer: Observer | None = None


def set_observer(observer: Observer | None) -> None:
    """Tell `observer` of every call that begins from now on. None: tell nobody."""
    global _observer
    _observer = observer


def observe(call: ChatRequest) -> Observation:
    """The observation of a call."""
    return UNOBSERVED if _observer is None else _observer(call)
