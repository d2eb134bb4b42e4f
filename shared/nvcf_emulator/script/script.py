"""What a test told the stand-in to do next, kept in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from nvcf_emulator.script.shapes import form_of

Place = Literal["ask", "create", "put", "poll", "delete", "get", "models", "any"]
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

BEFORE_REPLY = frozenset({"reset", "close", "stall", "garbage"})
"""Faults that happen before the first byte of the reply, unless told after what."""


@dataclass(frozen=True)
class Reply:
    """What the model answers next; see `Script.reply`."""

    text: str | Sequence[str] | None = None
    reasoning: str | Sequence[str] | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    logprobs: Sequence[Mapping[str, Any]] | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    shape: str | None = None
    model: str | None = None
    delay: float = 0.0
    chunk_delay: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A status to fail with; see `Script.fail`."""

    status: int
    retry_after: float | str | None = None
    body: str | bytes | Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A fault of the network; see `Script.fault`."""

    kind: FaultKind
    after: float | int | None = None

    @property
    def before_reply(self) -> bool:
        """Whether not a byte of the reply is sent before it."""
        return self.after is None and self.kind in BEFORE_REPLY


@dataclass(frozen=True)
class ErrorInStream:
    """An error after the 200; see `Script.error_in_stream`."""

    shape: StreamError
    after: int = 2
    message: str = "the engine has stopped"


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


Wanted = Callable[[Step], bool]


def anything(_: Step) -> bool:
    """Want any step."""
    return True


@dataclass(eq=False)
class _Queued:
    place: str
    step: Step
    times: int


class Script:
    """The steps that a test queued, by the place where they happen.

    For each place they happen in the order in which they were queued, one a request. `accept`,
    `error_in_stream` and the faults that happen within a reply change how an answer is
    delivered: a `reply` queued right behind them for the same place is the answer they change;
    without one they change the answer that the stand-in makes up.

    Attributes:
        shape: Shape of streams and answers for which none was queued, one of
            `nvcf_emulator.SHAPES`, several joined by `+`.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._queue: list[_Queued] = []
        self._shape = "default"

    @property
    def shape(self) -> str:
        """Shape of every answer that names none of its own."""
        return self._shape

    @shape.setter
    def shape(self, value: str) -> None:
        form_of(value)
        self._shape = value

    def reply(
        self,
        text: str | Sequence[str] | None = None,
        reasoning: str | Sequence[str] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] = (),
        finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
        logprobs: Sequence[Mapping[str, Any]] | None = None,
        shape: str | None = None,
        model: str | None = None,
        delay: float = 0.0,
        chunk_delay: float = 0.0,
        times: int = 1,
        message: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> None:
        """Queue what the model answers next. It is not cut by the request's limits.

        Args:
            text: The content; a list of pieces is streamed in exactly these pieces. None is an
                empty content, or a null one beside tool calls.
            reasoning: The reasoning, likewise.
            tool_calls: Dicts with `name`, `arguments` (a dict, or a text that is sent as it
                is) and, if wanted, `id`.
            finish_reason: None for `tool_calls` or `stop`, as it is.
            usage: The usage object; None to count.
            logprobs: Entries of `logprobs.content`, one a token.
            shape: A shape of its own, as in `Script.shape`.
            model: The model it names; None for the one that was asked.
            delay: Seconds before the first byte.
            chunk_delay: Seconds before each event of a stream.
            times: How many requests get it.
            message: Further keys of the message, such as `refusal`.
            extra: Further keys of the body, or of every chunk.

        Raises:
            ValueError: Of an unknown shape.
        """
        if shape is not None:
            form_of(shape)
        step = Reply(
            text=text,
            reasoning=reasoning,
            tool_calls=tuple(tool_calls),
            finish_reason=finish_reason,
            usage=usage,
            logprobs=logprobs,
            message=message or {},
            shape=shape,
            model=model,
            delay=delay,
            chunk_delay=chunk_delay,
            extra=extra,
        )
        self._add("ask", step, times)

    def fail(
        self,
        status: int,
        times: int = 1,
        retry_after: float | str | None = None,
        body: str | bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        on: Place = "ask",
    ) -> None:
        """Queue a failure.

        Args:
            status: The status code.
            times: How many requests fail.
            retry_after: Value of a `Retry-After` header: seconds, or a date.
            body: A dict is sent as JSON, a str as text, bytes without a content type; None for
                what the service says with this status.
            headers: Further headers.
            on: Which requests fail.
        """
        self._add(on, Failure(status, retry_after, body, headers or {}), times)

    def fault(
        self,
        kind: FaultKind,
        on: Place = "ask",
        times: int = 1,
        after: float | int | None = None,
    ) -> None:
        """Queue a fault of the network, over the real socket.

        Args:
            kind: `reset` (RST), `close` (FIN without a reply), `half-close` (part of the reply
                and a FIN, while the connection stays open for reading), `truncate` (part of
                the reply and the end of the connection), `stall` (nothing, until the client
                leaves), `stall-body` (part of the reply, then nothing), `garbage` (bytes that
                are not HTTP), `bad-json`, `bad-utf8` (inside the reply), `endless-line` (part
                of the reply, then a line that does not end, 256 MB of it at most).
            on: Which requests it happens to.
            times: To how many of them.
            after: How much of the reply is sent first. In a stream, how many events with
                content: by default 2. In another reply the share of its bytes: by default
                0.5; an int above 0 leaves out the last byte. `reset`, `close`, `stall` and
                `garbage` happen before the reply unless told otherwise; on `put` it is the share
                of the body that is read first, and a `stall` leaves the rest unread for half
                a second.

        Raises:
            ValueError: Of an unknown kind.
        """
        if kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault {kind!r}: one of {', '.join(get_args(FaultKind))}")
        self._add(on, Fault(kind, after), times)

    def error_in_stream(
        self,
        shape: StreamError,
        after: int = 2,
        message: str = "the engine has stopped",
        times: int = 1,
    ) -> None:
        """Queue an error that comes after the 200, in the middle of the events.

        Args:
            shape: `error-object`, `error-string`, `problem`, `event-comment` (an `event: error`
                line and a comment that holds the message, no data), or `error-then-done`.
            after: How many events with content come first.
            message: What it says.
            times: How many streams get it.

        Raises:
            ValueError: Of an unknown shape.
        """
        if shape not in get_args(StreamError):
            raise ValueError(f"unknown error {shape!r}: one of {', '.join(get_args(StreamError))}")
        self._add("ask", ErrorInStream(shape, after, message), times)

    def accept(
        self,
        polls: int = 2,
        percent: Sequence[int] = (25, 75),
        body_empty: bool = True,
        times: int = 1,
        redirect: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Queue a 202 for the next ask, whose answer has to be polled.

        Args:
            polls: How many polls it needs; the last of them brings the answer.
            percent: `nvcf-percent-complete` of the first 202s, as far as they go.
            body_empty: Whether a 202 has an empty body, else a small JSON object.
            times: How many asks get a 202.
            redirect: Whether the last poll answers 302 with the url of a zip.
            seconds: Time that the answer takes instead of a number of polls. A poll is held
                until then, or as long as its `NVCF-POLL-SECONDS` says.
        """
        self._add("ask", Accept(polls, tuple(percent), body_empty, redirect, seconds), times)

    def raw(
        self,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        chunks: Sequence[bytes] = (),
        on: Place = "ask",
        times: int = 1,
    ) -> None:
        """Queue exact bytes of a reply's body.

        Args:
            status: The status code.
            headers: The headers, `NVCF-REQID` and `NVCF-STATUS` apart, which are added.
            chunks: The body; each chunk is flushed by itself.
            on: Which requests get it.
            times: How many of them.
        """
        self._add(on, Raw(status, headers or {}, tuple(chunks)), times)

    def take(self, place: Place, wanted: Wanted = anything) -> Step | None:
        """Return and use up the next step for `place`, if there is one and it is wanted."""
        return self.take_in_turn(place, wanted)[0]

    def take_in_turn(self, place: Place, *wanted: Wanted) -> list[Step | None]:
        """Return and use up the next steps for `place` that go together.

        Args:
            place: Where they happen.
            wanted: What each of them has to be; one that is not there is left out.

        Returns:
            For each of `wanted` the step, or None.
        """
        taken: list[Step | None] = []
        with self.changed:
            queued = iter([item for item in self._queue if item.place in (place, "any")])
            item = next(queued, None)
            for is_wanted in wanted:
                if item is None or not is_wanted(item.step):
                    taken.append(None)
                    continue
                taken.append(item.step)
                item.times -= 1
                if item.times == 0:
                    self._queue.remove(item)
                item = next(queued, None)
            self.changed.notify_all()
        return taken

    def answers_next(self) -> bool:
        """Tell whether an answer to an ask is queued."""
        with self.changed:
            queued = [item for item in self._queue if item.place in ("ask", "any")]
            return any(isinstance(item.step, Reply | Raw) for item in queued)

    def _add(self, place: Place, step: Step, times: int) -> None:
        if place not in get_args(Place):
            raise ValueError(f"unknown place {place!r}: one of {', '.join(get_args(Place))}")
        if times < 1:
            raise ValueError(f"times must be at least 1, got {times}")
        with self.changed:
            self._queue.append(_Queued(place, step, times))

    def _forget_steps(self) -> None:
        with self.changed:
            self._queue.clear()
