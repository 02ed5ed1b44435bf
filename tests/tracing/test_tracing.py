"""Traces are off unless OpenTelemetry's variables say otherwise; what these ask for in vain costs only the traces."""

import subprocess
import sys

import pytest

from orchestrator.runtime.observability import logs
from orchestrator.runtime.observability.trace_ids import root_span_id, trace_id
from orchestrator.runtime.observability.tracing import open_tracing
from tests.tracing.collector import Collector


def named_in_logs() -> bool:
    return logs.context.traced


ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "x"},
        ON | {"OTEL_SDK_DISABLED": "True"},
        ON | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_off_without_a_word(env: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with open_tracing("texas", env) as spans:
        assert spans is None
        assert not named_in_logs()
    assert caplog.records == []


def test_on_where_an_endpoint_is_set(traced: Collector) -> None:
    with open_tracing("texas", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "set"}) as spans:
        assert spans is not None
        assert named_in_logs()
        spans.root("decision", "d-1", 1, {}).end(2)
    assert not named_in_logs()
    (sent,) = traced.spans  # closing sends what is left
    assert (sent.trace_id, sent.span_id) == (trace_id("texas", "d-1"), root_span_id("texas", "d-1"))


def test_a_protocol_that_is_not_spoken_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with open_tracing("texas", ON | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) as spans:
        assert spans is None
    assert "OTLP by grpc is asked for, and only http/protobuf is spoken" in caplog.text


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delitem(sys.modules, "orchestrator.runtime.observability.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with open_tracing("texas", ON) as spans:
        assert spans is None
    assert 'pip install "wattshift[tracing]"' in caplog.text


def test_off_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, orchestrator.cli.app, orchestrator.runtime.ha.serve_cluster, orchestrator.runtime.demo.demo_live;"
        "from orchestrator.runtime.observability.tracing import open_tracing;"
        "open_tracing('texas', {}).__enter__();"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_trace_of_a_decision_is_found_by_a_shell() -> None:
    """As docs/logs-and-traces.md has it."""
    command = "printf texas/d-1 | sha256sum | cut -c 1-32"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == trace_id("texas", "d-1")
