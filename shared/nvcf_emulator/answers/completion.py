"""An answer as a value: what one or more choices say, before it takes a form on the wire."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Choice", "Completion", "ToolCall", "ToolCallIds", "logprob"]


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool; `arguments` are a JSON text, or whatever a test wants instead."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Choice:
    """One choice of an answer.

    Attributes:
        reasoning: Pieces of the reasoning, in the chunks of a stream.
        content: Pieces of the text, likewise; None for a null content.
        calls: Tool calls.
        finish_reason: Why it ended.
        stop_reason: The stop sequence that ended it, if one did.
        logprobs: Log probabilities of the content's tokens; None where not asked for.
        message: Further keys of the message.
    """

    reasoning: tuple[str, ...] = ()
    content: tuple[str, ...] | None = ()
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    stop_reason: str | None = None
    logprobs: tuple[Mapping[str, Any], ...] | None = None
    message: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """A whole answer.

    Attributes:
        id: Id of the completion.
        model: Model that it names.
        created: Time in seconds since the epoch.
        choices: Its choices.
        usage: Tokens used.
        usage_asked: Whether the request asked for usage in the stream.
        extra: Further keys of the body, or of every chunk.
    """

    id: str
    model: str
    created: int
    choices: tuple[Choice, ...]
    usage: Mapping[str, Any]
    usage_asked: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


class ToolCallIds:
    """Makes ids of tool calls.

    Args:
        numbered: Whether they look like `functions.name:0`; else they are random.
        before: How many calls the conversation has already.
    """

    def __init__(self, numbered: bool, before: int) -> None:
        self._numbered = numbered
        self._count = before

    def next(self, name: str) -> str:
        """Return an id for a call of the function `name`."""
        self._count += 1
        if self._numbered:
            return f"functions.{name}:{self._count - 1}"
        return f"chatcmpl-tool-{uuid.uuid4().hex}"


def logprob(token: str, alternatives: int) -> dict[str, Any]:
    """Return the made-up log probability of a token, with as many made-up alternatives."""
    top = [_token(token if rank == 0 else f"{token}~{rank}", rank) for rank in range(alternatives)]
    return {**_token(token, 0), "top_logprobs": top}


def _token(token: str, rank: int) -> dict[str, Any]:
    return {
        "token": token,
        "logprob": round(math.log(0.9) - rank, 4),
        "bytes": list(token.encode()),
    }
