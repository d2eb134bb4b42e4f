"""An answer that arrives as server-sent events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nvcf_core.errors import StreamInterruptedError
from nvcf_core.exchange import Reply
from nvcf_core.messages import Chunk
from nvcf_core.wire import _from_json

from .choice import Choice, Reading, _choices, plain, usage_of
from .error_body import explain
from .sse import EventTooLong, SSEDecoder


class EventDecoder:
    """Decodes a stream of events."""

    def __init__(self, reply: Reply, reading: Reading) -> None:
        self._events = SSEDecoder()
        self._request_id = reply.headers.get("nvcf-reqid")
        self._choice = Choice(reading, None)
        self._usage: Mapping[str, Any] | None = None
        self._id: str | None = None
        self._asked = reading.model
        self._model: str | None = None
        self._done = False
        self._last: Chunk | None = None
        self._failure: StreamInterruptedError | None = None

    @property
    def failed(self) -> bool:
        """Whether `end` will raise: what came before the failure has been returned."""
        return self._failure is not None

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, should nothing more arrive."""
        return self._done or self._choice.finish_reason is not None

    @property
    def finished(self) -> bool:
        """Whether the last chunk has been returned."""
        return self._last is not None

    @property
    def cut(self) -> bool:
        """Whether the client itself ended the answer at a stop sequence."""
        return self._choice.cut

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete.

        Raises:
            StreamInterruptedError: the service says that it failed, or the bytes make no sense.
        """
        if self._last is not None:
            return []
        try:
            events = self._events.feed(data)
        except EventTooLong as error:
            raise self._interrupted(str(error)) from None
        return self._chunks(events)

    def end(self) -> Iterator[Chunk]:
        """Yield what is left when the body has ended.

        Raises:
            StreamInterruptedError: it failed, or ended before the answer was whole.
        """
        if self._failure is None and self._last is None:
            whole = self.complete
            try:
                yield from self._chunks(self._events.end())
            except StreamInterruptedError:
                if not whole:  # Else only what follows the answer was cut off.
                    raise
        if self._failure is not None:
            raise self._failure
        if self._last is None:
            if not self.complete:
                raise self._interrupted("the stream ended before the answer was whole")
            yield self._final()

    def answer(self) -> Chunk:
        """All that has arrived, as one chunk."""
        whole = self._choice.whole()
        if self._last is None:
            whole.id, whole.request_id = self._id, self._request_id
            whole.model = self._model or self._asked
            return whole
        # What the last chunk held back is in the choice already; the rest it alone knows.
        whole.finish_reason = self._last.finish_reason
        whole.usage, whole.raw = self._last.usage, self._last.raw
        whole.id, whole.model, whole.request_id = (
            self._last.id,
            self._last.model,
            self._last.request_id,
        )
        whole.last = True
        return whole

    def _chunks(self, events: list[tuple[bytes, bytes]]) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for name, data in events:
                if data == b"[DONE]" or data.strip() == b"[DONE]":
                    self._done = True
                else:
                    self._event(name, data, chunks)
                if self._done or self._choice.cut:
                    chunks.append(self._final())
                    break
        except StreamInterruptedError as failure:
            if not chunks:
                raise
            # What came before it in the same bytes is handed out first.
            self._failure = failure
        return chunks

    def _event(self, name: bytes, data: bytes, chunks: list[Chunk]) -> None:
        body = self._parse(name, data)
        if name == b"error" or "error" in body or "choices" not in body:
            self._judge(name, body)
        usage = body.get("usage")
        if usage and isinstance(usage, dict):
            self._usage = usage
        if self._id is None and (answer_id := plain(body.get("id"))):
            self._id = answer_id
            self._choice.calls.named(answer_id)
        self._model = self._model or plain(body.get("model")) or None
        for choice in _choices(body):
            if not choice.get("index"):
                self._delta(choice, body, chunks)

    def _delta(self, choice: dict[str, Any], body: dict[str, Any], chunks: list[Chunk]) -> None:
        said = choice.get("delta") or choice.get("message")
        chunk = self._choice.feed(said, body) if isinstance(said, dict) else None
        logprobs = choice.get("logprobs")
        if logprobs and isinstance(logprobs, dict):
            chunk = chunk or Chunk(raw=body)
            chunk.logprobs = logprobs
            self._choice.logprobs.append(logprobs)
        if chunk is not None:
            chunks.append(chunk)
        finish_reason = choice.get("finish_reason")
        if finish_reason and isinstance(finish_reason, str):
            self._choice.finish_reason = finish_reason

    def _parse(self, name: bytes, data: bytes) -> dict[str, Any]:
        try:
            body = _from_json(data)
        except ValueError as error:
            if name == b"error":
                raise self._interrupted(
                    f"the service said: {data.decode(errors='replace')[:500]}"
                ) from None
            reason = f"an event of the stream is no JSON ({error}): {data[:200]!r}"
            raise self._interrupted(reason) from None
        if isinstance(body, dict):
            return body
        raise self._interrupted(f"an event of the stream is no JSON object: {data[:200]!r}")

    def _judge(self, name: bytes, body: dict[str, Any]) -> None:
        """Raise what an event that is no ordinary piece of an answer says."""
        problem = body.get("object") == "error" or (
            ("title" in body or "detail" in body) and "choices" not in body
        )
        if name == b"error" or body.get("error") or problem:
            said = ": ".join(part for part in explain(body) if part)
            raise self._interrupted(
                f"the service failed in the middle of the stream: {said[:2000]}"
            )

    def _final(self) -> Chunk:
        chunk = self._choice.end()
        chunk.finish_reason = "stop" if self._choice.cut else self._choice.finish_reason
        chunk.usage = usage_of(self._usage)
        chunk.id, chunk.request_id = self._id, self._request_id
        chunk.model = self._model or self._asked
        chunk.last = True
        facts = {"id": self._id, "model": self._model, "usage": self._usage}
        chunk.raw = {name: fact for name, fact in facts.items() if fact is not None}
        self._last = chunk
        return chunk

    def _interrupted(self, reason: str) -> StreamInterruptedError:
        return StreamInterruptedError(reason, partial=self.answer(), request_id=self._request_id)
