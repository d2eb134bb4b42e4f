"""What a test may script, as values: a reply, a failure, a fault of the network, a 202, exact bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nvcf_emulator.script.chat_request import ChatRequest

__all__ = [
    "BEFORE_RESPONSE",
    "FAILURES",
    "Accept",
    "ErrorInStream",
    "Failure",
    "FailureName",
    "Fault",
    "FaultKind",
    "Place",
    "Raw",
    "Reply",
    "ReplyFunction",
    "Step",
    "StreamError",
]

Place = Literal[
    "ask",
    "create",
    "put",
    "poll",
    "delete",
    "get",
    "models",
    "embeddings",
    "ranking",
    "any",
]
"""What a request asks for: `any` is what there is no route for, or, of a step, every request."""

FaultKind = Literal[
    "reset",
    "close",
    "half-close",
    "truncate",
    "stall",
    "stall-body",
    "garbage",
    "bad-json",
    "bad-utf8",
    "endless-line",
]
StreamError = Literal["error-object", "error-string", "problem", "event-comment", "error-then-done"]
FailureName = Literal[
    "context_length",
    "content_filter",
    "rate_limit",
    "overloaded",
    "gone",
    "credits",
    "unauthorized",
    "forbidden",
    "not_found",
    "degraded",
    "server_error",
    "timeout",
]

FAILURES: Mapping[str, int] = {
    "context_length": 400,
    "rate_limit": 429,
    "overloaded": 503,
    "gone": 410,
    "credits": 402,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "degraded": 400,
    "server_error": 500,
    "timeout": 504,
}
"""The status of each failure that has a name; `content_filter` is an answer, with status 200."""

BEFORE_RESPONSE = frozenset({"reset", "close", "stall", "garbage"})
"""Faults that happen before the first byte of the response, unless told after what."""

ReplyFunction = Callable[[ChatRequest], "str | Mapping[str, Any]"]
"""Makes a reply when it is asked for: the text, or a dict of `reply`'s own keywords."""


@dataclass(frozen=True)
class Reply:
    """What the model answers; see `Script.reply`."""

    text: str | Sequence[str] | None = None
    reasoning: str | Sequence[str] | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    logprobs: Sequence[Mapping[str, Any]] | None = None
    message: Mapping[str, Any] | None = None
    shape: str | None = None
    model: str | None = None
    delay: float = 0.0
    chunk_delay: float = 0.0
    extra: Mapping[str, Any] | None = None
    unchecked: bool = False
    function: ReplyFunction | None = None


@dataclass(frozen=True)
class Failure:
    """A status to fail with; see `Script.fail`."""

    status: int
    name: str = ""
    retry_after: float | str | None = None
    body: str | bytes | Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A fault of the network; see `Script.fault`."""

    kind: FaultKind
    after: float | int | None = None

    @property
    def before_response(self) -> bool:
        """Whether not a byte of the response is sent before it."""
        return self.after is None and self.kind in BEFORE_RESPONSE


@dataclass(frozen=True)
class ErrorInStream:
    """An error after the 200; see `Script.error_in_stream`."""

    shape: StreamError
    after: int | None = 2
    message: str = "the engine has stopped"
    code: int = 500


@dataclass(frozen=True)
class Accept:
    """A 202 before the answer; see `Script.accept`."""

    polls: int = 2
    percent: Sequence[int] = (25, 75)
    body_empty: bool = True
    redirect: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Raw:
    """Exact bytes; see `Script.raw`."""

    status: int
    headers: Mapping[str, str]
    chunks: Sequence[bytes]


Step = Reply | Failure | Fault | ErrorInStream | Accept | Raw
