"""A scrape of `/metrics`: series, size and time, of a small site and of one with 1,000 fleets and 10,000 jobs, in turn.

Beside it what the metrics add to a round of the control loop at rest, and to one that settles all meters and jobs.
Times are CPU seconds. Not a test: run it on a quiet machine.
`python benchmarks/bench_metrics.py [--fleets N] [--jobs N] [--rounds N]`
"""

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks.bench_dispatch import NOW, make_site, make_snapshot, readings
from orchestrator.accounting.settlement import Books, settle
from orchestrator.api.exposition import exposition
from orchestrator.controller import Controller, Doors
from orchestrator.controller.rounds import Part, Result
from orchestrator.domain.observation import Metric, Quality, Reading, Sample, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.explain.plan_view import PlanState
from orchestrator.observe.assess import Inputs
from orchestrator.ports import Memory, ObservationRecord, Record
from orchestrator.runtime.observability.metrics import SiteMetrics

LATER = timedelta(minutes=5)
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
"""What a Prometheus server asks for."""
OBSERVATION = ObservationRecord(NOW, 60.0, "real_time", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (), ())


class NoStore:
    def restore(self, now: datetime) -> Memory:
        return Memory()


class Watched:
    """A site that has been observed, and its metrics."""

    def __init__(self, fleets: int, jobs: int) -> None:
        rng = random.Random(1)
        self.site = make_site(fleets, 4, jobs, rng, gpus_per_job=4)
        self.jobs = jobs
        self.snapshot = make_snapshot(self.site, jobs, rng, 60.0)
        self.inputs = readings(self.site, self.snapshot, NOW)
        self.metrics = SiteMetrics(self.site, lambda: NOW)
        shut: Any = None  # no round is gone: what one would come to is put in its place
        empty: Any = NoStore()
        self.controller = Controller(self.site, Doors(shut, shut, shut, shut, shut, empty), now=NOW)
        self.metrics.watch(self.controller, lambda: PlanState(None))
        self.controller.snapshot, self.controller.inputs = self.snapshot, self.inputs

    def scrape(self, accept: str = "") -> bytes:
        return bytes(exposition(self.metrics.registry, accept).body)

    def collect(self) -> object:
        return [list(family.samples) for family in self.metrics.registry.collect()]

    def rest(self) -> None:
        """All that the metrics do in a round in which nothing moves."""
        assert self.controller.snapshot is not None
        self.controller.snapshot = replace(self.snapshot, at=self.controller.snapshot.at + timedelta(seconds=5))
        rounds = self.metrics.rounds
        rounds.begin()
        self.metrics.count([OBSERVATION])
        for part in Part:
            rounds.done(part)
        rounds.end(Result.OK)

    def settlement(self) -> list[Record]:
        """What a round puts on record that posts the energy of all meters and the work of all jobs that run."""
        before, now = metered(self.site, self.inputs, 0.0), metered(self.site, self.inputs, LATER.total_seconds())
        workloads, later = self.inputs.workloads, replace(self.snapshot, at=NOW + LATER)
        _, books = settle(self.site, Books(), self.snapshot, workloads, before)
        records, _ = settle(self.site, books, later, workloads, now)
        return list(records)


def metered(site: Site, inputs: Inputs, since_s: float) -> Telemetry:
    """The same readings, with the counters of all devices at a megawatt-second a second."""
    at = NOW + timedelta(seconds=since_s)
    reading = Reading(1e6 * since_s, "J", at, Quality.FRESH)
    samples = [Sample(sample.metric, sample.subject, replace(sample.reading, at=at)) for sample in inputs.telemetry]
    for sample in inputs.telemetry:
        if sample.metric is Metric.JOB_PROGRESS and sample.reading.value is not None:
            done = replace(sample.reading, value=sample.reading.value + since_s, at=at)
            samples.append(Sample(sample.metric, sample.subject, done))
    for _, rack in site.racks():
        samples.extend(Sample(metric, rack, reading) for metric in (Metric.ASIC_ENERGY, Metric.ASIC_HASHES))
    samples.extend(Sample(Metric.NODE_ENERGY, node, reading) for _, node in site.nodes())
    return Telemetry(at, samples)


def median_ms(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """CPU time of each, taken in turn."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, taken in zip(calls, seconds, strict=True):
            gc.collect()
            began = time.process_time()
            call()
            taken.append(time.process_time() - began)
    return [statistics.median(taken) * 1e3 for taken in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    sites = [Watched(4, 60), Watched(asked.fleets, asked.jobs)]
    settlements = [site.settlement() for site in sites]
    table = Table("ms of CPU unless said otherwise", *(f"{len(s.site.fleets)} fleets, {s.jobs} jobs" for s in sites))
    bodies = [site.scrape() for site in sites]
    families = [list(text_string_to_metric_families(body.decode())) for body in bodies]
    table.add_row("series", *(str(sum(len(family.samples) for family in found)) for found in families))
    table.add_row("size, kB", *(f"{len(body) / 1e3:.0f}" for body in bodies))
    for name, calls in (
        ("scrape, text", [site.scrape for site in sites]),
        ("scrape, OpenMetrics", [lambda site=site: site.scrape(OPENMETRICS) for site in sites]),
        ("the same by the library", [lambda site=site: generate_latest(site.metrics.registry) for site in sites]),
        ("of it, gathering", [site.collect for site in sites]),
        ("a round at rest", [site.rest for site in sites]),
        (
            "a settlement",
            [lambda s=site, r=records: s.metrics.count(r) for site, records in zip(sites, settlements, strict=True)],
        ),
    ):
        table.add_row(name, *(f"{ms:.2f}" for ms in median_ms(calls, asked.rounds)))
    table.add_row("its records", *(str(len(records)) for records in settlements))
    Console().print(table)


if __name__ == "__main__":
    main()
