"""Inbound: the core's chunks as langchain-core's stream events, without a message chunk in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from nvcf_core.messages import Chunk, ToolCall

from .block_translator import PROVIDER, refusal_block
from .outputs import (
    ParsedToolCall,
    additional_kwargs,
    parse_tool_calls,
    response_metadata,
    usage_metadata,
)

Event: TypeAlias = dict[str, Any]
"""One event of langchain-core's content block protocol."""

_TEXTS = {"reasoning": "reasoning-delta", "text": "text-delta"}
"""The blocks that grow by text, and what their growth is called."""


class _GrowingCall:
    """A call whose arguments are still arriving, and where its block stands."""

    __slots__ = ("_first", "arguments", "place")

    def __init__(self, first: ToolCall, place: int) -> None:
        self._first = first
        self.place = place
        self.arguments: list[str] = []

    def whole(self) -> ToolCall:
        return replace(self._first, arguments="".join(self.arguments))


class EventConverter:
    """Turns the chunks of one stream into `message-start`, block events and `message-finish`.

    Reasoning and text follow one another: a block ends when the other kind begins. Calls may be interleaved, and end
    with the message.
    """

    def __init__(self, model: str, message_id: str) -> None:
        """Begin.

        Args:
            model: the model that was asked.
            message_id: what the message will be called.
        """
        self._model = model
        self._message_id = message_id
        self._started = False
        self._blocks = 0
        self._kind = ""
        """The kind of the block that is growing by text, empty while none is."""
        self._pieces: list[str] = []
        self._reasonings: list[str] = []
        self._refusals: list[str] = []
        self._logprobs = Chunk()
        self._calls: dict[int, _GrowingCall] = {}

    def convert(self, chunk: Chunk) -> Iterator[Event]:
        """The events that a chunk brings about."""
        if not self._started:
            self._started = True
            about = {"provider": PROVIDER, "model": self._model}
            yield {
                "event": "message-start",
                "role": "ai",
                "id": self._message_id,
                "metadata": about,
            }
        if chunk.reasoning:
            self._reasonings.append(chunk.reasoning)
            yield from self._grow("reasoning", chunk.reasoning)
        if chunk.text:
            yield from self._grow("text", chunk.text)
        if chunk.refusal:
            self._refusals.append(chunk.refusal)
        if chunk.logprobs:
            self._logprobs = self._logprobs + Chunk(logprobs=chunk.logprobs)
        for call in chunk.tool_calls:
            yield from self._call(call)
        if chunk.last:
            yield from self._finish(chunk)

    def _grow(self, kind: str, text: str) -> Iterator[Event]:
        if kind != self._kind:
            yield from self._close()
            self._kind = kind
            yield self._start({"type": kind, kind: ""})
        self._pieces.append(text)
        delta = {"type": _TEXTS[kind], kind: text}
        yield {"event": "content-block-delta", "index": self._blocks - 1, "delta": delta}

    def _close(self) -> Iterator[Event]:
        """End the block that is growing by text, if one is. No call can have begun since it did."""
        if self._kind:
            block = {"type": self._kind, self._kind: "".join(self._pieces)}
            self._kind, self._pieces = "", []
            yield _finished(self._blocks - 1, block)

    def _call(self, call: ToolCall) -> Iterator[Event]:
        growing = self._calls.get(call.index)
        if growing is None:
            yield from self._close()
            growing = self._calls[call.index] = _GrowingCall(call, self._blocks)
            block = {
                "type": "tool_call_chunk",
                "id": call.id,
                "name": call.name,
                "args": "",
                "index": call.index,
            }
            yield self._start(block)
        if call.arguments:
            growing.arguments.append(call.arguments)
            delta = {"type": "tool-call-delta", "args": call.arguments}
            yield {"event": "content-block-delta", "index": growing.place, "delta": delta}

    def _finish(self, last: Chunk) -> Iterator[Event]:
        yield from self._close()
        growing = list(self._calls.values())
        reads = parse_tool_calls([call.whole() for call in growing], last.finish_reason)
        for call, read in zip(growing, reads, strict=True):
            yield _finished(call.place, _call_block(read))
        said = Chunk(reasoning="".join(self._reasonings), refusal="".join(self._refusals))
        if said.refusal:
            block = refusal_block(said.refusal)
            yield self._start({**block, "value": {}})
            yield _finished(self._blocks - 1, block)
        about = response_metadata(last)
        if self._logprobs.logprobs:
            about["logprobs"] = self._logprobs.logprobs
        finish: Event = {"event": "message-finish", "metadata": about}
        if usage := usage_metadata(last.usage):
            finish["usage"] = usage
        if kwargs := additional_kwargs(said):
            finish["additional_kwargs"] = kwargs
        yield finish

    def _start(self, block: Event) -> Event:
        self._blocks += 1
        return {"event": "content-block-start", "index": self._blocks - 1, "content": block}


def _finished(index: int, block: Event) -> Event:
    return {"event": "content-block-finish", "index": index, "content": block}


def _call_block(read: ParsedToolCall) -> Event:
    call = read.call
    if read.arguments is None:
        about = {"id": call.id, "name": call.name, "args": call.arguments, "error": read.error}
        return {"type": "invalid_tool_call", **about}
    return {"type": "tool_call", "id": call.id, "name": call.name, "args": read.arguments}
