"""One choice of an answer, growing: reasoning apart, tool calls put together, cut where it is to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nvcf_core.messages import Chunk, ToolCall, Usage
from nvcf_core.tools.arguments import decode_arguments
from nvcf_core.wire import get_int, get_list, get_text

from .accumulator import Accumulator
from .filters import StopFilter, ThinkFilter, split_unopened_think
from .options import DecodeOptions
from .text_tool_calls import TextToolCall, TextToolCallFilter
from .tool_calls import ToolCallAssembler

__all__ = ["ChoiceAccumulator", "choices_of", "content_of_parts", "parse_usage"]

_NO_CALLS: tuple[ToolCall, ...] = ()
_NOTHING_SAID: dict[str, Any] = {}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_REASONING_PARTS = ("thinking", "reasoning")
"""What parts of a content are called that are not the answer: Mistral's word, and that of others."""


class ChoiceAccumulator:
    """One choice of an answer, growing: reasoning apart, calls put together, cut at a stop sequence."""

    __slots__ = (
        "_answer",
        "_options",
        "_reasoning_calls",
        "_reasoning_is_content",
        "_stop",
        "_text_calls",
        "_think",
        "calls",
        "finish_reason",
    )

    def __init__(self, options: DecodeOptions, answer_id: str | None) -> None:
        self._options = options
        form = options.text_tool_calls
        self._think = ThinkFilter()
        # Where a server loses track of the model's thinking, its calls stand in the reasoning.
        self._text_calls = None if form is None else TextToolCallFilter(form)
        self._reasoning_calls = None if form is None else TextToolCallFilter(form)
        self._stop = StopFilter(options.stops) if options.stops else None
        self._answer = Accumulator()
        self._reasoning_is_content = False
        self.calls = ToolCallAssembler(options, answer_id)
        self.finish_reason: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence was met."""
        return self._stop is not None and self._stop.hit

    @property
    def empty(self) -> bool:
        """Whether nothing of the answer has arrived."""
        return self._answer.empty

    def feed(self, choice: Mapping[str, Any], raw: dict[str, Any]) -> Chunk | None:
        """Take a choice of an event or of a body, with its delta or message. None: it completes no chunk."""
        said = choice.get("delta") or choice.get("message")
        said = said if isinstance(said, dict) else _NOTHING_SAID
        text = said.get("content")
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        reasoning = reasoning if isinstance(reasoning, str) else ""
        if not isinstance(text, str):
            thought, text = content_of_parts(text)
            reasoning += thought
        if text:
            thought, text = self._think.feed(text)
            reasoning += thought
            text = self._text_calls.feed(text) if self._text_calls else text
            text = self._stop.feed(text) if self._stop else text
        if reasoning and self._reasoning_calls:
            reasoning = self._reasoning_calls.feed(reasoning)
        pieces = said.get("tool_calls")
        calls = self._calls(pieces) if pieces and not self.stopped else _NO_CALLS
        refusal = said.get("refusal")
        refusal = refusal if isinstance(refusal, str) else ""
        logprobs = _logprobs(choice.get("logprobs"))
        if choice.get("finish_reason"):
            self.finish_reason = get_text(choice, "finish_reason") or self.finish_reason
        if not (text or reasoning or calls or refusal or logprobs):
            return None
        return self._keep(Chunk(text, reasoning, calls, refusal, logprobs, raw=raw))

    def feed_usual(self, event: dict[str, Any], chunks: list[Chunk]) -> bool:
        """Take an event that has only more text, reasoning or tool calls.

        Nearly all events of a stream are, and looking in each of them for all that an event may say is most of the
        time that a chunk costs. So these take this short path, to the same result as by `feed`.

        Args:
            event: the whole event.
            chunks: where the chunk that comes of it is appended.

        Returns:
            Whether the event was taken. If not, nothing has changed, and `feed` is to take it.
        """
        choices = event.get("choices")
        if type(choices) is not list or len(choices) != 1 or "error" in event or event.get("usage"):
            return False
        choice = choices[0]
        if type(choice) is not dict or choice.get("index") or choice.get("finish_reason"):
            return False
        said = choice.get("delta")
        if type(said) is not dict or not said or said.get("refusal") or choice.get("logprobs"):
            return False
        text, pieces = said.get("content") or "", said.get("tool_calls")
        reasoning = said.get("reasoning_content") or said.get("reasoning") or ""
        if type(text) is not str or type(reasoning) is not str:
            return False
        if self._stop is not None or (text and not self._think.is_over):
            return False
        if text and self._text_calls is not None:
            text = self._text_calls.feed(text)
        if reasoning and self._reasoning_calls is not None:
            reasoning = self._reasoning_calls.feed(reasoning)
        calls = self._calls(pieces) if pieces else _NO_CALLS
        if text or reasoning or calls:
            chunk = Chunk(text, reasoning, calls)
            if self._options.keeps_raw:
                chunk.raw = event
            self._answer.add(chunk)
            chunks.append(chunk)
        return True

    def flush(self) -> Chunk:
        """Return what was held back until the end, and the finish reason."""
        reasoning, text = self._think.flush()
        if self._text_calls and self._reasoning_calls:
            text = self._text_calls.feed(text) + self._text_calls.flush()
            reasoning = self._reasoning_calls.feed(reasoning) + self._reasoning_calls.flush()
        text = self._stopped_text(text)
        chunk = self._keep(Chunk(text, reasoning, self._filter_calls(self.calls.flush())))
        if calls := self._calls_in_text():
            self._answer.add(Chunk(tool_calls=calls))
            chunk.tool_calls += calls
        if self._options.reasoning_is_content and self._only_reasoned():
            self._reasoning_is_content = True
            chunk.text = self._stopped_text(self._answer.reasoning)
            self._answer.add(Chunk(chunk.text))
        chunk.finish_reason = "stop" if self.stopped else self.finish_reason
        return chunk

    def snapshot(self) -> Chunk:
        """Return all that has arrived."""
        whole = self._answer.snapshot()
        if self._reasoning_is_content:
            whole.reasoning = ""
        elif self._options.splits_unopened_think and whole.text and not whole.reasoning:
            whole.reasoning, whole.text = split_unopened_think(whole.text)
        return whole

    def _stopped_text(self, text: str) -> str:
        """The last text, up to a stop sequence."""
        return self._stop.feed(text) + self._stop.flush() if self._stop else text

    def _only_reasoned(self) -> bool:
        said = self._answer.text or self._answer.refusal or self._answer.tool_calls
        return bool(self._answer.reasoning) and not said

    def _calls(self, pieces: object) -> tuple[ToolCall, ...]:
        return (
            self._filter_calls(self.calls.feed(pieces)) if isinstance(pieces, list) else _NO_CALLS
        )

    def _calls_in_text(self) -> tuple[ToolCall, ...]:
        """The calls that stood in the text, but for those that the service gave as calls, too."""
        readers = (self._reasoning_calls, self._text_calls)
        if not any(readers):
            return _NO_CALLS
        found = [call for reader in readers if reader for call in reader.calls()]
        given = {(call.name, _comparable(call.arguments)) for call in self._answer.tool_calls}
        pieces = [
            _wire_piece(call, None if self.calls.has_id(call.id) else call.id)
            for call in found
            if self._as_given(call) not in given
        ]
        whole = Accumulator()
        whole.add(Chunk(tool_calls=self.calls.feed(pieces)))
        whole.add(Chunk(tool_calls=self.calls.flush()))
        return self._filter_calls(whole.tool_calls)

    def _as_given(self, call: TextToolCall) -> tuple[str, str]:
        """Name and arguments of a call in the text, as those of the same call are that the service gave."""
        arguments = decode_arguments(call.arguments, self._options.schemas.get(call.name))
        return self._options.names.from_wire(call.name), _comparable(arguments)

    def _filter_calls(self, calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
        if self._options.no_calls and calls:
            self._options.warn(
                "calls_not_allowed",
                'the model called a tool although tool_choice is "none": the call was left out',
            )
            return _NO_CALLS
        if self._options.single_call:
            return tuple(call for call in calls if call.index == 0)
        return calls

    def _keep(self, chunk: Chunk) -> Chunk:
        self._answer.add(chunk)
        return chunk


def _wire_piece(call: TextToolCall, call_id: str | None) -> dict[str, Any]:
    """A call that stood in the text, as the service would have sent it."""
    return {"id": call_id, "function": {"name": call.name, "arguments": call.arguments}}


def _comparable(arguments: str) -> str:
    """A text that is the same for arguments that mean the same."""
    try:
        return json.dumps(json.loads(arguments or "{}", strict=False), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def parse_usage(usage: object) -> Usage | None:
    """Token counts, from the service's own object. None where it has no count in it, or one that cannot be."""
    if not isinstance(usage, Mapping):
        return None
    counts = {name: get_int(usage, name) for name in _COUNTS if usage.get(name) is not None}
    if not counts or any(count is None or count < 0 for count in counts.values()):
        return None
    prompt = counts.get("prompt_tokens") or 0
    completion = counts.get("completion_tokens") or 0
    prompt_details = usage.get("prompt_tokens_details")
    details = usage.get("completion_tokens_details")
    reasoning = get_int(details, "reasoning_tokens")
    return Usage(
        prompt,
        completion,
        counts.get("total_tokens") or prompt + completion,
        get_int(prompt_details, "cached_tokens"),
        get_int(usage, "reasoning_tokens") if reasoning is None else reasoning,
        get_int(prompt_details, "audio_tokens"),
        get_int(details, "audio_tokens"),
        dict(usage),
    )


def content_of_parts(content: object) -> tuple[str, str]:
    """Reasoning and text of a content that is no string: on some servers it is a list of parts."""
    reasoning, text = [], []
    for part in content if isinstance(content, list) else ():
        kind = get_text(part, "type")
        if kind in _REASONING_PARTS:
            thought = get_text(part, kind) or get_text(part, "text")
            reasoning.append(thought or content_of_parts(get_list(part, kind))[1])
        else:
            text.append(get_text(part, "text"))
    return "".join(reasoning), "".join(text)


def choices_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer's body; what is not an object is left out."""
    return [choice for choice in get_list(body, "choices") if isinstance(choice, dict)]


def _logprobs(value: object) -> dict[str, Any] | None:
    """Log probabilities; None where they have not the documented types."""
    if not value or not isinstance(value, dict):
        return None
    known = [value[name] for name in ("content", "refusal") if value.get(name) is not None]
    return value if all(map(_are_tokens, known)) else None


def _are_tokens(entries: object) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("token"), str)
        and isinstance(entry.get("logprob", 0.0), (int, float))
        for entry in entries
    )
