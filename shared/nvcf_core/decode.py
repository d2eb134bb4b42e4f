"""What the service answers, decoded: bytes in, `Chunk`s out, whatever shape they came in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from pydantic_core import from_json

from .choice import Choice, Reading, plain, usage_of
from .errors import InvalidResponseError, StreamInterruptedError, explain
from .exchange import Reply
from .messages import Chunk
from .sse import EventTooLong, SSEDecoder

LONGEST_ANSWER = 256 * 1024 * 1024
"""Bytes of a whole answer, past which it is refused."""


class Decoder(Protocol):
    """Takes the bytes of an answer's body as they arrive."""

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, should nothing more arrive."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the last chunk has been returned."""
        ...

    @property
    def cut(self) -> bool:
        """Whether the client itself ended the answer, so that the rest need not be read."""
        ...

    @property
    def failed(self) -> bool:
        """Whether `end` will raise: what came before the failure has been returned."""
        ...

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes; return the chunks that they complete."""
        ...

    def end(self) -> Iterable[Chunk]:
        """What is left when the body has ended."""
        ...

    def answer(self) -> Chunk:
        """All that has arrived, as one chunk."""
        ...


def decoder_for(reply: Reply, reading: Reading) -> Decoder:
    """What the service sent decides, not what was asked: it may answer a stream whole."""
    kind = reply.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == "text/event-stream":
        return EventDecoder(reply, reading)
    return WholeDecoder(reply, reading)


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


class WholeDecoder:
    """Decodes an answer that comes as one JSON text."""

    def __init__(self, reply: Reply, reading: Reading) -> None:
        self._request_id = reply.headers.get("nvcf-reqid")
        self._reading = reading
        self._pieces: list[bytes] = []
        self._length = 0
        self._answer: Chunk | None = None

    complete = False
    cut = False
    failed = False

    @property
    def finished(self) -> bool:
        """Whether the last chunk has been returned."""
        return self._answer is not None

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes. The chunks come at the end.

        Raises:
            InvalidResponseError: it is longer than `LONGEST_ANSWER`.
        """
        self._pieces.append(data)
        self._length += len(data)
        if self._length > LONGEST_ANSWER:
            raise self._invalid(f"the answer is longer than {LONGEST_ANSWER} bytes")
        return []

    def end(self) -> list[Chunk]:
        """Return the answer: its content, and what is said once.

        Raises:
            InvalidResponseError: the body is no answer.
        """
        whole = self._answer = self._decode(b"".join(self._pieces))
        facts = Chunk(
            finish_reason=whole.finish_reason, usage=whole.usage, id=whole.id, model=whole.model,
            request_id=whole.request_id, last=True, raw=whole.raw, others=whole.others,
        )  # fmt: skip
        said = Chunk(
            whole.text,
            whole.reasoning,
            whole.tool_calls,
            whole.refusal,
            whole.logprobs,
            raw=whole.raw,
        )
        return [said, facts]

    def answer(self) -> Chunk:
        """The whole answer; before the end, an empty chunk."""
        return self._answer or Chunk(request_id=self._request_id)

    def _decode(self, data: bytes) -> Chunk:
        if not data.strip():
            raise self._invalid("the service answered 200 with an empty body")
        try:
            body = _from_json(data)
        except ValueError as error:
            raise self._invalid(f"the answer is no JSON ({error}): {data[:200]!r}") from None
        if not isinstance(body, dict):
            raise self._invalid(f"the answer is no JSON object: {data[:200]!r}")
        choices = _choices(body)
        if not choices:
            said = ": ".join(part for part in explain(body) if part)
            raise self._invalid(f"the answer has no choices: {said[:500]}")
        first, *others = [self._choice(choice, body) for choice in choices]
        first.usage = usage_of(body.get("usage"))
        first.others = tuple(others)
        return first

    def _choice(self, choice: dict[str, Any], body: dict[str, Any]) -> Chunk:
        growing = Choice(self._reading, plain(body.get("id")) or self._request_id)
        said = choice.get("message") or choice.get("delta")
        if not isinstance(said, dict):
            raise self._invalid("a choice of the answer has no message")
        growing.feed(said, body)
        growing.end()
        logprobs = choice.get("logprobs")
        if logprobs and isinstance(logprobs, dict):
            growing.logprobs.append(logprobs)
        whole = growing.whole()
        whole.finish_reason = "stop" if growing.cut else plain(choice.get("finish_reason")) or None
        whole.id = plain(body.get("id")) or None
        whole.model = plain(body.get("model")) or self._reading.model
        whole.request_id, whole.raw, whole.last = self._request_id, body, True
        return whole

    def _invalid(self, reason: str) -> InvalidResponseError:
        beginning = b"".join(self._pieces[:8])[:2000]
        return InvalidResponseError(reason, body=beginning, request_id=self._request_id)


def _choices(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = body.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, dict)]


def _from_json(data: bytes) -> Any:
    """Parse JSON. Escaped halves of a character that stand alone, which the fast parser refuses, are replaced."""
    try:
        return from_json(data)
    except ValueError:
        if b"\\ud" not in data.lower():
            raise
        try:
            text = json.dumps(json.loads(data), ensure_ascii=False)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        return from_json(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
