"""Spans and metrics of every call, after OpenTelemetry's conventions for generative AI. Needs the extra `otel`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from nvcf_core.errors import APIStatusError, StreamInterruptedError
from nvcf_core.exchange import Request, Response
from nvcf_core.messages import Chunk, Media, Message, ToolCall
from nvcf_core.protocol.chat_request import ChatRequest
from nvcf_core.values import value_class
from nvcf_core.wire import parse_json

from .observation import UNOBSERVED, Observation
from .observers import set_observer

try:
    from opentelemetry import context, metrics, trace
except ImportError as error:
    raise ImportError(
        'nvcf_core.observability.otel needs opentelemetry-api: pip install "nvcf-adapters[otel]"'
    ) from error

__all__ = ["CAPTURE_CONTENT", "instrument", "uninstrument"]

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable that switches the recording of message content on."""

# Both spellings, as opentelemetry-instrumentation has it; and that of tracers of a layer above, which count already.
_SUPPRESSED_BY = (
    "suppress_instrumentation",
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_language_model_instrumentation",
)

_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_TOKENS = [4**power for power in range(14)]

_SETTINGS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "n": "gen_ai.request.choice.count",
}
"""Numeric request fields and their span attributes."""

_Attribute = str | bool | int | float | Sequence[str]


@value_class
class _Instruments:
    """Tracer, histograms and options."""

    tracer: trace.Tracer
    duration: metrics.Histogram
    first_chunk: metrics.Histogram
    tokens: metrics.Histogram
    capture_content: bool
    count_tokens: bool

    def observe(self, call: ChatRequest) -> Observation:
        """Return the observation of a call: a no-op where the caller has suppressed instrumentation."""
        if any(context.get_value(key) for key in _SUPPRESSED_BY):
            return UNOBSERVED
        return _CallSpan(self, call)


def instrument(
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    capture_content: bool | None = None,
    count_tokens: bool = True,
) -> None:
    """Make a span, and record metrics, for each call of every model object of this process, from now on.

    The span is a child of the span that is current when the call is made. A second call of this function replaces the
    settings of the first. Where no provider is set, nothing is recorded; one that is set later counts as well.

    Args:
        tracer_provider: makes the spans. None: the global one.
        meter_provider: records the metrics. None: the global one.
        capture_content: whether spans hold messages, answers and tools. None: whether the environment variable
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for them (`true`, `span_only`, `span_and_event`).
        count_tokens: False leaves the counts of tokens, on spans and as a metric, to a tracer of the framework.
    """
    name = "nvcf_core"
    tracer = trace.get_tracer(name, tracer_provider=tracer_provider)
    meter = metrics.get_meter(name, meter_provider=meter_provider)
    if capture_content is None:
        asked = os.environ.get(CAPTURE_CONTENT, "").strip().lower()
        capture_content = asked in ("true", "span_only", "span_and_event")
    instruments = _Instruments(
        tracer=tracer,
        duration=meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        ),
        first_chunk=meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to receive the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        ),
        tokens=meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ),
        capture_content=capture_content,
        count_tokens=count_tokens,
    )
    set_observer(instruments.observe)


def uninstrument() -> None:
    """Make no further spans. Calls under way end theirs."""
    set_observer(None)


class _CallSpan(Observation):
    """The span of one call, and the values that are recorded when it ends."""

    def __init__(self, instruments: _Instruments, call: ChatRequest) -> None:
        self._instruments, self._call = instruments, call
        # The span in which the call is made, not that in which its stream is read. Its identity alone: tracers have
        # stand-ins that are another span later on.
        parent = trace.get_current_span()
        self._context = trace.set_span_in_context(trace.NonRecordingSpan(parent.get_span_context()))
        self._span: trace.Span = trace.INVALID_SPAN
        self._redact: Callable[[str], str] = str
        self._snapshot: Callable[[], Chunk] = Chunk
        self._began = 0.0
        self._first_chunk: float | None = None
        self._counts: dict[str, float] = {}
        self._counted_above = not instruments.count_tokens or _counts_tokens(parent)
        self._common = _common(call)

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._span = self._instruments.tracer.start_span(
            f"chat {self._call.spec.id}",
            self._context,
            trace.SpanKind.CLIENT,
            attributes={**self._common, **_request(self._call)},
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_back: TracebackType | None,
    ) -> None:
        seconds = time.monotonic() - self._began
        left = kind is not None and not issubclass(kind, Exception)
        failed = None if left else error
        answer = failed.partial if isinstance(failed, StreamInterruptedError) else self._snapshot()
        common: dict[str, _Attribute] = dict(self._common)
        if answer.model:
            common["gen_ai.response.model"] = answer.model
        if failed is not None:
            common["error.type"] = type(failed).__name__
        if self._span.is_recording():
            self._span.set_attributes({**common, **self._counts, **_answer(answer)})
            if left:
                self._span.set_attribute("nvcf.abandoned", True)
            self._note_failure(failed)
            self._note_tokens(answer)
            if self._instruments.capture_content:
                self._note_content(answer)
        self._span.end()
        self._record(common, answer, seconds)

    def sending(self) -> AbstractContextManager[object]:
        return trace.use_span(
            self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def redact_with(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def waited(self, seconds: float) -> None:
        self._count("nvcf.rate_limit.wait", seconds)

    def retrying(self, request: Request) -> None:
        self._count("nvcf.retries", 1)
        why = type(request.failure).__name__
        self._span.add_event(
            "nvcf.retry",
            {"nvcf.stage": request.stage, "error.type": why, "nvcf.delay": request.delay},
        )

    def responded(self, request: Request, response: Response) -> None:
        if request.stage == "poll":
            self._count("nvcf.polls", 1)
        elif request.stage == "put" and response.status < 300:
            self._count("nvcf.uploads", 1)
            self._count("nvcf.uploaded_bytes", _length(request))

    def reading(self, snapshot: Callable[[], Chunk]) -> None:
        self._snapshot = snapshot

    def first_chunk(self) -> None:
        if self._call.stream and self._first_chunk is None:
            self._first_chunk = time.monotonic() - self._began
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", self._first_chunk)

    def _count(self, name: str, more: float) -> None:
        self._counts[name] = self._counts.get(name, 0) + more

    def _note_failure(self, failed: BaseException | None) -> None:
        if failed is None:
            return
        if isinstance(failed, APIStatusError):
            self._span.set_attribute("http.response.status_code", failed.status)
        # The text of an error may repeat the prompt.
        said = self._redact(str(failed)) if self._instruments.capture_content else None
        self._span.set_status(trace.StatusCode.ERROR, said)

    def _note_tokens(self, answer: Chunk) -> None:
        if not self._counted_above:
            self._span.set_attributes(_usage(answer))

    def _note_content(self, answer: Chunk) -> None:
        messages = self._call.messages
        system = [part for one in messages if one.role == "system" for part in _parts(one)]
        said = {
            "gen_ai.system_instructions": system,
            "gen_ai.input.messages": [_message(one) for one in messages if one.role != "system"],
            "gen_ai.output.messages": [_output(answer), *map(_output, answer.other_choices)],
            "gen_ai.tool.definitions": self._call.fields.get("tools"),
        }
        for name, value in said.items():
            if value:
                # Not as for the service: whatever a model wrote, such as NaN among arguments, can be shown.
                text = json.dumps(value, ensure_ascii=False, default=str)
                self._span.set_attribute(name, self._redact(text))

    def _record(self, common: Mapping[str, _Attribute], answer: Chunk, seconds: float) -> None:
        instruments, where = self._instruments, trace.set_span_in_context(self._span, self._context)
        instruments.duration.record(seconds, common, where)
        if self._first_chunk is not None:
            instruments.first_chunk.record(self._first_chunk, common, where)
        if answer.usage is not None and instruments.count_tokens:
            kinds = {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}
            for kind, count in kinds.items():
                instruments.tokens.record(count, {**common, "gen_ai.token.type": kind}, where)


def _common(call: ChatRequest) -> dict[str, _Attribute]:
    """Return the attributes that spans and metrics share, known from the start."""
    url = urlsplit(call.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "nvidia",
        "gen_ai.request.model": call.spec.id,
        "server.address": url.hostname or "",
        "server.port": port,
    }


def _request(call: ChatRequest) -> dict[str, _Attribute]:
    """The settings of a call. Its other fields may be content."""
    fields = call.fields
    found: dict[str, _Attribute] = {
        attribute: fields[name]
        for name, attribute in _SETTINGS.items()
        if isinstance(fields.get(name), (int, float))
    }
    found["gen_ai.request.stream"] = call.stream
    stop = fields.get("stop") or call.stops
    if isinstance(stop, (str, list, tuple)) and stop:
        sequences = [stop] if isinstance(stop, str) else stop
        found["gen_ai.request.stop_sequences"] = [str(one) for one in sequences]
    if fields.get("response_format"):
        found["gen_ai.output.type"] = "json"
    return found


def _answer(answer: Chunk) -> dict[str, _Attribute]:
    """Return the attributes of an answer, as far as it has arrived."""
    said = {"gen_ai.response.id": answer.id, "nvcf.request_id": answer.request_id}
    found: dict[str, _Attribute] = {name: value for name, value in said.items() if value}
    if answer.finish_reason:
        reasons = [one.finish_reason or "" for one in (answer, *answer.other_choices)]
        found["gen_ai.response.finish_reasons"] = reasons
    return found


def _usage(answer: Chunk) -> dict[str, int]:
    usage = answer.usage
    if usage is None:
        return {}
    counts = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _counts_tokens(span: trace.Span) -> bool:
    """Return whether the span around a call stands for a model's answer itself, as that of a framework's tracer
    does."""
    attributes = getattr(span, "attributes", None) or {}
    # OpenInference's tracer of LlamaIndex says of what kind a span is when it ends. It makes one for every answer.
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", "")
    return (
        scope.startswith("openinference.instrumentation.")
        or attributes.get("openinference.span.kind") == "LLM"
        or attributes.get("gen_ai.operation.name")
        in ("chat", "text_completion", "generate_content")
    )


def _length(request: Request) -> int:
    body = request.body
    return 0 if body is None else len(body) if isinstance(body, bytes) else body.length


# The content of messages, in the form of the conventions' JSON schemas. Media go without their bytes.


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": _parts(message)}


def _output(answer: Chunk) -> dict[str, Any]:
    said = Message(
        role="assistant",
        parts=(answer.text or answer.refusal,) if answer.text or answer.refusal else (),
        tool_calls=answer.tool_calls,
        reasoning=answer.reasoning,
    )
    return {**_message(said), "finish_reason": answer.finish_reason or ""}


def _parts(message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": message.reasoning})
    if message.role == "tool":
        result = {"type": "tool_call_response", "id": message.tool_call_id}
        parts.append({**result, "response": message.text})
    for part in message.parts:
        if isinstance(part, Media):
            parts.append(_media(part))
        elif message.role != "tool":
            parts.append({"type": "text", "content": part})
    parts.extend(_tool_call(call) for call in message.tool_calls)
    return parts


def _tool_call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = parse_json(call.arguments.encode())
    except ValueError:
        arguments = call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _media(media: Media) -> dict[str, Any]:
    said = {"modality": media.kind, "mime_type": media.mime_type}
    if media.url is not None:
        return {"type": "uri", **said, "uri": media.url}
    if media.asset_id is not None:
        return {"type": "file", **said, "file_id": media.asset_id}
    return {"type": "blob", **said}
