"""One choice of an answer, growing: reasoning apart, tool calls put together, cut where it is to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nvcf_core.messages import Chunk, ToolCall, Usage
from nvcf_core.tool_names import ToolNames
from nvcf_core.wire import get_int, get_list, get_text

from .accumulator import Accumulator
from .filters import StopFilter, ThinkFilter
from .tool_calls import ToolCallAssembler

__all__ = ["ChoiceAccumulator", "DecodeOptions", "choices_of", "content_text", "parse_usage"]

_NO_CALLS: tuple[ToolCall, ...] = ()
_NOTHING_SAID: Mapping[str, Any] = {}


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

    __slots__ = ("_answer", "_reading", "_stop", "_think", "calls", "finish_reason")

    def __init__(self, reading: DecodeOptions, answer_id: str | None) -> None:
        self._reading = reading
        self._think = ThinkFilter()
        self._stop = StopFilter(reading.stops) if reading.stops else None
        self._answer = Accumulator()
        self.calls = ToolCallAssembler(reading.names, answer_id)
        self.finish_reason: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence was met."""
        return self._stop is not None and self._stop.hit

    def feed(self, choice: Mapping[str, Any], raw: dict[str, Any]) -> Chunk | None:
        """Take a choice of an event or of a body, with its delta or message. None: there is nothing to tell."""
        said = choice.get("delta") or choice.get("message")
        said = said if isinstance(said, Mapping) else _NOTHING_SAID
        text = content_text(said.get("content"))
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        reasoning = reasoning if isinstance(reasoning, str) else ""
        if text:
            thought, text = self._think.feed(text)
            reasoning += thought
            text = self._stop.feed(text) if self._stop else text
        pieces = said.get("tool_calls")
        calls = self._calls(pieces) if pieces and not self.stopped else _NO_CALLS
        refusal = get_text(said, "refusal")
        logprobs = choice.get("logprobs")
        logprobs = logprobs if logprobs and isinstance(logprobs, dict) else None
        self.finish_reason = get_text(choice, "finish_reason") or self.finish_reason
        if not (text or reasoning or calls or refusal or logprobs):
            return None
        return self._keep(Chunk(text, reasoning, calls, refusal, logprobs, raw=raw))

    def flush(self) -> Chunk:
        """What was held back until the end, and why the answer ended."""
        reasoning, text = self._think.flush()
        if self._stop:
            text = self._stop.feed(text) + self._stop.flush()
        chunk = self._keep(Chunk(text, reasoning))
        chunk.finish_reason = "stop" if self.stopped else self.finish_reason
        return chunk

    def snapshot(self) -> Chunk:
        """All that has arrived."""
        return self._answer.snapshot()

    def _calls(self, pieces: object) -> tuple[ToolCall, ...]:
        if not isinstance(pieces, list):
            return _NO_CALLS
        calls = self.calls.feed(pieces)
        if not self._reading.single_call:
            return calls
        return tuple(call for call in calls if call.index == 0)

    def _keep(self, chunk: Chunk) -> Chunk:
        self._answer.add(chunk)
        return chunk


def parse_usage(usage: object) -> Usage | None:
    """Token counts, from the service's own object. None where it said nothing."""
    if not isinstance(usage, Mapping) or not usage:
        return None
    prompt = get_int(usage, "prompt_tokens") or 0
    completion = get_int(usage, "completion_tokens") or 0
    prompt_details = usage.get("prompt_tokens_details")
    details = usage.get("completion_tokens_details")
    reasoning = get_int(details, "reasoning_tokens")
    return Usage(
        prompt,
        completion,
        get_int(usage, "total_tokens") or prompt + completion,
        get_int(prompt_details, "cached_tokens"),
        get_int(usage, "reasoning_tokens") if reasoning is None else reasoning,
        get_int(prompt_details, "audio_tokens"),
        get_int(details, "audio_tokens"),
        dict(usage),
    )


def content_text(content: object) -> str:
    """The text of a content, which is a string, or on some servers a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(get_text(part, "text") for part in content)


def choices_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer's body; what is not an object is left out."""
    return [choice for choice in get_list(body, "choices") if isinstance(choice, dict)]
