"""Counters and histograms of a site. They begin at zero with the process, which Prometheus allows for."""

import itertools
from collections.abc import Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import Metric

from orchestrator.runtime.observability.metrics.all_families import FAMILIES
from orchestrator.runtime.observability.metrics.family import Family, Kind


class Counters:
    """Those of the table, by name without the prefix. Series whose labels are known beforehand are there at once."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._counters = {name: _counter(family) for name, family in FAMILIES.items() if family.kind is Kind.COUNTER}
        self._histograms = {
            name: _histogram(family) for name, family in FAMILIES.items() if family.kind is Kind.HISTOGRAM
        }
        for name, made in (*self._counters.items(), *self._histograms.items()):
            known = [label.values for label in FAMILIES[name].labels]
            for values in itertools.product(*known):
                made.labels(site, *values)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """An amount of 0 makes the series be there."""
        self._counters[name].labels(self._site, *labels).inc(amount)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        self._histograms[name].labels(self._site, *labels).observe(seconds)

    def families(self) -> Iterator[Metric]:
        for made in (*self._counters.values(), *self._histograms.values()):
            for metric in made.collect():
                # When each series began would be a gauge beside each, and says no more than its reset does.
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric


def _counter(family: Family) -> Counter:
    return Counter(family.base, family.help, family.label_names, unit=family.unit, registry=None)


def _histogram(family: Family) -> Histogram:
    return Histogram(
        family.base, family.help, family.label_names, unit=family.unit, buckets=family.buckets, registry=None
    )
