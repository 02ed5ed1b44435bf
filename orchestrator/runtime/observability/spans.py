"""Spans as OpenTelemetry's SDK makes and sends them: over OTLP, from a thread of its own, as its variables say.

Needs the extra `tracing`; `open_tracing` imports it where traces are on.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, set_span_in_context

import orchestrator
from orchestrator.runtime.observability.trace_ids import root_span_id, trace_id

log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""For the last spans when the process ends; what a collector has not taken by then is lost."""

Value = str | bool | int | float


class Spans:
    """Makes the spans of one site's decisions. All times are wall time, ns since the epoch."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create(_about_us(site)), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(_Collector()))
        self._tracer = self._provider.get_tracer("wattshift", orchestrator.__version__)

    def root(self, name: str, decision_id: str, began_ns: int, attributes: Mapping[str, Value]) -> Span:
        """The span that a decision's others hang on: the same ids whoever makes it."""
        self._ids.given = [
            int(digits, 16) for digits in (root_span_id(self.site, decision_id), trace_id(self.site, decision_id))
        ]
        return self._tracer.start_span(name, Context(), attributes=dict(attributes), start_time=began_ns)

    def child(self, name: str, parent: Span, began_ns: int, attributes: Mapping[str, Value]) -> Span:
        context = set_span_in_context(parent, Context())
        return self._tracer.start_span(name, context, attributes=dict(attributes), start_time=began_ns)

    def close(self) -> None:
        """Send what is left, for `FLUSH_S` at most."""
        ending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        ending.join(FLUSH_S)


class _Ids(RandomIdGenerator):
    """Random ids, but for a root's own."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def generate_trace_id(self) -> int:
        return self.given.pop() if self.given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.given.pop() if self.given else super().generate_span_id()


class _Collector(SpanExporter):
    """The exporter, but that it says once that the collector is gone, and once that it is back."""

    def __init__(self) -> None:
        self._exporter = OTLPSpanExporter()
        self._gone = False
        self._complaints = _Complaints(self._complaint)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """On the processor's thread; with retries it takes up to `OTEL_EXPORTER_OTLP_TIMEOUT`."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS and self._gone:
            self._gone = False
            log.warning("spans reach the collector again")
        return result

    def _complaint(self, text: str) -> None:
        if not self._gone:
            self._gone = True
            log.warning("spans do not reach the collector and are lost until they do: %s", text)

    def shutdown(self) -> None:
        self._exporter.shutdown()
        self._complaints.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Complaints(logging.Handler):
    """Takes what the exporter logs at each attempt, instead of the log."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._logger = logging.getLogger(OTLPSpanExporter.__module__)
        self._logger.propagate = False
        self._logger.addHandler(logging.NullHandler())  # for its last words, after the end
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())

    def close(self) -> None:
        self._logger.removeHandler(self)
        super().close()


def _about_us(site: str) -> dict[str, Value]:
    about: dict[str, Value] = {"service.version": orchestrator.__version__, "wattshift.site": site}
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not named:
        about["service.name"] = "wattshift"
    if pod := os.environ.get("POD_NAME"):
        about["service.instance.id"] = pod
    return about
