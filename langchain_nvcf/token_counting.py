"""Estimated token counts: no tokenizer is downloaded, and a media item is not counted as its base64 text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from nvcf_core.messages import Media, MediaKind, Message

from .messages import to_core_messages

_BYTES_PER_TOKEN = 4
"""Of UTF-8: about what the models' tokenizers need for English, and on the safe side for other scripts."""
_PER_MESSAGE = 4
"""Tokens that the chat template puts around a message."""
_PER_MEDIA_ITEM: Mapping[MediaKind, int] = {"image": 1_000, "audio": 1_500, "video": 6_000}

Count = Callable[[str], int]


def count_text(text: str) -> int:
    """About how many tokens a text has."""
    return math.ceil(len(text.encode(errors="replace")) / _BYTES_PER_TOKEN)


def count_messages(
    messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]], count: Count
) -> int:
    """About how many tokens a conversation has, with the tools that go with it.

    Args:
        messages: the conversation.
        tools: in OpenAI's form.
        count: counts the tokens of a text.

    Raises:
        InvalidRequestError: a message cannot be sent.
    """
    described = sum(count(json.dumps(tool, ensure_ascii=False)) for tool in tools)
    return described + sum(_message(message, count) for message in to_core_messages(messages))


def _message(message: Message, count: Count) -> int:
    texts = [part for part in message.parts if isinstance(part, str)]
    texts += [text for call in message.tool_calls for text in (call.name, call.arguments)]
    texts += [text for text in (message.name, message.reasoning) if text]
    media = sum(_PER_MEDIA_ITEM[part.kind] for part in message.parts if isinstance(part, Media))
    return _PER_MESSAGE + media + sum(count(text) for text in texts)
