"""Inbound: the core's chunks as LangChain messages and message chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall
from langchain_core.messages import ToolCall as LCToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import (
    ToolCallChunk,
    invalid_tool_call,
    tool_call,
    tool_call_chunk,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.json import parse_partial_json

from nvcf_core.messages import Chunk, ToolCall, Usage
from nvcf_core.response.accumulator import Accumulator
from nvcf_core.response.prototype import Prototype
from nvcf_core.response.tool_arguments import parse_tool_calls

from .block_translator import PROVIDER

_SAID_BY_US = {"model_provider": PROVIDER}
"""The metadata of every message chunk: it selects the translator of its content blocks."""

_SPOILERS = ("]", '"]', '""]', "}", '"}', '""}')
"""Inside a string, after a backslash in a string, outside; for what an object and what a list leaves open."""


def to_chat_result(answer: Chunk, include_headers: bool = False) -> ChatResult:
    """A whole answer; each further choice (`n` > 1) is a generation of its own.

    Args:
        answer: the answer.
        include_headers: whether the metadata of the messages have the headers of the response.
    """
    choices = (answer, *answer.other_choices)
    return _RESULT.copy(
        {
            "generations": [_generation(choice, include_headers) for choice in choices],
            "llm_output": {
                "token_usage": token_usage(answer.usage),
                "model_name": answer.model,
            },
        }
    )


def token_usage(usage: Usage | None) -> dict[str, int]:
    """The token counts of one call, as `llm_output` has them; empty where the service gave none."""
    if usage is None:
        return {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def with_llm_output(result: ChatResult) -> ChatResult:
    """A result that langchain-core made of a stream, with the `llm_output` of a whole answer.

    One that it read from its cache stays without: it cost no tokens.
    """
    message = result.generations[0].message if result.generations else None
    if result.llm_output is not None or not isinstance(message, AIMessage):
        return result
    usage: Mapping[str, Any] = message.usage_metadata or {}
    if "total_cost" not in usage:  # That is what a cached one has.
        named = (
            ("prompt_tokens", "input_tokens"),
            ("completion_tokens", "output_tokens"),
            ("total_tokens", "total_tokens"),
        )
        result.llm_output = {
            "token_usage": {name: usage[theirs] for name, theirs in named if theirs in usage},
            "model_name": message.response_metadata.get("model_name"),
        }
    return result


def combined_llm_output(outputs: Iterable[dict[str, Any] | None], requested: str) -> dict[str, Any]:
    """Combine the `llm_output` of several calls: the sum of their tokens, and the models that answered.

    Args:
        outputs: that of each call; None where langchain-core read a stream or its cache.
        requested: the requested model, used if no output names the one that answered.
    """
    used: dict[str, int] = {}
    models: dict[str, None] = {}
    for output in outputs:
        for name, count in (output or {}).get("token_usage", {}).items():
            used[name] = used.get(name, 0) + count
        if model := (output or {}).get("model_name"):
            models[model] = None
    return {"token_usage": used, "model_name": ", ".join(models) or requested}


def _generation(answer: Chunk, include_headers: bool) -> ChatGeneration:
    if answer.tool_calls:
        message = _calling_message(answer, include_headers)
        return ChatGeneration(message=message, generation_info=_generation_info(answer))
    message = _ANSWER.copy(
        {
            "content": answer.text,
            "additional_kwargs": additional_kwargs(answer),
            "response_metadata": response_metadata(answer, include_headers),
            "usage_metadata": usage_metadata(answer.usage),
        }
    )
    return _ANSWER_GENERATION.copy(
        {
            "text": _Text(answer.text),
            "message": message,
            "generation_info": _generation_info(answer),
        }
    )


def _calling_message(answer: Chunk, include_headers: bool) -> AIMessage:
    calls: list[LCToolCall] = []
    invalid: list[InvalidToolCall] = []
    for read in parse_tool_calls(answer.tool_calls, answer.finish_reason):
        call = read.call
        if read.arguments is None:
            invalid.append(
                invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=read.error)
            )
        else:
            calls.append(tool_call(name=call.name, args=read.arguments, id=call.id))
    return AIMessage(
        content=answer.text,
        additional_kwargs=additional_kwargs(answer),
        response_metadata=response_metadata(answer, include_headers),
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage_metadata(answer.usage),
    )


def _generation_info(answer: Chunk) -> dict[str, Any] | None:
    return {"finish_reason": answer.finish_reason} if answer.finish_reason else None


def additional_kwargs(chunk: Chunk) -> dict[str, Any]:
    """Return `additional_kwargs` of a message: its reasoning, and its refusal."""
    kwargs: dict[str, Any] = {}
    if chunk.reasoning:
        kwargs["reasoning_content"] = chunk.reasoning
    if chunk.refusal:
        kwargs["refusal"] = chunk.refusal
    return kwargs


def response_metadata(answer: Chunk, include_headers: bool = False) -> dict[str, Any]:
    """Return `response_metadata` of a complete answer, or of its last chunk."""
    facts = {
        "finish_reason": answer.finish_reason,
        "id": answer.id,
        "model_name": answer.model,
        "request_id": answer.request_id,
        "logprobs": answer.logprobs,
        "model_provider": PROVIDER,
        "headers": dict(answer.headers) if include_headers else None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    """`usage_metadata`, with the details that the service gave."""
    if usage is None:
        return None
    counts = UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )
    given, made = InputTokenDetails(), OutputTokenDetails()
    if usage.cached_tokens is not None:
        given["cache_read"] = usage.cached_tokens
    if usage.prompt_audio_tokens is not None:
        given["audio"] = usage.prompt_audio_tokens
    if usage.reasoning_tokens is not None:
        made["reasoning"] = usage.reasoning_tokens
    if usage.completion_audio_tokens is not None:
        made["audio"] = usage.completion_audio_tokens
    if given:
        counts["input_token_details"] = given
    if made:
        counts["output_token_details"] = made
    return counts


class ChunkConverter:
    """Turns the chunks of one stream into message chunks, which add up to the whole answer's message."""

    __slots__ = ("_calls", "_include_headers")

    def __init__(self, include_headers: bool = False) -> None:
        """Begin.

        Args:
            include_headers: whether the metadata of the last chunk include the response headers.
        """
        self._calls = Accumulator()
        self._include_headers = include_headers

    def convert(self, chunk: Chunk) -> tuple[ChatGenerationChunk, ...]:
        """The message chunks that a chunk of the core becomes: one, and at the end up to three."""
        if chunk.tool_calls:
            self._calls.add(chunk)
        if not chunk.last:
            return (_generation_chunk(chunk),)
        spoilers = self._invalidating_fragments(chunk.finish_reason)
        if not spoilers:
            return (self._last(chunk),)
        # The arguments that arrive with the last chunk stand before the ends that invalidate them.
        before = [_fragments_alone(part) for part in (_fragments(chunk), spoilers) if part]
        return *before, self._last(replace(chunk, tool_calls=()))

    def _last(self, chunk: Chunk) -> ChatGenerationChunk:
        return ChatGenerationChunk(
            message=_last_message_chunk(chunk, self._include_headers),
            generation_info=_generation_info(chunk),
        )

    def _invalidating_fragments(self, finish_reason: str | None) -> list[ToolCallChunk]:
        """Last fragments for the calls that must not be made.

        langchain-core completes JSON that breaks off, when it adds chunks: a call that was cut would be made with
        half of its arguments. With these ends it cannot.
        """
        return [
            tool_call_chunk(args=_invalidating_suffix(read.call.arguments), index=read.call.index)
            for read in parse_tool_calls(self._calls.tool_calls, finish_reason)
            if read.arguments is None and _would_be_completed(read.call.arguments)
        ]


def _fragments_alone(fragments: list[ToolCallChunk]) -> ChatGenerationChunk:
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content="", tool_call_chunks=fragments, response_metadata=_SAID_BY_US
        )
    )


# Message chunks are copies of these. Nearly all of them are only text, only reasoning, or only a fragment of a tool
# call that has begun; any other is made by the constructor.
_TEXT = Prototype(AIMessageChunk(content=" ", response_metadata=_SAID_BY_US))
_REASONING = Prototype(
    AIMessageChunk(
        content="", additional_kwargs={"reasoning_content": " "}, response_metadata=_SAID_BY_US
    )
)
_FRAGMENT = Prototype(
    AIMessageChunk(
        content="",
        additional_kwargs={},
        response_metadata=_SAID_BY_US,
        tool_call_chunks=[tool_call_chunk(args="a", index=0)],
    )
)
_SAMPLE = ChatGenerationChunk(message=AIMessageChunk(content=" "))
_GENERATION = Prototype(_SAMPLE)
_Text = type(_SAMPLE.text)
"""What langchain-core makes of a text: a str that, for the sake of old callers, can be called."""

# A whole answer without calls, and what it is handed over in, are copies as well.
_ANSWER = Prototype(
    AIMessage(
        content=" ",
        additional_kwargs={},
        response_metadata={},
        tool_calls=[],
        invalid_tool_calls=[],
        usage_metadata=None,
    )
)
_ANSWER_GENERATION = Prototype(
    ChatGeneration(message=AIMessage(content=" "), generation_info={"finish_reason": "stop"})
)
_RESULT = Prototype(ChatResult(generations=[], llm_output={}))


def _generation_chunk(chunk: Chunk) -> ChatGenerationChunk:
    """Return the generation chunk of a chunk that is not the last."""
    if (message := _simple_message_chunk(chunk)) is not None:
        return _GENERATION.copy({"text": _Text(chunk.text), "message": message})
    return ChatGenerationChunk(message=_message_chunk(chunk))


def _simple_message_chunk(chunk: Chunk) -> AIMessageChunk | None:
    """Return the message chunk if it is only text, only reasoning, or only fragments of tool calls that have begun."""
    if chunk.refusal or chunk.logprobs:
        return None
    if chunk.tool_calls:
        if chunk.text or chunk.reasoning or any(map(_may_be_object, chunk.tool_calls)):
            return None
        return _FRAGMENT.copy(
            {
                "tool_call_chunks": _fragments(chunk),
                # What langchain-core comes to, but only after it has tried to parse every beginning of the fragment.
                "invalid_tool_calls": [
                    invalid_tool_call(
                        name=call.name or None, args=call.arguments, id=call.id or None
                    )
                    for call in chunk.tool_calls
                ],
            }
        )
    if not chunk.reasoning:
        return _TEXT.copy({"content": chunk.text})
    if chunk.text:
        return None
    return _REASONING.copy({"additional_kwargs": {"reasoning_content": chunk.reasoning}})


def _message_chunk(chunk: Chunk) -> AIMessageChunk:
    metadata = {**_SAID_BY_US, "logprobs": chunk.logprobs} if chunk.logprobs else _SAID_BY_US
    return AIMessageChunk(
        content=chunk.text,
        additional_kwargs=additional_kwargs(chunk),
        response_metadata=metadata,
        tool_call_chunks=_fragments(chunk),
    )


def _may_be_object(fragment: ToolCall) -> bool:
    """Return whether langchain-core may make a call of a fragment alone: it is empty, or begins as an object."""
    return fragment.arguments.lstrip()[:1] in ("", "{")


def _last_message_chunk(chunk: Chunk, include_headers: bool) -> AIMessageChunk:
    return AIMessageChunk(
        content=chunk.text,
        additional_kwargs=additional_kwargs(chunk),
        response_metadata=response_metadata(chunk, include_headers),
        tool_call_chunks=_fragments(chunk),
        usage_metadata=usage_metadata(chunk.usage),
        chunk_position="last",
    )


def _fragments(chunk: Chunk) -> list[ToolCallChunk]:
    return [
        tool_call_chunk(
            name=call.name or None, args=call.arguments, id=call.id or None, index=call.index
        )
        for call in chunk.tool_calls
    ]


def _would_be_completed(arguments: str) -> bool:
    """Return whether langchain-core would make an object of this text."""
    if not arguments:
        return True
    try:
        return isinstance(parse_partial_json(arguments), dict)
    except (ValueError, RecursionError):
        return False


def _invalidating_suffix(arguments: str) -> str:
    """An end that leaves the text without a meaning: a bracket that closes what is not open, outside any string."""
    return next(end for end in _SPOILERS if not _would_be_completed(arguments + end))
