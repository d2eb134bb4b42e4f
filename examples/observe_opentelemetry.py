"""What OpenTelemetry is told of an agent that streams: a span for each call of the model, and the metrics of all.

Needs: pip install "nvcf-adapters[langchain,emulator,otel]" langchain opentelemetry-sdk
"""

from collections.abc import Sequence

from _service import connection
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from langchain_nvcf import ChatNVCF
from nvcf_core.observability.otel import instrument

SHOWN = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
)


class Printer(SpanExporter):
    """Prints each span when it ends. In production an OTLPSpanExporter sends them to a collector."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called for each span by itself."""
        for span in spans:
            seconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e9
            print(f"span {span.name}: {seconds:.3f} s")
            for name in SHOWN:
                if (value := (span.attributes or {}).get(name)) is not None:
                    print(f"  {name} = {value}")
        return SpanExportResult.SUCCESS


def order_status(number: int) -> str:
    """Where an order is."""
    return f"order {number} left the harbour on Tuesday"


def print_metrics(reader: InMemoryMetricReader) -> None:
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else []
    for metric in metrics:
        for point in metric.data.data_points:
            assert isinstance(point, HistogramDataPoint)
            kind = (point.attributes or {}).get("gen_ai.token.type", "")
            print(f"metric {metric.name} {kind}: {point.count} times, {point.sum:.3f} in all")


if __name__ == "__main__":
    reader = InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(Printer()))
    trace.set_tracer_provider(tracers)
    instrument(meter_provider=meters)

    with connection() as service:
        agent = create_agent(
            ChatNVCF(model="nvidia/nemotron-3-super-120b-a12b", streaming=True, **service),
            [order_status],
        )
        with trace.get_tracer("shop").start_as_current_span("answer a customer"):
            question = HumanMessage("Where is order 7?")
            answer = agent.invoke({"messages": [question]})["messages"][-1]
    print(f"\n{answer.text}\n")
    print_metrics(reader)
    meters.shutdown()
