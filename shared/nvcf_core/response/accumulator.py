"""All of an answer that has arrived so far, for the decoders and for every adapter."""

from __future__ import annotations

from typing import Any

from nvcf_core.messages import Chunk, ToolCall, extend_logprobs

__all__ = ["Accumulator"]


class Accumulator:
    """Adds up the chunks of one answer. Adding a chunk costs time by that chunk's own length.

    Reading what has grown by text joins it, once for as many chunks as were added since.
    """

    __slots__ = ("_calls", "_logprobs", "_reasoning", "_refusal", "_text")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, list[ToolCall]] = {}
        self._logprobs: dict[str, Any] | None = None

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk. What is said once of an answer (usage, ids, …) is not kept."""
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        for call in chunk.tool_calls:
            self._calls.setdefault(call.index, []).append(call)
        if chunk.logprobs is not None:
            self._logprobs = {} if self._logprobs is None else self._logprobs
            extend_logprobs(self._logprobs, chunk.logprobs)

    @property
    def empty(self) -> bool:
        """Whether nothing has arrived."""
        said = self._text or self._reasoning or self._refusal or self._calls or self._logprobs
        return not said

    @property
    def text(self) -> str:
        """The answer's text."""
        return _joined(self._text)

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered."""
        return _joined(self._reasoning)

    @property
    def refusal(self) -> str:
        """What the model said when it declined."""
        return _joined(self._refusal)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in the order in which they began, each with the arguments that have arrived."""
        return tuple(_merged(fragments) for fragments in self._calls.values())

    def tool_call(self, index: int) -> ToolCall:
        """One tool call, with the arguments that have arrived.

        Raises:
            KeyError: no call has this index.
        """
        return _merged(self._calls[index])

    @property
    def logprobs(self) -> dict[str, Any] | None:
        """The log probabilities of all tokens. None: none have arrived."""
        if self._logprobs is None:
            return None
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in self._logprobs.items()
        }

    def snapshot(self) -> Chunk:
        """All of it, as one chunk."""
        return Chunk(
            text=self.text,
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            refusal=self.refusal,
            logprobs=self.logprobs,
        )


def _joined(pieces: list[str]) -> str:
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    return pieces[0] if pieces else ""


def _merged(fragments: list[ToolCall]) -> ToolCall:
    if len(fragments) > 1:
        first = fragments[0]
        call_id = next((fragment.id for fragment in fragments if fragment.id), "")
        name = "".join(fragment.name for fragment in fragments)
        arguments = "".join(fragment.arguments for fragment in fragments)
        fragments[:] = [ToolCall(first.index, call_id, name, arguments)]
    return fragments[0]
