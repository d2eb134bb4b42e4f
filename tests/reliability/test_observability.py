"""The spans and metrics that `nvcf_core.observability.otel` makes, in each of the twelve ways to ask."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from opentelemetry import context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode

from langchain_nvcf import NVCFLLM, ChatNVCF
from nvcf_core import errors
from nvcf_core.observability import otel
from nvcf_core.observability.observation import UNOBSERVED
from nvcf_core.observability.observers import observe
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"
SECRET = "a question that is nobody's business"
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


class Recorded:
    """What was exported, in memory."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.tracer = self.tracers.get_tracer("the application")

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those of the calls, which have ended."""
        return [one for one in self._exporter.get_finished_spans() if one.name.startswith("chat ")]

    def span(self) -> ReadableSpan:
        (only,) = self.spans
        return only

    def attributes(self) -> dict[str, Any]:
        return dict(self.span().attributes or {})

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        """All that was exported, as text."""
        data = self._reader.get_metrics_data()
        spans = [one.to_json() for one in self._exporter.get_finished_spans()]
        return "\n".join([*spans, "" if data is None else data.to_json()])


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Spans and metrics are made, and content is left out."""
    recorded = Recorded()
    otel.instrument(tracer_provider=recorded.tracers, meter_provider=recorded.meters)
    yield recorded
    otel.uninstrument()
    recorded.meters.shutdown()


@pytest.fixture
def with_content(recorded: Recorded) -> Recorded:
    otel.instrument(
        tracer_provider=recorded.tracers, meter_provider=recorded.meters, capture_content=True
    )
    return recorded


async def test_an_answer(way: Any, nvcf_emulator: Emulator, recorded: Recorded) -> None:
    nvcf_emulator.reply(text="Because.", reasoning="Why?", usage=USAGE)
    asked = way(temperature=0.25, max_tokens=64, seed=4, stop=["END"])
    await asked.ask(SECRET)
    span, attributes = recorded.span(), recorded.attributes()
    assert span.name == f"chat {KIMI}"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None
    body = nvcf_emulator.chats[0].body
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "nvidia",
        "gen_ai.request.model": KIMI,
        "gen_ai.request.temperature": 0.25,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.seed": 4,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.stream": body["stream"],
        "gen_ai.response.model": KIMI,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": int(nvcf_emulator.root.rpartition(":")[2]),
    }
    ids = {attributes.pop("gen_ai.response.id"), attributes.pop("nvcf.request_id")}
    assert all(ids)
    first = attributes.pop("gen_ai.response.time_to_first_chunk", None)
    assert (first is not None) == body["stream"]
    assert attributes == expected
    assert first is None or first > 0
    assert not span.events


async def test_metrics(way: Any, nvcf_emulator: Emulator, recorded: Recorded) -> None:
    nvcf_emulator.reply(text="Because.", usage=USAGE)
    await way().ask()
    (duration,) = recorded.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    assert duration.sum > 0
    assert set(duration.attributes) == {
        "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model",
        "gen_ai.response.model", "server.address", "server.port",
    }  # fmt: skip
    tokens = recorded.points("gen_ai.client.token.usage")
    assert {one.attributes["gen_ai.token.type"]: one.sum for one in tokens} == {
        "input": 11,
        "output": 7,
    }
    firsts = recorded.points("gen_ai.client.operation.time_to_first_chunk")
    assert len(firsts) == nvcf_emulator.chats[0].body["stream"]
    assert all(0 < one.sum <= duration.sum for one in firsts)


async def test_nothing_of_what_was_said_and_no_key(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded, large_picture: bytes
) -> None:
    nvcf_emulator.reply(text="a private answer", reasoning="a private thought")
    asked = way(default_headers={"x-mine": "a header of my own"})
    await asked.ask(SECRET, large_picture)
    nvcf_emulator.fail(400, body={"detail": f"{SECRET} and {nvcf_emulator.api_key} are bad"})
    with pytest.raises(errors.BadRequestError):
        await asked.ask(SECRET)
    said = recorded.everything()
    assert len(recorded.spans) == 2
    await asked.close()
    for secret in (SECRET, "private", "of my own", nvcf_emulator.api_key):
        assert secret not in said


async def test_content_where_it_is_asked_for(
    way: Any, nvcf_emulator: Emulator, with_content: Recorded, large_picture: bytes
) -> None:
    nvcf_emulator.reply(text="A lake.", reasoning="Water.", tool_calls=[])
    asked = way()
    await asked.ask("What is it?", large_picture)
    await asked.close()
    attributes = with_content.attributes()
    (question,) = json.loads(attributes["gen_ai.input.messages"])
    assert question["role"] == "user"
    text, image = question["parts"]
    assert text == {"type": "text", "content": "What is it?"}
    assert image == {"type": "blob", "modality": "image", "mime_type": "image/png"}
    (answer,) = json.loads(attributes["gen_ai.output.messages"])
    assert answer == {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Water."},
            {"type": "text", "content": "A lake."},
        ],
        "finish_reason": "stop",
    }


async def test_the_key_is_not_in_content_either(
    way: Any, nvcf_emulator: Emulator, with_content: Recorded
) -> None:
    key = nvcf_emulator.api_key
    nvcf_emulator.reply(text=f"You gave me {key}.")
    await way().ask(f"My key is {key}")
    nvcf_emulator.fail(400, body={"detail": f"not with {key}"})
    with pytest.raises(errors.BadRequestError):
        await way().ask()
    assert key not in with_content.everything()
    assert "My key is ***" in with_content.everything()
    assert "not with ***" in (with_content.spans[1].status.description or "")


def test_tools_are_content(
    settings: dict[str, Any], nvcf_emulator: Emulator, with_content: Recorded
) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    call = {"id": "c1", "name": "weather", "arguments": {"city": "Cairo"}}
    nvcf_emulator.reply(reasoning="I ask.", tool_calls=[call])
    nvcf_emulator.reply(text="Sunny.")
    with ChatNVCF(**settings) as chat:
        model = chat.bind_tools([weather])
        answer = model.invoke([("system", "Be brief."), ("user", "Cairo?")])
        said = {"role": "tool", "content": "sunny", "tool_call_id": "c1"}
        model.invoke([("user", "Cairo?"), answer, said])
    first, second = (dict(span.attributes or {}) for span in with_content.spans)
    system = json.loads(first["gen_ai.system_instructions"])
    assert system == [{"type": "text", "content": "Be brief."}]
    (tool,) = json.loads(first["gen_ai.tool.definitions"])
    assert tool["function"]["name"] == "weather"
    expected = {"type": "tool_call", **call}
    thought = {"type": "reasoning", "content": "I ask."}
    assert json.loads(first["gen_ai.output.messages"])[0]["parts"] == [thought, expected]
    assert first["gen_ai.response.finish_reasons"] == ("tool_calls",)
    _, asked, result = json.loads(second["gen_ai.input.messages"])
    assert asked["parts"][-1] == expected
    assert result["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]


@pytest.mark.parametrize(
    "odd",
    [
        {"stop": 5, "temperature": "hot", "n": None, "seed": [1]},
        {"stop": [5, None], "response_format": 1, "tools": [{"x": 1}]},
    ],
)
async def test_odd_settings_are_the_services_to_judge(
    way: Any, with_content: Recorded, odd: dict[str, Any]
) -> None:
    with pytest.raises(errors.BadRequestError):
        await way(validation="off", extra_body=odd).ask()
    assert with_content.attributes()["http.response.status_code"] == 400


async def test_odd_arguments_fail_no_call(
    way: Any, nvcf_emulator: Emulator, with_content: Recorded
) -> None:
    arguments = '{"x": NaN, "y": "\\ud83d"}'
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"role": "assistant", "content": "ok", "tool_calls": [call]}
    body = {"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    headers = {"content-type": "application/json"}
    nvcf_emulator.raw(200, headers, [json.dumps(body).encode()])
    assert await way().ask() == "ok"
    said = json.loads(with_content.attributes()["gen_ai.output.messages"])
    assert said[0]["parts"][-1]["name"] == "f"


@pytest.mark.parametrize(
    ("value", "captured"),
    [("true", True), ("SPAN_ONLY", True), ("span_and_event", True), ("false", False), ("", False)],
)
def test_the_environment_may_ask_for_content(
    core: Any,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    captured: bool,
) -> None:
    monkeypatch.setenv(otel.CAPTURE_CONTENT, value)
    otel.instrument(tracer_provider=recorded.tracers, meter_provider=recorded.meters)
    asked = core()
    asked.complete(asked.messages("hi", None))
    assert ("gen_ai.input.messages" in recorded.attributes()) is captured


@pytest.mark.usefixtures("impatient")
async def test_retries(way: Any, nvcf_emulator: Emulator, recorded: Recorded) -> None:
    nvcf_emulator.fail(503)
    nvcf_emulator.fault("reset")
    nvcf_emulator.reply(text="at last")
    assert await way().ask() == "at last"
    assert recorded.attributes()["nvcf.retries"] == 2
    assert recorded.span().status.status_code is StatusCode.UNSET
    assert [(one.name, dict(one.attributes or {})) for one in recorded.span().events] == [
        ("nvcf.retry", {"nvcf.stage": "ask", "error.type": kind, "nvcf.delay": 0.01})
        for kind in ("ServerError", "APIConnectionError")
    ]


@pytest.mark.parametrize(
    ("failure", "kind", "status"),
    [
        (lambda server: server.fail("rate_limit"), "RateLimitError", 429),
        (lambda server: server.fail("unauthorized"), "AuthenticationError", 401),
        (lambda server: server.fail("context_length"), "ContextLengthError", 400),
        (lambda server: server.fault("reset"), "APIConnectionError", None),
        (lambda server: server.raw(200, {}, [b"nonsense"]), "InvalidResponseError", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_an_error(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded, failure: Any, kind: str, status: Any
) -> None:
    failure(nvcf_emulator)
    asked = way(max_retries=0)
    with pytest.raises(errors.NVCFError):
        await asked.ask(SECRET)
    span, attributes = recorded.span(), recorded.attributes()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes["error.type"] == kind
    assert attributes.get("http.response.status_code") == status
    (duration,) = recorded.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == kind
    assert not recorded.points("gen_ai.client.token.usage")


async def test_an_answer_that_breaks_off(
    way: Any, nvcf_emulator: Emulator, with_content: Recorded
) -> None:
    nvcf_emulator.fault("truncate")
    with pytest.raises(errors.StreamInterruptedError):
        await way(max_retries=0).ask()
    attributes = with_content.attributes()
    assert attributes["error.type"] == "StreamInterruptedError"
    assert "gen_ai.response.finish_reasons" not in attributes
    said = json.loads(attributes["gen_ai.output.messages"])[0]["parts"]
    assert bool(said) == nvcf_emulator.chats[0].body["stream"], "what has arrived of it is shown"


async def test_a_stream_that_is_left(
    face: Any, colour: str, nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    nvcf_emulator.reply(text=["word "] * 200, chunk_delay=0.05)
    asked = face()
    messages = asked.messages("hi", None)
    if colour == "sync":
        stream = asked.stream(messages)
        while not asked.text(next(stream)):
            pass
        stream.close()
    else:
        astream = await asked.astream(messages)
        while not asked.text(await anext(astream)):
            pass
        await astream.aclose()
    attributes = recorded.attributes()
    assert attributes["nvcf.abandoned"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.response.model"] == KIMI
    assert "error.type" not in attributes
    assert recorded.span().status.status_code is StatusCode.UNSET
    assert nvcf_emulator.wait_until(lambda: nvcf_emulator.streaming == 0)


async def test_a_task_that_is_cancelled(
    face: Any, nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    nvcf_emulator.reply(text="late", delay=30)
    asked = face()
    task = asyncio.create_task(asked.acomplete(asked.messages("hi", None)))
    await asyncio.to_thread(nvcf_emulator.wait_until, lambda: nvcf_emulator.chats)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.attributes()["nvcf.abandoned"] is True


async def test_polls(way: Any, nvcf_emulator: Emulator, recorded: Recorded) -> None:
    nvcf_emulator.accept(polls=2)
    await way().ask()
    polls = [request for request in nvcf_emulator.requests if request.method == "GET"]
    assert recorded.attributes()["nvcf.polls"] == len(polls) > 0


async def test_uploads(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded, large_picture: bytes
) -> None:
    asked = way()
    await asked.ask("What is it?", large_picture)
    await asked.ask("And now?", large_picture)
    await asked.close()
    first, second = (dict(span.attributes or {}) for span in recorded.spans)
    assert first["nvcf.uploads"] == 1
    assert first["nvcf.uploaded_bytes"] == len(large_picture)
    assert "nvcf.uploads" not in second, "it was uploaded before"


async def test_polls_and_uploads_are_logged_for_those_who_debug(
    way: Any, nvcf_emulator: Emulator, large_picture: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nvcf")
    nvcf_emulator.accept(polls=1)
    asked = way()
    await asked.ask(SECRET, large_picture)
    await asked.close()
    lines = [record.getMessage() for record in caplog.records if record.name == "nvcf"]
    assert lines == [
        "create was answered with 200",
        "put was answered with 200",
        *["poll was answered with 202"] * (len(lines) - 4),
        "poll was answered with 200",
        "delete was answered with 204",
    ]
    assert {record.levelno for record in caplog.records if record.name == "nvcf"} == {logging.DEBUG}


async def test_a_wait_for_the_limit(way: Any, recorded: Recorded) -> None:
    class Limiter:
        """Lets everyone wait a little."""

        def acquire(self) -> None:
            threading.Event().wait(0.05)

        async def acquire_async(self) -> None:
            await asyncio.sleep(0.05)

        def feedback(self, status: int, retry_after: float | None) -> None: ...

    await way(request_limiter=Limiter()).ask()
    assert recorded.attributes()["nvcf.rate_limit.wait"] >= 0.045


async def test_a_span_is_a_child_of_the_one_in_which_the_call_is_made(
    way: Any, recorded: Recorded
) -> None:
    asked = way()
    with recorded.tracer.start_as_current_span("one"):
        await asked.ask()
    with recorded.tracer.start_as_current_span("two"):
        await asyncio.gather(asked.ask(), asked.ask())
    assert len(recorded.spans) == 3
    names = {one.context.span_id: one.name for one in recorded._exporter.get_finished_spans()}
    assert [names[span.parent.span_id] for span in recorded.spans if span.parent] == [
        "one", "two", "two",
    ]  # fmt: skip


async def test_what_happens_while_it_is_sent_is_a_child(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    def key() -> str:
        with recorded.tracer.start_as_current_span("the key is read"):
            return nvcf_emulator.api_key

    before = trace.get_current_span()
    await way(api_key=key).ask()
    assert trace.get_current_span() is before
    (inner,) = [one for one in recorded._exporter.get_finished_spans() if "key" in one.name]
    assert inner.parent.span_id == recorded.span().context.span_id


def test_a_stream_read_elsewhere_belongs_where_it_was_asked_for(
    core: Any, recorded: Recorded
) -> None:
    asked = core()
    with recorded.tracer.start_as_current_span("asking") as parent:
        stream = asked.stream(asked.messages("hi", None))
    with recorded.tracer.start_as_current_span("reading"):
        for _ in stream:
            assert trace.get_current_span().name == "reading"  # type: ignore[attr-defined]
    assert recorded.span().parent.span_id == parent.get_span_context().span_id


async def test_a_tracer_above_that_counts_tokens_is_not_counted_twice(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    nvcf_emulator.reply(text="ok", usage=USAGE, times=2)
    asked = way()
    for kind in ({"openinference.span.kind": "LLM"}, {"gen_ai.operation.name": "chat"}):
        with recorded.tracer.start_as_current_span("the framework's", attributes=kind):
            await asked.ask()
    assert len(recorded.spans) == 2
    for span in recorded.spans:
        assert "gen_ai.usage.input_tokens" not in (span.attributes or {})
    with recorded.tracer.start_as_current_span(
        "an agent's", attributes={"gen_ai.operation.name": "invoke_agent"}
    ):
        nvcf_emulator.reply(text="ok", usage=USAGE)
        await asked.ask()
    assert dict(recorded.spans[2].attributes or {})["gen_ai.usage.input_tokens"] == 11


async def test_counting_may_be_left_to_another_tracer(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    otel.instrument(
        tracer_provider=recorded.tracers, meter_provider=recorded.meters, count_tokens=False
    )
    nvcf_emulator.reply(text="ok", usage=USAGE)
    await way().ask()
    assert not [name for name in recorded.attributes() if name.startswith("gen_ai.usage.")]
    assert not recorded.points("gen_ai.client.token.usage")
    assert recorded.points("gen_ai.client.operation.duration")


@pytest.mark.parametrize(
    "key", ["suppress_language_model_instrumentation", "suppress_instrumentation"]
)
async def test_tracers_that_ask_for_silence_get_it(way: Any, recorded: Recorded, key: str) -> None:
    token = context.attach(context.set_value(key, True))
    try:
        assert await way().ask()
    finally:
        context.detach(token)
    assert not recorded.spans
    assert not recorded.points("gen_ai.client.operation.duration")


def test_langchains_own_callbacks_count_as_ever(
    settings: dict[str, Any], nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    nvcf_emulator.reply(text="ok", usage=USAGE)
    counter = UsageMetadataCallbackHandler()
    with ChatNVCF(**settings) as chat:
        chat.invoke("hi", config={"callbacks": [counter]})
    assert counter.usage_metadata[KIMI]["total_tokens"] == 18
    assert len(recorded.spans) == 1


def test_each_prompt_of_a_batch_is_a_call(
    settings: dict[str, Any], nvcf_emulator: Emulator, recorded: Recorded
) -> None:
    with (
        NVCFLLM(**settings) as llm,
        recorded.tracer.start_as_current_span("a batch") as parent,
    ):
        llm.batch(["one", "two", "three"])
    assert len(nvcf_emulator.chats) == len(recorded.spans) == 3
    (around,) = {span.parent.span_id for span in recorded.spans if span.parent}
    assert around == parent.get_span_context().span_id


def test_an_injected_client_is_traced_as_well(settings: dict[str, Any], recorded: Recorded) -> None:
    seen: list[Any] = []
    hooks = {"request": [lambda _: seen.append(trace.get_current_span())]}
    with httpx.Client(event_hooks=hooks) as client:  # Where httpx's own tracer would be.
        ChatNVCF(**settings | {"http_client": client, "verify": True}).invoke("hi")
    assert [one.get_span_context() for one in seen] == [recorded.span().context]


def test_a_span_that_is_not_sampled_is_still_measured(core: Any) -> None:
    recorded = Recorded()
    otel.instrument(
        tracer_provider=TracerProvider(sampler=ALWAYS_OFF), meter_provider=recorded.meters
    )
    try:
        asked = core()
        asked.complete(asked.messages("hi", None))
        assert len(recorded.points("gen_ai.client.operation.duration")) == 1
    finally:
        otel.uninstrument()
        recorded.meters.shutdown()


def test_without_a_provider_nothing_is_recorded(core: Any) -> None:
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert not isinstance(metrics.get_meter_provider(), MeterProvider)
    otel.instrument()
    try:
        asked = core()
        assert asked.complete(asked.messages("hi", None))
    finally:
        otel.uninstrument()


def test_nobody_is_told_of_a_call_by_default(core: Any) -> None:
    asked = core()
    call = asked.model._build_request(asked.messages("hi", None), {}, stream=False)
    assert observe(call) is UNOBSERVED
    assert asked.complete(asked.messages("hi", None))


async def test_pieces_cost_nothing(
    way: Any, nvcf_emulator: Emulator, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pieces there are, the observation of a call is told the same number of times."""
    told: list[str] = []
    kind = type(observe_any(way()))
    for name in ("waited", "retrying", "responded", "reading", "first_chunk", "sending"):
        real = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *given, r=real, n=name: told.append(n) or r(*given))
    counts = []
    for pieces in (2, 300):
        told.clear()
        nvcf_emulator.reply(text=["word "] * pieces)
        await way().ask()
        counts.append(len(told))
    assert counts[0] == counts[1] > 0


def observe_any(asked: Any) -> Any:
    """The observation of any call."""
    model = asked.model
    client_messages = asked.face.messages("hi", None)
    build = getattr(model, "_build_chat_request", None)
    if build is None:
        return observe(model._build_request(client_messages, {}, stream=False))
    given = (None, {}) if "stop" in inspect.signature(build).parameters else ({},)
    return observe(build(client_messages, *given, stream=False))


def test_without_the_extra_the_error_names_it() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import nvcf_core.observability.otel"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "nvcf-adapters[otel]"' in run.stderr.splitlines()[-1]


def names_of(module: Any) -> set[str]:
    return {value for name, value in vars(module).items() if name.startswith("GEN_AI_")}


async def test_names_are_those_of_the_conventions(
    way: Any, nvcf_emulator: Emulator, with_content: Recorded
) -> None:
    nvcf_emulator.reply(text="ok", usage=USAGE)
    await way(temperature=0.5).ask()
    used = {name for name in with_content.attributes() if name.startswith("gen_ai.")}
    assert used
    assert used <= names_of(gen_ai_attributes)
    for name in ("operation.duration", "token.usage", "operation.time_to_first_chunk"):
        assert f"gen_ai.client.{name}" in names_of(gen_ai_metrics)
