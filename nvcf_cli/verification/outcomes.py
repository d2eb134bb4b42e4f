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
    "answer_outcome",
    "budget_outcome",
    "describe_details",
    "reasoning_outcome",
    "refusal_outcome",
    "stream_outcome",
    "tool_call_outcome",
    "usage_outcome",
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


def failure_outcome(observed: ProbeObservation) -> str | None:
    """Return the outcome of a request that has no answer, None if it has one."""
    if observed.problem:
        return "no response"
    if observed.status == 200:
        return None
    if 400 <= observed.status < 500 and observed.status not in _NOT_JUDGED:
        return REFUSED
    return f"HTTP {observed.status}"


def answer_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether there is an answer with text."""
    if (failed := failure_outcome(observed)) is not None:
        return failed
    if observed.content.strip():
        return ANSWERED
    return "reasoning, no text" if observed.reasoning else "an empty answer"


def refusal_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether the request was refused, or accepted with any answer."""
    return failure_outcome(observed) or "accepted"


def stream_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether the stream has events with text, and the documented end."""
    if (failed := failure_outcome(observed)) is not None:
        return failed
    if not observed.events:
        return "not a stream"
    if len(observed.events) < 2 or not observed.content.strip():
        return "a stream without text"
    return STREAMED if observed.done else "text, no [DONE]"


def usage_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether there are token counts, and they add up."""
    if (failed := failure_outcome(observed)) is not None:
        return failed
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts = [observed.usage.get(name) for name in names]
    if not all(isinstance(count, (int, float)) and count > 0 for count in counts):
        return "no usage"
    prompt, completion, total = (float(count or 0) for count in counts)
    return USAGE if total == prompt + completion else "usage that does not add up"


def reasoning_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether there is reasoning."""
    if (failed := failure_outcome(observed)) is not None:
        return failed
    if observed.reasoning.strip() or "<think>" in observed.content:
        return REASONED
    return UNREASONED if observed.content.strip() else "an empty answer"


def budget_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether the reasoning stays within the budget. A word has one token or more."""
    if (outcome := reasoning_outcome(observed)) != REASONED:
        return outcome
    words = len(observed.reasoning.split())
    return WITHIN_BUDGET if words <= BUDGET else "beyond the budget"


def tool_call_outcome(observed: ProbeObservation) -> str:
    """Return the outcome: whether the offered tool is called, with arguments that fit its schema."""
    if (failed := failure_outcome(observed)) is not None:
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


def describe_details(observed: ProbeObservation) -> str:
    """Return details of the outcome: the text of the error, or that the answer was polled."""
    if observed.problem:
        return observed.problem
    if observed.status != 200:
        return f"HTTP {observed.status}: {' '.join(observed.text.split())[:_LONGEST]}"
    return f"after 202 and {observed.polls} poll(s)" if observed.polls else ""
