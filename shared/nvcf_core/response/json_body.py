"""An answer that arrives as one JSON text."""

from __future__ import annotations

from typing import Any

from nvcf_core.errors import InvalidResponseError
from nvcf_core.exchange import Reply
from nvcf_core.messages import Chunk
from nvcf_core.wire import _from_json

from .choice import Choice, Reading, _choices, plain, usage_of
from .error_body import explain

LONGEST_ANSWER = 256 * 1024 * 1024
"""Bytes of a whole answer, past which it is refused."""


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
