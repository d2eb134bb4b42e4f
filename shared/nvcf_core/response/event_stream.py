"""An answer that arrives as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nvcf_core.errors import StreamInterruptedError
from nvcf_core.exchange import Response
from nvcf_core.messages import Chunk
from nvcf_core.wire import get_text, parse_json

from .choice import ChoiceAccumulator, choices_of, parse_usage
from .error_body import describe_error_body, named_status, status_error
from .finish_reason import GAVE_UP, cut_reason
from .options import DecodeOptions
from .sse import EventTooLong, SSEDecoder

__all__ = ["EventStreamDecoder"]


class EventStreamDecoder:
    """Decodes a stream of events."""

    def __init__(self, response: Response, options: DecodeOptions) -> None:
        self._events = SSEDecoder()
        self._response = response
        self._request_id = response.headers.get("nvcf-reqid")
        self._choice = ChoiceAccumulator(options, None)
        self._usage: Mapping[str, Any] | None = None
        self._id: str | None = None
        self._requested_model = options.model
        self._model: str | None = None
        self._is_identified = False
        """Whether id and model are known, so that the events to come need not be searched for them."""
        self._done = False
        self._last: Chunk | None = None
        self._finishing: dict[str, Any] = {}
        """The event that says why the answer ended, with whatever else it says."""
        self._beside: dict[str, Any] = {}
        """What events without a choice say, such as the one with the token counts."""
        self._failure: StreamInterruptedError | None = None

    @property
    def has_failure(self) -> bool:
        """Whether `flush` will raise; the chunks before the failure have been returned."""
        return self._failure is not None

    at_end = False

    @property
    def can_end(self) -> bool:
        """Whether the answer is whole, should nothing more arrive."""
        return self._done or self._choice.finish_reason is not None

    @property
    def done(self) -> bool:
        """Whether the last chunk has been returned."""
        return self._last is not None

    @property
    def stopped(self) -> bool:
        """Whether the client itself ended the answer at a stop sequence."""
        return self._choice.stopped

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete.

        Raises:
            APIStatusError: the service says, before anything of the answer, with which status it failed.
            StreamInterruptedError: the service says that it failed, or the bytes make no sense.
        """
        if self._last is not None:
            return []
        try:
            events = self._events.feed(data)
        except EventTooLong as error:
            raise self._interrupted(str(error)) from None
        return self._chunks(events)

    def flush(self) -> Iterator[Chunk]:
        """Yield what is left when the body has ended.

        Raises:
            StreamInterruptedError: it failed, or ended before the answer was whole.
        """
        if self._failure is None and self._last is None:
            whole = self.can_end
            try:
                yield from self._chunks(self._events.flush())
            except StreamInterruptedError:
                if not whole:  # Else only what follows the answer was cut off.
                    raise
        if self._failure is not None:
            raise self._failure
        if self._last is None:
            if not self.can_end:
                raise self._interrupted("the stream ended before the answer was whole")
            yield self._last_chunk()

    def snapshot(self) -> Chunk:
        """Return all that has arrived, as one chunk."""
        whole = self._choice.snapshot()
        if self._last is None:
            whole.id, whole.request_id = self._id, self._request_id
            whole.model = self._model or self._requested_model
            return whole
        # What the last chunk held back is in the choice already; the rest it alone knows.
        whole.finish_reason = self._last.finish_reason
        whole.usage, whole.raw = self._last.usage, self._last.raw
        whole.id, whole.model, whole.request_id = (
            self._last.id,
            self._last.model,
            self._last.request_id,
        )
        whole.headers, whole.last = self._last.headers, True
        return whole

    def _chunks(self, events: list[tuple[bytes, bytes]]) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for name, data in events:
                said = data.strip()
                if said == b"[DONE]":
                    self._done = True
                elif said or name == b"error":  # Without data it is a sign of life.
                    body = self._parse(name, data)
                    if not name and self._is_identified and self._choice.feed_usual(body, chunks):
                        continue
                    self._event(name, body, chunks)
                if self._done or self._choice.stopped:
                    chunks.append(self._last_chunk())
                    break
        except StreamInterruptedError as failure:
            if not chunks:
                raise
            # What came before it in the same bytes is handed out first.
            self._failure = failure
        return chunks

    def _event(self, name: bytes, body: dict[str, Any], chunks: list[Chunk]) -> None:
        """Take an event of any kind."""
        if name == b"error" or "error" in body or "choices" not in body:
            self._raise_if_error(name, body)
        usage = body.get("usage")
        if usage and isinstance(usage, dict):
            self._usage = usage
        if self._id is None and (answer_id := get_text(body, "id")):
            self._id = answer_id
            self._choice.calls.set_answer_id(answer_id)
        self._model = self._model or get_text(body, "model") or None
        self._is_identified = self._id is not None and self._model is not None
        choices = choices_of(body)
        if not choices:
            self._beside |= body
        for choice in choices:
            if choice.get("index"):
                continue
            if chunk := self._choice.feed(choice, body):
                chunks.append(chunk)
            if choice.get("finish_reason"):
                self._finishing = body

    def _parse(self, name: bytes, data: bytes) -> dict[str, Any]:
        try:
            body = parse_json(data)
        except ValueError as error:
            if name == b"error":
                raise self._interrupted(
                    f"the service said: {data.decode(errors='replace')[:500]}"
                ) from None
            reason = f"an event of the stream is not JSON ({error}): {data[:200]!r}"
            raise self._interrupted(reason) from None
        if isinstance(body, dict):
            return body
        raise self._interrupted(f"an event of the stream is not a JSON object: {data[:200]!r}")

    def _raise_if_error(self, name: bytes, body: dict[str, Any]) -> None:
        """Raise the error that an event reports, if it does."""
        problem = body.get("object") == "error" or (
            "choices" not in body and any(name in body for name in ("title", "detail", "message"))
        )
        if name == b"error" or body.get("error") or problem:
            status = named_status(body)
            if status is not None and self._choice.empty:
                data = json.dumps(body, ensure_ascii=False).encode(errors="replace")
                raise status_error(replace(self._response, status=status, body=data))
            said = ": ".join(part for part in describe_error_body(body) if part)
            raise self._interrupted(
                f"the service failed in the middle of the stream: {said[:2000]}"
            )

    def _last_chunk(self) -> Chunk:
        """The chunk that ends the answer.

        Raises:
            StreamInterruptedError: the service gave up, or nothing has arrived.
        """
        chunk = self._choice.flush()
        if chunk.finish_reason in GAVE_UP:
            raise self._interrupted(cut_reason(chunk.finish_reason))
        if chunk.finish_reason is None and self._choice.empty:
            raise self._interrupted("the stream ended without an answer")
        chunk.usage = parse_usage(self._usage)
        chunk.id, chunk.request_id = self._id, self._request_id
        chunk.model = self._model or self._requested_model
        chunk.headers, chunk.last = self._response.headers, True
        facts = {
            "id": self._id,
            "model": self._model,
            "usage": self._usage,
            "finish_reason": chunk.finish_reason,
        }
        said = {name: fact for name, fact in facts.items() if fact is not None}
        chunk.raw = {**self._beside, **self._finishing, **said}
        self._last = chunk
        return chunk

    def _interrupted(self, reason: str) -> StreamInterruptedError:
        """The error for an answer that broke off. As long as nothing has arrived, it is retryable."""
        error = StreamInterruptedError(reason, partial=self.snapshot(), request_id=self._request_id)
        error.retryable = self._choice.empty
        return error
