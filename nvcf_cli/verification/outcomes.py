"""What came of a request, in a few fixed words that can be compared."""

from __future__ import annotations

import json

from .exchange import JSONObject, ProbeObservation

__all__ = [
    "ANSWERED",
    "CALLED",
    "DELETED",
    "REASONED",
    "REFUSED",
    "STREAMED",
    "UNREASONED",
    "USAGE",
    "WITHIN_BUDGET",
    "answered",
    "called",
    "details_of",
    "reasoned",
    "refused",
    "streamed",
    "usage_told",
    "within_budget",
]

ANSWERED = "text"
STREAMED = "text, [DONE]"
USAGE = "usage"
REASONED = "reasoning"
UNREASONED = "no reasoning"
WITHIN_BUDGET = "within budget"
CALLED = "valid call"
REFUSED = "refused"
DELETED = "text, deleted"

TOOL = "get_weather"
"""The tool of every probe that offers one."""

BUDGET = 32
"""Tokens of reasoning that the budget's probe allows."""

_NOT_JUDGED = (401, 402, 403, 408, 429)
"""Client errors that say nothing of the request's body."""

_LONGEST = 200


def failure(observed: ProbeObservation) -> str | None:
    """The outcome of a request that has no answer, None where it has one."""
    if observed.problem:
        return "no response"
    if observed.status == 200:
        return None
    if 400 <= observed.status < 500 and observed.status not in _NOT_JUDGED:
        return REFUSED
    return f"HTTP {observed.status}"


def answered(observed: ProbeObservation) -> str:
    """Return whether there is an answer with text."""
    if (failed := failure(observed)) is not None:
        return failed
    if observed.content.strip():
        return ANSWERED
    return "reasoning, no text" if observed.reasoning else "an empty answer"


def refused(observed: ProbeObservation) -> str:
    """Return whether a request was refused; where it was not, that there is an answer, whatever it holds."""
    return failure(observed) or "accepted"


def streamed(observed: ProbeObservation) -> str:
    """Return whether a stream has events with text and the end that is documented."""
    if (failed := failure(observed)) is not None:
        return failed
    if not observed.events:
        return "not a stream"
    if len(observed.events) < 2 or not observed.content.strip():
        return "a stream without text"
    return STREAMED if observed.done else "text, no [DONE]"


def usage_told(observed: ProbeObservation) -> str:
    """Return whether the tokens used are told, and add up."""
    if (failed := failure(observed)) is not None:
        return failed
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts = [observed.usage.get(name) for name in names]
    if not all(isinstance(count, (int, float)) and count > 0 for count in counts):
        return "no usage"
    prompt, completion, total = (float(count or 0) for count in counts)
    return USAGE if total == prompt + completion else "usage that does not add up"


def reasoned(observed: ProbeObservation) -> str:
    """Return whether there is reasoning."""
    if (failed := failure(observed)) is not None:
        return failed
    if observed.reasoning.strip() or "<think>" in observed.content:
        return REASONED
    return UNREASONED if observed.content.strip() else "an empty answer"


def within_budget(observed: ProbeObservation) -> str:
    """Return whether reasoning stays within the budget. A word has one token or more."""
    if (outcome := reasoned(observed)) != REASONED:
        return outcome
    words = len(observed.reasoning.split())
    return WITHIN_BUDGET if words <= BUDGET else "beyond the budget"


def called(observed: ProbeObservation) -> str:
    """Return whether the tool that was offered is called, with arguments that fit it."""
    if (failed := failure(observed)) is not None:
        return failed
    calls = observed.message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return "no call"
    return _judged(calls[0] if isinstance(calls[0], dict) else {})


def _judged(call: JSONObject) -> str:
    function = call.get("function") or {}
    if function.get("name") != TOOL:
        return f"a call of {function.get('name')!r}"
    if not call.get("id"):
        return "a call without an id"
    try:
        arguments = json.loads(function.get("arguments") or "")
    except (TypeError, ValueError):
        return "a call with arguments that are not JSON"
    fits = isinstance(arguments, dict) and isinstance(arguments.get("city"), str)
    return CALLED if fits else "a call with arguments against the schema"


def details_of(observed: ProbeObservation) -> str:
    """What a person wants to know besides the outcome: the error's words, or that the answer was polled for."""
    if observed.problem:
        return observed.problem
    if observed.status != 200:
        return f"HTTP {observed.status}: {' '.join(observed.text.split())[:_LONGEST]}"
    return f"after 202 and {observed.polls} poll(s)" if observed.polls else ""
