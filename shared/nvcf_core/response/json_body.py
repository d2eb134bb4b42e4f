"""An answer that arrives as one JSON text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nvcf_core.errors import InvalidResponseError, StreamInterruptedError
from nvcf_core.exchange import Response
from nvcf_core.messages import Chunk
from nvcf_core.wire import LONGEST_DOCUMENT, get_text, parse_json

from .choice import ChoiceAccumulator, choices_of, parse_usage
from .error_body import describe_error_body, named_status, status_error
from .finish_reason import GAVE_UP, cut_reason
from .options import DecodeOptions

__all__ = ["LONGEST_ANSWER", "JSONBodyDecoder"]

LONGEST_ANSWER = 256 * 1024 * 1024
"""Bytes of a whole answer, decoded, past which it is refused, however many events it comes in."""


class JSONBodyDecoder:
    """Decodes an answer that comes as one JSON text.

    Args:
        response: its head.
        options: how to read it.
        longest_document: bytes past which it is refused.
    """

    def __init__(
        self, response: Response, options: DecodeOptions, longest_document: int = LONGEST_DOCUMENT
    ) -> None:
        self._longest_document = longest_document
        self._response = response
        self._request_id = response.headers.get("nvcf-reqid")
        self._options = options
        self._pieces: list[bytes] = []
        self._length = 0
        self._parsed: tuple[int, Any] | None = None
        """The text as it was parsed to see whether it is whole, and how many bytes of it."""
        self._answer: Chunk | None = None

    stopped = False
    at_end = True
    has_failure = False

    @property
    def can_end(self) -> bool:
        """Whether what has arrived is a whole JSON text, should nothing more arrive."""
        data = b"".join(self._pieces).rstrip()
        if not data.endswith(b"}"):
            return False
        try:
            self._parsed = len(data), parse_json(data)
        except ValueError:
            return False
        return True

    @property
    def done(self) -> bool:
        """Whether the last chunk has been returned."""
        return self._answer is not None

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes. The chunks come at the end.

        Raises:
            InvalidResponseError: it is longer than `longest_document`.
        """
        self._pieces.append(data)
        self._length += len(data)
        if self._length > self._longest_document:
            raise self._invalid(f"the answer is longer than {self._longest_document} bytes")
        return []

    def flush(self) -> list[Chunk]:
        """Return the answer: its content, and what is said once.

        Raises:
            InvalidResponseError: the body is not an answer.
            APIStatusError: it is an error that names its status.
            StreamInterruptedError: the service gave up.
        """
        whole = self._answer = self._decode(b"".join(self._pieces))
        facts = Chunk(
            finish_reason=whole.finish_reason, usage=whole.usage, id=whole.id, model=whole.model,
            request_id=whole.request_id, last=True, raw=whole.raw, other_choices=whole.other_choices,
            headers=whole.headers,
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

    def snapshot(self) -> Chunk:
        """The whole answer; before the end, an empty chunk."""
        return self._answer or Chunk(request_id=self._request_id)

    def _decode(self, data: bytes) -> Chunk:
        if not data.strip():
            error = self._invalid("the service answered 200 with an empty body")
            error.retryable = True
            raise error
        try:
            body = self._body(data)
        except ValueError as error:
            raise self._invalid(f"the answer is not JSON ({error}): {data[:200]!r}") from None
        if not isinstance(body, dict):
            raise self._invalid(f"the answer is not a JSON object: {data[:200]!r}")
        choices = choices_of(body)
        if not choices:
            status = named_status(body)
            if status is not None:
                raise status_error(replace(self._response, status=status, body=data))
            said = ": ".join(part for part in describe_error_body(body) if part)
            raise self._invalid(f"the answer has no choices: {said[:500]}")
        first, *others = [self._choice(choice, body) for choice in choices]
        first.usage = parse_usage(body.get("usage"))
        first.other_choices = tuple(others)
        for choice in (first, *others):
            if choice.finish_reason in GAVE_UP:
                reason = cut_reason(choice.finish_reason)
                raise StreamInterruptedError(reason, partial=first, request_id=self._request_id)
        return first

    def _body(self, data: bytes) -> Any:
        if self._parsed is None or self._parsed[0] != len(data.rstrip()):
            return parse_json(data)
        return self._parsed[1]

    def _choice(self, choice: dict[str, Any], body: dict[str, Any]) -> Chunk:
        if not isinstance(choice.get("message") or choice.get("delta"), dict):
            raise self._invalid("a choice of the answer has no message")
        growing = ChoiceAccumulator(self._options, get_text(body, "id") or self._request_id)
        growing.feed(choice, body)
        facts = growing.flush()
        whole = growing.snapshot()
        whole.finish_reason = facts.finish_reason
        whole.id = get_text(body, "id") or None
        whole.model = get_text(body, "model") or self._options.model
        whole.request_id, whole.raw, whole.last = self._request_id, body, True
        whole.headers = self._response.headers
        return whole

    def _invalid(self, reason: str) -> InvalidResponseError:
        beginning = b"".join(self._pieces[:8])[:2000]
        return InvalidResponseError(reason, body=beginning, request_id=self._request_id)
