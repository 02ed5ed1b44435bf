"""Our text for Prometheus, held to the library's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from prometheus_client.registry import Collector

from orchestrator.api.exposition import exposition

OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""The Accept header of Prometheus 2.42."""

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(st.floats(), st.integers(-(10**20), 10**20), st.sampled_from([math.inf, -math.inf, math.nan]))


@given(WORDS, st.lists(st.tuples(WORDS, WORDS, NUMBERS), max_size=6), NUMBERS, st.floats(0, 1e18))
def test_text_is_the_librarys_to_the_byte(
    told: str, labelled: list[tuple[str, str, float]], plain: float, amount: float
) -> None:
    watts = GaugeMetricFamily("a_watts", told, labels=["zone", "about"], unit="watts")
    for zone, about, value in labelled:
        watts.add_metric([zone, about], value)
    joules = CounterMetricFamily("joules", told, labels=["use"])
    joules.add_metric([told], amount)
    build = InfoMetricFamily("build", "The version.", labels=["site"])
    build.add_metric([told], {"version": told})
    seconds = HistogramMetricFamily("round_seconds", "Time.", labels=["part"])
    seconds.add_metric(["all"], [("0.5", 1.0), ("1e+06", amount), ("+Inf", amount)], amount)
    registry = CollectorRegistry()
    registry.register(Made([watts, GaugeMetricFamily("plain", "It has no labels.", plain), joules, build, seconds]))
    assert bytes(exposition(registry, "").body) == generate_latest(registry)
    assert bytes(exposition(registry, OPEN_METRICS).body) == generate_open_metrics(registry)


class Made(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (OPEN_METRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_the_format_is_that_which_is_asked_for(accept: str, given: str) -> None:
    assert exposition(CollectorRegistry(), accept).headers["content-type"] == given
