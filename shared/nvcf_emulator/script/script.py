"""What a test scripted: the steps that requests meet, in order, each for the requests that it fits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never, get_args

from nvcf_emulator.script.chat_request import ChatRequest
from nvcf_emulator.script.conditions import When, condition_of
from nvcf_emulator.script.keywords import (
    CONTENT_FILTER,
    REPLY_KEYWORDS,
    each_reply,
    reply_of,
    require_failure,
    require_times,
    status_of,
)
from nvcf_emulator.script.shapes import form_of
from nvcf_emulator.script.step_queue import Pending, ScriptedStep, ScriptError, StepQueue
from nvcf_emulator.script.steps import (
    Accept,
    ErrorInStream,
    Failure,
    FailureName,
    Fault,
    FaultKind,
    Place,
    Raw,
    Reply,
    ReplyFunction,
    Step,
    StreamError,
)

__all__ = ["Script"]


class Script:
    """The steps that a test scripted, by the place where they happen.

    A request meets first the steps whose `when` it fits, then those without a `when`, in the
    order in which they were scripted, one each. `accept`, `error_in_stream` and the faults that
    happen within a response change how an answer is delivered: the `reply` that comes next for
    the same request is the answer they change; without one they change the answer that the
    emulator makes up.

    Attributes:
        shape: Shape of every answer that names none of its own, one of `nvcf_emulator.SHAPES`,
            several joined by `+`.
        queue: The steps that wait for requests.
    """

    def __init__(self) -> None:
        self.queue = StepQueue()
        self._shape = "default"

    @property
    def shape(self) -> str:
        """Shape of every answer that names none of its own."""
        return self._shape

    @shape.setter
    def shape(self, value: str) -> None:
        form_of(value)
        self._shape = value

    @property
    def pending(self) -> list[Pending]:
        """What was scripted and is not used up, in order; a new list."""
        return self.queue.pending

    def reply(
        self,
        text: str | Sequence[str] | Sequence[Mapping[str, Any]] | ReplyFunction | None = None,
        reasoning: str | Sequence[str] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] = (),
        finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
        logprobs: Sequence[Mapping[str, Any]] | None = None,
        shape: str | None = None,
        model: str | None = None,
        delay: float = 0.0,
        chunk_delay: float = 0.0,
        times: int | None = 1,
        when: When | None = None,
        message: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        unchecked: bool = False,
        **unknown: Never,
    ) -> None:
        """Script what the model answers. It is not cut by the request's limits.

        Args:
            text: The content; a list of texts is streamed in exactly these pieces. None is an
                empty content, or a null one beside tool calls. A function gets the
                `ChatRequest` and returns the text, or a dict of these keywords. A list of such
                dicts is a sequence of replies, one for each request.
            reasoning: The reasoning, likewise in pieces if it is a list.
            tool_calls: Dicts with `name`, `arguments` (a dict, or a text that is sent as it
                is) and, if wanted, `id`.
            finish_reason: None for `tool_calls` or `stop`, as it is.
            usage: The usage object; None to count.
            logprobs: Entries of `logprobs.content`, one for each token.
            shape: A shape of its own, as in `Script.shape`.
            model: The model that it names; None for the one that was asked.
            delay: Seconds before the first byte.
            chunk_delay: Seconds before each event of a stream.
            times: How many requests get it; None for every request that comes, be it none.
            when: Which requests it is for: a part of the last text of the user; a dict with
                `model` (equal) and `user`, `system`, `tool_result` (contained); or a predicate
                on the `ChatRequest`.
            message: Further keys of the message, such as `refusal`.
            extra: Further keys of the body, or of every chunk.
            unchecked: Whether calls of tools that the request does not offer, or with
                arguments against their schema, are sent all the same.

        Raises:
            TypeError: An unknown keyword, or a value of another type, in the call or in a dict.
            ValueError: An unknown shape or key of `when`, or `times` below 1.
        """
        keywords = {
            "text": text,
            "reasoning": reasoning,
            "tool_calls": tool_calls,
            "finish_reason": finish_reason,
            "usage": usage,
            "logprobs": logprobs,
            "shape": shape,
            "model": model,
            "delay": delay,
            "chunk_delay": chunk_delay,
            "message": message,
            "extra": extra,
            "unchecked": unchecked,
            **unknown,
        }
        given = {name: value for name, value in keywords.items() if value not in (None, (), False)}
        # All of them are made before the first is added: a sequence with a mistake adds nothing.
        for one, step in [(one, reply_of(one)) for one in each_reply(given)]:
            self._add("reply", "ask", step, times, when, one)

    def fail(
        self,
        status: int | FailureName,
        times: int | None = 1,
        retry_after: float | str | None = None,
        body: str | bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        on: Place = "ask",
        when: When | None = None,
    ) -> None:
        """Script a failure.

        Args:
            status: The status code; or one of the names `context_length`, `content_filter` (an
                answer with that finish reason), `rate_limit`, `overloaded`, `gone`, `credits`,
                `unauthorized`, `forbidden`, `not_found`, `degraded`, `server_error`, `timeout`.
            times: How many requests fail; None for every one.
            retry_after: Value of a `Retry-After` header: seconds, or a date.
            body: A dict is sent as JSON, a str as text, bytes without a content type; None for
                what the service says with this status.
            headers: Further headers.
            on: Which kind of requests fails.
            when: Which requests of that kind, as in `reply`.

        Raises:
            ValueError: An unknown name, place or key of `when`, or `times` below 1.
        """
        given = {"status": status, "retry_after": retry_after, "body": body, "headers": headers}
        said = {name: value for name, value in given.items() if value is not None}
        if status == CONTENT_FILTER:
            if len(said) > 1 or on != "ask":
                raise ValueError("content_filter is an answer: it takes times and when alone")
            step: Step = Reply(text="", finish_reason=CONTENT_FILTER)
        else:
            code, name = status_of(status)
            require_failure(said)
            step = Failure(code, name, retry_after, body, headers or {})
        self._add("fail", on, step, times, when, said)

    def fault(
        self,
        kind: FaultKind,
        on: Place = "ask",
        times: int | None = 1,
        after: float | int | None = None,
        when: When | None = None,
    ) -> None:
        """Script a fault of the network, over the real socket.

        Args:
            kind: `reset` (RST), `close` (FIN without a response), `half-close` (part of the
                response and a FIN, while the connection stays open for reading), `truncate`
                (part of the response and the end of the connection), `stall` (nothing, until
                the client leaves), `stall-body` (part of the response, then nothing), `garbage`
                (bytes that are not HTTP), `bad-json`, `bad-utf8` (inside the response),
                `endless-line` (part of the response, then a line that does not end, 256 MB of
                it at most).
            on: Which kind of requests it happens to.
            times: To how many of them; None for every one.
            after: How much of the response is sent first. In a stream, how many events with
                content: by default 2. In another response the share of its bytes: by default
                0.5; an int above 0 leaves out the last byte. `reset`, `close`, `stall` and
                `garbage` happen before the response unless told otherwise; on `put` it is the
                share of the body that is read first, and a `stall` leaves the rest unread for
                half a second.
            when: Which requests of that kind, as in `reply`.

        Raises:
            ValueError: An unknown kind, place or key of `when`, or `times` below 1.
        """
        if kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault {kind!r}: one of {', '.join(get_args(FaultKind))}")
        self._add("fault", on, Fault(kind, after), times, when, {"kind": kind})

    def error_in_stream(
        self,
        shape: StreamError,
        after: int | None = 2,
        message: str = "the engine has stopped",
        times: int | None = 1,
        code: int = 500,
        when: When | None = None,
    ) -> None:
        """Script an error that comes after the 200, in the middle of the events.

        Args:
            shape: `error-object`, `error-string`, `problem`, `event-comment` (an `event: error`
                line and a comment that holds the message, no data), or `error-then-done`.
            after: How many events with content come first; None for not even the event that
                opens the stream.
            message: What it says.
            times: How many streams get it; None for every one.
            code: The status that an `error-object` or a `problem` names.
            when: Which requests, as in `reply`.

        Raises:
            ValueError: An unknown shape or key of `when`, or `times` below 1.
        """
        if shape not in get_args(StreamError):
            raise ValueError(f"unknown error {shape!r}: one of {', '.join(get_args(StreamError))}")
        step = ErrorInStream(shape, after, message, code)
        self._add("error_in_stream", "ask", step, times, when, {"shape": shape})

    def accept(
        self,
        polls: int = 2,
        percent: Sequence[int] = (25, 75),
        body_empty: bool = True,
        times: int | None = 1,
        redirect: bool = False,
        seconds: float | None = None,
        when: When | None = None,
    ) -> None:
        """Script a 202 for the next request for an answer, which then has to be polled.

        Args:
            polls: How many polls it needs; the last of them brings the answer.
            percent: `nvcf-percent-complete` of the first 202s, as far as they go.
            body_empty: Whether a 202 has an empty body, else a small JSON object.
            times: How many requests get a 202; None for every one.
            redirect: Whether the last poll answers 302 with the url of a zip.
            seconds: Time that the answer takes instead of a number of polls. A poll is held
                until then, or as long as its `NVCF-POLL-SECONDS` says.
            when: Which requests, as in `reply`.

        Raises:
            ValueError: An unknown key of `when`, or `times` below 1.
        """
        step = Accept(polls, tuple(percent), body_empty, redirect, seconds)
        self._add("accept", "ask", step, times, when, {"polls": polls})

    def raw(
        self,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        chunks: Sequence[bytes] = (),
        on: Place = "ask",
        times: int | None = 1,
        when: When | None = None,
    ) -> None:
        """Script exact bytes of a response's body.

        Args:
            status: The status code.
            headers: The headers, `NVCF-REQID` and `NVCF-STATUS` apart, which are added.
            chunks: The body; each chunk is flushed by itself.
            on: Which kind of requests gets it.
            times: How many of them; None for every one.
            when: Which requests of that kind, as in `reply`.

        Raises:
            ValueError: An unknown place or key of `when`, or `times` below 1.
        """
        step = Raw(status, headers or {}, tuple(chunks))
        self._add("raw", on, step, times, when, {"status": status})

    def forget_replies(self) -> None:
        """Forget every step that was scripted and is not used up; keep what arrived."""
        self.queue.forget_steps()

    def reset(self) -> None:
        """Forget the steps, what went wrong with them, and the shape."""
        self.queue.forget_steps()
        self.queue.forget_errors()
        self.shape = "default"

    def assert_all_used(self) -> None:
        """Raise `AssertionError`, which lists what was scripted and is not used up, if any is."""
        left = self.pending
        if left:
            listed = "\n".join(f"  {item}" for item in left)
            raise AssertionError(
                f"{len(left)} scripted step(s) not used up:\n{listed}\n"
                "No request came for them, or none that fits their `when`. Correct `when` or `times`, "
                "or leave them out."
            )

    async def made(self, reply: Reply, request: ChatRequest) -> Reply:
        """Return a reply whose function was called, if it has one.

        Raises:
            ScriptError: The function raised, or returned neither a text nor keywords.
        """
        if reply.function is None:
            return reply
        try:
            # In a thread, since a test's function may take its time or ask this very server.
            returned = await asyncio.to_thread(reply.function, request)
            given = {"text": returned} if isinstance(returned, str) else returned
            if not isinstance(given, Mapping):
                raise TypeError(
                    f"{_name(reply.function)} returned {given!r}; a function given to reply "
                    "returns a text, or a dict of reply's own keywords"
                )
            return reply_of({**_keywords(reply), **given})
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A test that fails from within, by `pytest.fail`, raises no Exception.
            self.queue.fail_test(error)
            raise ScriptError(f"{_name(reply.function)} raised {error!r}") from error

    def _add(
        self,
        method: str,
        place: Place,
        step: Step,
        times: int | None,
        when: When | None,
        keywords: Mapping[str, Any],
    ) -> None:
        if place not in get_args(Place):
            raise ValueError(f"unknown place {place!r}: one of {', '.join(get_args(Place))}")
        require_times(times)
        if when is not None and place != "ask":
            raise ValueError(f"when is about requests that ask a model, not about {place!r}")
        condition = None if when is None else condition_of(when)
        self.queue.add(ScriptedStep(place, step, times, condition, method, keywords))


def _keywords(reply: Reply) -> dict[str, Any]:
    return {name: getattr(reply, name) for name in REPLY_KEYWORDS}


def _name(function: Callable[..., Any]) -> str:
    return f"the function {getattr(function, '__qualname__', function)!r}"
