"""Which requests a scripted step is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nvcf_emulator.script.chat_request import ChatRequest

__all__ = ["KEYS", "Condition", "When", "condition_of"]

When = str | Mapping[str, str] | Callable[[ChatRequest], object]
"""A part of the last text of the user; a dict with some of `KEYS`; or a predicate."""

KEYS = ("model", "user", "system", "tool_result")
"""What a dict may hold: `model` has to be equal, the others have to be contained."""


@dataclass(frozen=True)
class Condition:
    """A `when` that was understood.

    Attributes:
        when: As it was given.
        fits: Whether a request is one that the step is for.
    """

    when: When
    fits: Callable[[ChatRequest], bool]

    def __str__(self) -> str:
        if callable(self.when):
            return getattr(self.when, "__qualname__", repr(self.when))
        return repr(self.when)


def condition_of(when: When) -> Condition:
    """Return the condition that `when` stands for.

    Raises:
        TypeError: It is not a text, a dict of texts or a function.
        ValueError: It is an empty text, or a dict with an unknown key.
    """
    if callable(when):
        return Condition(when, lambda request: bool(when(request)))
    wanted = {"user": when} if isinstance(when, str) else when
    if not isinstance(wanted, Mapping):
        raise TypeError(f"when must be a text, a dict or a function, got {when!r}")
    unknown = [key for key in wanted if key not in KEYS]
    if unknown or not wanted:
        named = f"unknown key {unknown[0]!r}" if unknown else "an empty dict"
        raise ValueError(f"{named} in when: it takes {', '.join(KEYS)}")
    for key, text in wanted.items():
        if not isinstance(text, str):
            raise TypeError(f"when[{key!r}] must be a text, got {text!r}")
        if not text:
            raise ValueError(f"when[{key!r}] is empty: it would fit every request")
    pairs = dict(wanted)
    return Condition(when, lambda request: all(_holds(request, *pair) for pair in pairs.items()))


def _holds(request: ChatRequest, key: str, wanted: str) -> bool:
    if key == "model":
        return request.model == wanted
    if key == "tool_result":
        return any(wanted in result for result in request.tool_results)
    return wanted in (request.user if key == "user" else request.system)
