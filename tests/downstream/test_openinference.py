"""OpenInference's spans of both frameworks: model, tokens, tool calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_nvcf import ChatNVCF
from llamaindex_nvcf import NVCF
from nvcf_core.observability import otel
from nvcf_emulator import Emulator

KIMI = "moonshotai/kimi-k2.6"

langchain_spans = pytest.importorskip(
    "openinference.instrumentation.langchain", reason="needs the extra `downstream`"
)
llamaindex_spans = pytest.importorskip("openinference.instrumentation.llama_index")

trace = pytest.importorskip("opentelemetry.sdk.trace")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
in_memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")


@pytest.fixture
def spans() -> Iterator[Any]:
    """An exporter that keeps the spans that ended."""
    exporter, provider = in_memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    instrumentors = (
        langchain_spans.LangChainInstrumentor(),
        llamaindex_spans.LlamaIndexInstrumentor(),
    )
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    yield exporter
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def of_the_model(spans: Any) -> dict[str, Any]:
    """The attributes of the one span of OpenInference that stands for an answer of a model."""
    found = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    (only,) = [one for one in found if "llm.token_count.total" in one]
    assert only["openinference.span.kind"] == "LLM"
    return only


def check(attributes: dict[str, Any], key: str) -> None:
    assert attributes["llm.model_name"] == KIMI
    assert attributes["llm.token_count.prompt"] == 11
    assert attributes["llm.token_count.completion"] == 7
    assert attributes["llm.token_count.total"] == 18
    call = "llm.output_messages.0.message.tool_calls.0.tool_call."
    assert attributes[f"{call}id"] == "c1"
    assert attributes[f"{call}function.name"] == "weather"
    assert json.loads(attributes[f"{call}function.arguments"]) == {"city": "Cairo"}
    assert key not in json.dumps(attributes, default=str)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.mark.parametrize("streamed", [False, True])
def test_langchain(
    chat: ChatNVCF,
    nvcf_emulator: Emulator,
    spans: Any,
    call: Any,
    usage: dict[str, int],
    streamed: bool,
) -> None:
    nvcf_emulator.reply(
        reasoning="I ask.",
        tool_calls=[call("c1", "weather", city="Cairo")],
        usage={**usage, "completion_tokens_details": {"reasoning_tokens": 3}},
    )
    model = chat.bind_tools([weather])
    list(model.stream("Cairo?")) if streamed else model.invoke("Cairo?")
    attributes = of_the_model(spans)
    check(attributes, nvcf_emulator.api_key)
    assert "I ask." in attributes["output.value"]


@pytest.mark.parametrize("streamed", [False, True])
def test_llamaindex(
    llm: NVCF,
    nvcf_emulator: Emulator,
    spans: Any,
    call: Any,
    usage: dict[str, int],
    streamed: bool,
) -> None:
    from llama_index.core.tools import FunctionTool

    nvcf_emulator.reply(
        reasoning="I ask.",
        tool_calls=[call("c1", "weather", city="Cairo")],
        usage={**usage, "completion_tokens_details": {"reasoning_tokens": 3}},
    )
    tools = [FunctionTool.from_defaults(weather)]
    if streamed:
        list(llm.stream_chat_with_tools(tools, user_msg="Cairo?"))
    else:
        llm.chat_with_tools(tools, user_msg="Cairo?")
    attributes = of_the_model(spans)
    check(attributes, nvcf_emulator.api_key)
    # Its spans have no place for the reasoning itself.
    assert attributes["llm.token_count.completion_details.reasoning"] == 3


@pytest.fixture
def beside(spans: Any) -> Iterator[Any]:
    """The same exporter, with the spans of `nvcf_core.observability.otel` as well."""
    provider = trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    otel.instrument(tracer_provider=provider)
    yield spans
    otel.uninstrument()


def ours(spans: Any) -> Any:
    """The one span of `nvcf_core.observability.otel`."""
    (only,) = [one for one in spans.get_finished_spans() if one.name == f"chat {KIMI}"]
    return only


@pytest.mark.parametrize("streamed", [False, True])
def test_beside_llamaindex_tokens_are_counted_once(
    llm: NVCF, nvcf_emulator: Emulator, beside: Any, usage: dict[str, int], streamed: bool
) -> None:
    nvcf_emulator.reply(text="Sunny.", usage=usage)
    list(llm.stream_complete("Cairo?")) if streamed else llm.complete("Cairo?")
    framework = of_the_model(beside)
    assert framework["llm.token_count.total"] == 18
    assert ours(beside).parent is not None
    assert "gen_ai.usage.input_tokens" not in ours(beside).attributes


def test_beside_langchain_counting_may_be_left_to_it(
    chat: ChatNVCF, nvcf_emulator: Emulator, beside: Any, usage: dict[str, int]
) -> None:
    """Spans made of callbacks are not current: neither side knows of the other, and their names do not clash."""
    nvcf_emulator.reply(text="Sunny.", usage=usage)
    chat.invoke("Cairo?")
    framework = of_the_model(beside)
    assert framework["llm.token_count.total"] == 18
    assert not [name for name in framework if name.startswith("gen_ai.")]
    assert not [name for name in ours(beside).attributes if name.startswith("llm.")]
