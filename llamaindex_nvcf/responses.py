"""Inbound: what the service answers, as LlamaIndex's responses."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from nvcf_core import Chunk, ToolCall
from nvcf_core.response.accumulator import Accumulator
from nvcf_core.response.prototype import Prototype
from nvcf_core.wire import get_list

PARTIAL = "partial"
"""The key of `additional_kwargs` that says of a response with tool calls that more of them may follow."""


# Messages and responses are copies of these, as are the blocks that grow by text. The framework's constructors would
# validate all of an answer again for each chunk.
_TEXT = Prototype(TextBlock(text=""))
_THINKING = Prototype(ThinkingBlock(content="", num_tokens=None))
_MESSAGE = Prototype(ChatMessage(role=MessageRole.ASSISTANT, blocks=[], additional_kwargs={}))
_RESPONSE = Prototype(
    ChatResponse(message=ChatMessage(), delta="", raw={}, logprobs=None, additional_kwargs={})
)
_WHOLE = Prototype(ChatResponse(message=ChatMessage(), raw={}, logprobs=None, additional_kwargs={}))


class ResponseBuilder:
    """Makes the responses of one answer, each of which holds all that has arrived.

    LlamaIndex's agents keep the last response of a stream as their memory, and change what they keep: it shares
    nothing with the others. Those may share the blocks of calls that did not grow between them, so that an answer
    with many calls costs no more for each.
    """

    __slots__ = ("_answer", "_blocks", "_include_headers", "_plain")

    def __init__(self, include_headers: bool = False) -> None:
        """Begin.

        Args:
            include_headers: whether `additional_kwargs` has the headers of the response in the end.
        """
        self._include_headers = include_headers
        self._answer = Accumulator()
        self._blocks: dict[int, ToolCallBlock] = {}
        self._plain: dict[int, dict[str, Any]] = {}

    def complete(self, chunk: Chunk) -> ChatResponse:
        """The response to a call that was not streamed."""
        self._answer.add(chunk)
        self._update_calls(self._answer.tool_calls)
        return _WHOLE.copy(
            {
                "message": self._message(chunk),
                "raw": chunk.raw,
                "logprobs": _logprobs(chunk.logprobs) or None,
                "additional_kwargs": self._facts(chunk),
            }
        )

    def add(self, chunk: Chunk) -> ChatResponse:
        """The next response of a stream.

        Its `logprobs` are those of the new text, as `delta` is; the last one's are those of the
        whole answer.
        """
        self._answer.add(chunk)
        logprobs = chunk.logprobs
        if chunk.last:
            self._update_calls(self._answer.tool_calls)
            facts, logprobs = self._facts(chunk), self._answer.logprobs
        else:
            if chunk.tool_calls:
                self._update_calls(self._answer.tool_call(call.index) for call in chunk.tool_calls)
            facts = self._progress()
        if chunk.reasoning:
            facts["thinking_delta"] = chunk.reasoning
        return _RESPONSE.copy(
            {
                "message": self._message(chunk),
                "delta": chunk.text,
                "raw": chunk.raw,
                "logprobs": (_logprobs(logprobs) or None) if logprobs else None,
                "additional_kwargs": facts,
            }
        )

    def _progress(self) -> dict[str, Any]:
        return {PARTIAL: True} if self._blocks else {}

    def _update_calls(self, calls: Iterable[ToolCall]) -> None:
        for call in calls:
            self._blocks[call.index] = _block(call)
            self._plain[call.index] = _plain(call)

    def _message(self, chunk: Chunk) -> ChatMessage:
        blocks: list[ContentBlock] = []
        if reasoning := self._answer.reasoning:
            tokens = chunk.usage.reasoning_tokens if chunk.usage else None
            blocks.append(_THINKING.copy({"content": reasoning, "num_tokens": tokens}))
        text = self._answer.text
        if text or not self._blocks:
            blocks.append(_TEXT.copy({"text": text}))
        blocks += self._blocks.values()
        extra: dict[str, Any] = {}
        if self._plain:
            extra["tool_calls"] = list(self._plain.values())
        return _MESSAGE.copy({"blocks": blocks, "additional_kwargs": extra})

    def _facts(self, chunk: Chunk) -> dict[str, Any]:
        """Return the fields that are sent once per answer, without those that the service did not send."""
        facts: dict[str, Any] = {
            "finish_reason": chunk.finish_reason,
            "id": chunk.id,
            "model_name": chunk.model,
            "request_id": chunk.request_id,
            "refusal": self._answer.refusal or None,
            "headers": dict(chunk.headers) if self._include_headers else None,
        }
        if usage := chunk.usage:
            facts |= {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "cached_tokens": usage.cached_tokens,
            }
        return {name: fact for name, fact in facts.items() if fact is not None}


def _block(call: ToolCall) -> ToolCallBlock:
    # The arguments stay text: half of an object while they stream, and sent back letter for letter.
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=call.arguments)


def _plain(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _logprobs(logprobs: dict[str, Any] | None) -> list[list[LogProb]]:
    """For each token: itself, and then the others that were likely. What has another form is left out."""
    tokens = (_alternatives(token) for token in get_list(logprobs, "content"))
    return [alternatives for alternatives in tokens if alternatives]


def _alternatives(token: object) -> list[LogProb]:
    first = _logprob(token)
    if first is None:
        return []
    others = [_logprob(other) for other in get_list(token, "top_logprobs")]
    return [first, *(other for other in others if other and other.token != first.token)]


def _logprob(token: object) -> LogProb | None:
    if not isinstance(token, dict) or not isinstance(token.get("token"), str):
        return None
    number = token.get("logprob")
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None  # LlamaIndex's own default, 0.0, would say that the token was certain.
    if not -math.inf < number < math.inf:
        return None
    return LogProb(
        token=token["token"],
        logprob=number,
        bytes=[byte for byte in get_list(token, "bytes") if type(byte) is int],
    )


def chat_response(chunk: Chunk, include_headers: bool = False) -> ChatResponse:
    """A whole answer."""
    return ResponseBuilder(include_headers).complete(chunk)


def chat_responses(chunks: Generator[Chunk], include_headers: bool = False) -> ChatResponseGen:
    """A stream of answers, each holding all before it. Closing it closes `chunks`."""
    answer = ResponseBuilder(include_headers)
    with closing(chunks):
        for chunk in chunks:
            yield answer.add(chunk)


async def achat_responses(
    chunks: AsyncGenerator[Chunk], include_headers: bool = False
) -> ChatResponseAsyncGen:
    """The same, async."""
    answer = ResponseBuilder(include_headers)
    async with aclosing(chunks):
        async for chunk in chunks:
            yield answer.add(chunk)


def completion(response: ChatResponse) -> CompletionResponse:
    """A chat's response as a completion's: reasoning and tool calls go into `additional_kwargs`."""
    message = response.message
    extra = {**message.additional_kwargs, **response.additional_kwargs}
    first = message.blocks[0]
    if isinstance(first, ThinkingBlock):
        extra["thinking"] = first.content
    return CompletionResponse(
        text=message.content or "",
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
        additional_kwargs=extra,
    )


def completions(responses: ChatResponseGen) -> CompletionResponseGen:
    """A chat's stream as a completion's. Closing it closes `responses`."""
    with closing(responses):
        for response in responses:
            yield completion(response)


async def acompletions(responses: ChatResponseAsyncGen) -> CompletionResponseAsyncGen:
    """The same, async."""
    async with aclosing(responses):
        async for response in responses:
            yield completion(response)
