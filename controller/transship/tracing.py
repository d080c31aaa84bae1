"""Traces of promotions, by OpenTelemetry over OTLP/HTTP. It needs `transship[otel]`, and is imported where wanted only.

Where to, how often and how much is said by the standard `OTEL_*` variables. A collector that is away costs promotions
nothing: spans wait in a queue of bounded length, for a thread of their own, and one warning tells of it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, Status, StatusCode, format_span_id, format_trace_id

from transship.errors import TransshipError

_PREFIX = "transship."
_CLOSE_SECONDS = 3.0
_log = structlog.get_logger(__name__)


class Traced:
    """Implements `oci.spans.Span`."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def note(self, **facts: object) -> None:
        """See `oci.spans.Span`."""
        self._span.set_attributes(_attributes(facts))

    def fail(self, message: str) -> None:
        """See `oci.spans.Span`."""
        self._span.set_status(Status(StatusCode.ERROR, message))


class Tracing:
    """Implements `oci.spans.Spans`. Thread-safe; make one for the process.

    While a span is open, log lines of its thread, and of threads that work for it, carry its ids.

    Args:
        version: of this program.
        exporter: where spans go; over OTLP/HTTP, as the environment says, when not given.
    """

    def __init__(self, version: str, exporter: SpanExporter | None = None) -> None:
        ours = Resource.create({"service.name": "transship", "service.version": version})
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(Persistent(exporter or OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("transship", version)

    @contextmanager
    def span(self, name: str, /, **facts: object) -> Iterator[Traced]:
        """See `oci.spans.Spans`; of an exception that is not ours only the type is told, as its text is not either."""
        with self._tracer.start_as_current_span(
            name, attributes=_attributes(facts), record_exception=False, set_status_on_exception=False
        ) as span:
            ids, traced = span.get_span_context(), Traced(span)
            with structlog.contextvars.bound_contextvars(
                trace_id=format_trace_id(ids.trace_id), span_id=format_span_id(ids.span_id)
            ):
                try:
                    yield traced
                except TransshipError as error:
                    traced.fail(str(error))
                    raise
                except BaseException as error:
                    traced.fail(f"unexpected {type(error).__name__}")
                    raise

    def close(self) -> None:
        """Send what has not been sent yet, for a few seconds at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(_CLOSE_SECONDS)


class Persistent(SpanExporter):
    """Tells once when spans cannot be sent, and once when they can again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; one that cannot be sent is lost."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - traces must not end what they are about
            result, why = SpanExportResult.FAILURE, type(error).__name__
        else:
            why = "the collector does not take them"
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            advice = "check OTEL_EXPORTER_OTLP_ENDPOINT and the collector; promotions go on"
            _log.warning("traces cannot be sent and are dropped", note=f"{why}; {advice}")
        elif self._is_failing and not is_failing:
            _log.info("traces are sent again")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is kept here: nothing is."""
        return self._exporter.force_flush(timeout_millis)


def _attributes(facts: Mapping[str, object]) -> dict[str, str | int]:
    """As spans have them: names with dots, numbers as numbers, and nothing that is empty."""
    return {
        f"{_PREFIX}{name.replace('_', '.')}": value if isinstance(value, int) else str(value)
        for name, value in facts.items()
        if value not in (None, "")
    }
