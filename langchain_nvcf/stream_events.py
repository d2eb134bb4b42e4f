"""Inbound: the core's chunks as langchain-core's stream events, without a message chunk in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from nvcf_core.messages import Chunk, ToolCall
from nvcf_core.response.accumulator import Accumulator
from nvcf_core.response.tool_arguments import ParsedToolCall, parse_tool_calls

from .block_translator import PROVIDER, refusal_block
from .outputs import additional_kwargs, response_metadata, usage_metadata

Event: TypeAlias = dict[str, Any]
"""One event of langchain-core's content block protocol."""

_TEXTS = {"reasoning": "reasoning-delta", "text": "text-delta"}
"""The blocks that grow by text, and what their growth is called."""


class EventConverter:
    """Turns the chunks of one stream into `message-start`, block events and `message-finish`.

    Reasoning and text follow one another: a block ends when the other kind begins. Calls may be interleaved, and end
    with the message.
    """

    def __init__(self, model: str, message_id: str, include_headers: bool = False) -> None:
        """Begin.

        Args:
            model: the requested model.
            message_id: what the message will be called.
            include_headers: whether the metadata have the headers of the response in the end.
        """
        self._include_headers = include_headers
        self._model = model
        self._message_id = message_id
        self._started = False
        self._blocks = 0
        self._kind = ""
        """The kind of the block that is growing by text, empty while none is."""
        self._pieces: list[str] = []
        self._answer = Accumulator()
        """What the end of the message tells once more: reasoning, calls, a refusal. Its text need not be whole."""
        self._call_blocks: dict[int, int] = {}
        """For each call, by its index, the index of its block."""

    def convert(self, chunk: Chunk) -> Iterable[Event]:
        """The events that a chunk brings about."""
        beside = chunk.reasoning or chunk.tool_calls or chunk.refusal or chunk.logprobs
        if self._kind == "text" and chunk.text and not (beside or chunk.last):
            # One more piece of the text, as nearly all chunks are: to the same result as below.
            return (self._delta("text", chunk.text),)
        return self._events(chunk)

    def _events(self, chunk: Chunk) -> Iterator[Event]:
        if not self._started:
            self._started = True
            about = {"provider": PROVIDER, "model": self._model}
            yield {
                "event": "message-start",
                "role": "ai",
                "id": self._message_id,
                "metadata": about,
            }
        self._answer.add(chunk)
        if chunk.reasoning:
            yield from self._grow("reasoning", chunk.reasoning)
        if chunk.text:
            yield from self._grow("text", chunk.text)
        for call in chunk.tool_calls:
            yield from self._call(call)
        if chunk.last:
            yield from self._finish(chunk)

    def _grow(self, kind: str, text: str) -> Iterator[Event]:
        if kind != self._kind:
            yield from self._close()
            self._kind = kind
            yield self._start({"type": kind, kind: ""})
        yield self._delta(kind, text)

    def _delta(self, kind: str, text: str) -> Event:
        self._pieces.append(text)
        delta = {"type": _TEXTS[kind], kind: text}
        return {"event": "content-block-delta", "index": self._blocks - 1, "delta": delta}

    def _close(self) -> Iterator[Event]:
        """End the block that is growing by text, if one is. No call can have begun since it did."""
        if self._kind:
            block = {"type": self._kind, self._kind: "".join(self._pieces)}
            self._kind, self._pieces = "", []
            yield _finished(self._blocks - 1, block)

    def _call(self, call: ToolCall) -> Iterator[Event]:
        if call.index not in self._call_blocks:
            yield from self._close()
            self._call_blocks[call.index] = self._blocks
            block = {
                "type": "tool_call_chunk",
                "id": call.id,
                "name": call.name,
                "args": "",
                "index": call.index,
            }
            yield self._start(block)
        if call.arguments:
            delta = {"type": "tool-call-delta", "args": call.arguments}
            index = self._call_blocks[call.index]
            yield {"event": "content-block-delta", "index": index, "delta": delta}

    def _finish(self, last: Chunk) -> Iterator[Event]:
        yield from self._close()
        said = self._answer.snapshot()
        for parsed in parse_tool_calls(said.tool_calls, last.finish_reason):
            yield _finished(self._call_blocks[parsed.call.index], _call_block(parsed))
        if said.refusal:
            block = refusal_block(said.refusal)
            yield self._start(block)
            yield _finished(self._blocks - 1, block)
        finish: Event = {
            "event": "message-finish",
            "metadata": response_metadata(
                replace(last, logprobs=said.logprobs), self._include_headers
            ),
        }
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


def _call_block(parsed: ParsedToolCall) -> Event:
    call = parsed.call
    if parsed.arguments is None:
        about = {"id": call.id, "name": call.name, "args": call.arguments, "error": parsed.error}
        return {"type": "invalid_tool_call", **about}
    return {"type": "tool_call", "id": call.id, "name": call.name, "args": parsed.arguments}
