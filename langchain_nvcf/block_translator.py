"""The standard content blocks of our messages, registered with langchain-core under `model_provider="nvcf"`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types
from langchain_core.messages.block_translators import register_translator

PROVIDER = "nvcf"

# Where each kind of block stands in a message. Blocks of one index merge when chunks are added, so the kinds differ.
_PLACES = {"reasoning": 0, "text": 1, "refusal": 2, "non_standard": 2}
_FIRST_CALL = 3
_HAS_REFUSAL_BLOCK = hasattr(types, "RefusalContentBlock")

Block = dict[str, Any]


def translate(message: AIMessage) -> list[types.ContentBlock]:
    """The blocks of a whole message."""
    return cast("list[types.ContentBlock]", [*_content_blocks(message), *_calls(message)])


def translate_chunk(chunk: AIMessageChunk) -> list[types.ContentBlock]:
    """Return the blocks of a message chunk, each with the index under which chunks are merged.

    A sum that includes the last chunk has its tool calls parsed; before that they are fragments of JSON text.
    """
    blocks = [{**block, "index": _PLACES[block["type"]]} for block in _content_blocks(chunk)]
    if chunk.chunk_position == "last":
        blocks += _calls(chunk)
    else:
        blocks += (_call_chunk(dict(call)) for call in chunk.tool_call_chunks)
    return cast("list[types.ContentBlock]", blocks)


def refusal_block(refusal: str) -> Block:
    """Return a refusal block: the standard one where langchain-core has it, from 1.7.5 on."""
    block = {"type": "refusal", "refusal": refusal}
    return block if _HAS_REFUSAL_BLOCK else {"type": "non_standard", "value": block}


def _content_blocks(message: AIMessage) -> Iterator[Block]:
    if not isinstance(message.content, str):
        # We never give a list: whoever made one of it wrote blocks that langchain-core reads itself.
        raise NotImplementedError
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        yield {"type": "reasoning", "reasoning": reasoning}
    if message.content:
        yield {"type": "text", "text": message.content}
    if refusal := message.additional_kwargs.get("refusal"):
        yield refusal_block(refusal)


def _calls(message: AIMessage) -> Iterator[Block]:
    """The valid calls. Those that are not have a place of their own, to which langchain-core looks itself."""
    for call in message.tool_calls:
        yield {"type": "tool_call", "id": call["id"], "name": call["name"], "args": call["args"]}


def _call_chunk(call: Block) -> Block:
    index = call["index"]
    return {
        **call,
        "type": "tool_call_chunk",
        "index": index if index is None else _FIRST_CALL + index,
    }


register_translator(PROVIDER, translate, translate_chunk)
