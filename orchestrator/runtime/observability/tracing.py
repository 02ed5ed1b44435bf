"""Whether decisions are traced, by OpenTelemetry's own variables. Its SDK is imported only where they are."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.clock import SiteClock
from orchestrator.controller.rounds import Part, Result, RoundWatch
from orchestrator.ports import Store
from orchestrator.runtime.observability import logs

if TYPE_CHECKING:
    from orchestrator.runtime.observability.decision_traces import DecisionTraces
    from orchestrator.runtime.observability.spans import Spans

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


@contextmanager
def open_tracing(site: str, env: Mapping[str, str]) -> Iterator["Spans | None"]:
    """What spans are made with while the block runs; None where traces are off. `env` is the process's own.

    What is asked for and cannot be had is logged and costs only the traces: these variables may be set for a whole
    machine, and power is to be controlled all the same.
    """
    spans = _open(site) if _wanted(env) else None
    logs.context.traced = spans is not None
    try:
        yield spans
    finally:
        logs.context.traced = False
        if spans is not None:
            spans.close()


def traces_of(spans: "Spans", clock: SiteClock, store: Store) -> "DecisionTraces":
    """The traces of one controller's decisions."""
    from orchestrator.runtime.observability.decision_traces import DecisionTraces  # noqa: PLC0415 - an extra

    return DecisionTraces(spans, clock, store.decision)


def both(one: RoundWatch, other: RoundWatch) -> RoundWatch:
    """One that tells two."""
    return _Both(one, other)


class _Both:
    def __init__(self, *watches: RoundWatch) -> None:
        self._watches = watches

    def begin(self) -> None:
        for watch in self._watches:
            watch.begin()

    def done(self, part: Part) -> None:
        for watch in self._watches:
            watch.done(part)

    def end(self, result: Result) -> None:
        for watch in self._watches:
            watch.end(result)


def _wanted(env: Mapping[str, str]) -> bool:
    if not any(env.get(name) for name in _ENDPOINTS):
        return False
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    protocol = next((env[name] for name in _PROTOCOLS if env.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        log.error("decisions are not traced: OTLP by %s is asked for, and only %s is spoken", protocol, _SPOKEN)
    return protocol == _SPOKEN


def _open(site: str) -> "Spans | None":
    try:
        from orchestrator.runtime.observability.spans import Spans  # noqa: PLC0415 - an extra
    except ImportError as error:
        log.error('decisions are not traced: %s is missing; pip install "wattshift[tracing]"', error.name)
        return None
    return Spans(site)
