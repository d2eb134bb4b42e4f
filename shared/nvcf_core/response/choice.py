"""One choice of an answer, growing: reasoning apart, tool calls put together, cut where it is to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nvcf_core.messages import Chunk, ToolCall, Usage, join_logprobs
from nvcf_core.tool_names import ToolNames

from .filters import StopFilter, ThinkFilter
from .tool_calls import ToolCallAssembler

_NO_CALLS: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How one answer is to be read."""

    model: str | None = None
    """The model that was asked, for answers that do not name it."""
    stops: Sequence[str] = ()
    """Stop sequences that the client enforces."""
    names: ToolNames = field(default_factory=lambda: ToolNames(()))
    single_call: bool = False
    """Whether every tool call but the first is left out."""


class ChoiceAccumulator:
    """One choice of an answer, growing: reasoning apart, calls put together, cut at a stop sequence."""

    __slots__ = (
        "_reading",
        "_reasonings",
        "_stop",
        "_texts",
        "_think",
        "calls",
        "finish_reason",
        "logprobs",
        "refusals",
    )

    def __init__(self, reading: DecodeOptions, answer_id: str | None) -> None:
        self._reading = reading
        self._think = ThinkFilter()
        self._stop = StopFilter(reading.stops) if reading.stops else None
        self._texts: list[str] = []
        self._reasonings: list[str] = []
        self.refusals: list[str] = []
        self.calls = ToolCallAssembler(reading.names, answer_id)
        self.finish_reason: str | None = None
        self.logprobs: list[dict[str, Any]] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence was met."""
        return self._stop is not None and self._stop.hit

    def feed(self, said: Mapping[str, Any], raw: dict[str, Any]) -> Chunk | None:
        """Take a delta, or a whole message. None: nothing to tell came of it."""
        text = content_text(said.get("content"))
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        reasoning = reasoning if isinstance(reasoning, str) else ""
        if text:
            thought, text = self._think.feed(text)
            reasoning += thought
            text = self._stop.feed(text) if self._stop else text
        pieces = said.get("tool_calls")
        calls = self._calls(pieces) if pieces and not self.stopped else _NO_CALLS
        refusal = said.get("refusal")
        refusal = refusal if isinstance(refusal, str) else ""
        if not (text or reasoning or calls or refusal):
            return None
        return self._keep(Chunk(text, reasoning, calls, refusal, raw=raw))

    def flush(self) -> Chunk:
        """What was held back until the end."""
        reasoning, text = self._think.flush()
        if self._stop:
            text = self._stop.feed(text) + self._stop.flush()
        return self._keep(Chunk(text, reasoning))

    def snapshot(self) -> Chunk:
        """All that has arrived."""
        return Chunk(
            text="".join(self._texts),
            reasoning="".join(self._reasonings),
            tool_calls=self._allowed(self.calls.calls()),
            refusal="".join(self.refusals),
            logprobs=join_logprobs(self.logprobs),
        )

    def _calls(self, pieces: object) -> tuple[ToolCall, ...]:
        return self._allowed(self.calls.feed(pieces)) if isinstance(pieces, list) else _NO_CALLS

    def _allowed(self, calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
        if not self._reading.single_call:
            return calls
        return tuple(call for call in calls if call.index == 0)

    def _keep(self, chunk: Chunk) -> Chunk:
        if chunk.text:
            self._texts.append(chunk.text)
        if chunk.reasoning:
            self._reasonings.append(chunk.reasoning)
        if chunk.refusal:
            self.refusals.append(chunk.refusal)
        return chunk


def parse_usage(usage: object) -> Usage | None:
    """Token counts, from the service's own object. None where it said nothing."""
    if not isinstance(usage, Mapping) or not usage:
        return None
    prompt, completion = (
        _count(usage, "prompt_tokens") or 0,
        _count(usage, "completion_tokens") or 0,
    )
    prompt_details, details = (
        usage.get("prompt_tokens_details"),
        usage.get("completion_tokens_details"),
    )
    return Usage(
        prompt,
        completion,
        _count(usage, "total_tokens") or prompt + completion,
        _count(prompt_details, "cached_tokens"),
        _first(_count(details, "reasoning_tokens"), _count(usage, "reasoning_tokens")),
        _count(prompt_details, "audio_tokens"),
        _count(details, "audio_tokens"),
        dict(usage),
    )


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def as_text(value: object) -> str:
    """The value, if it is a text; else an empty one."""
    return value if isinstance(value, str) else ""


def content_text(content: object) -> str:
    """The text of a content, which is a string, or on some servers a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(as_text(part.get("text")) for part in content if isinstance(part, dict))


def choices_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer's body; what is not an object is left out."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, dict)]
