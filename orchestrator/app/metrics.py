"""The controller's own metrics, as Prometheus asks for them: read off the latest snapshot, nothing kept twice."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

import orchestrator
from orchestrator.domain.decision import Breach, BreachState, Decision, Outcome
from orchestrator.domain.snapshot import Snapshot
from orchestrator.ports import Record


class SiteMetrics(Collector):
    """`wattshift_*`: gauges from the snapshot at scrape time, counters of what was published."""

    def __init__(self, registry: CollectorRegistry, snapshot: Callable[[], Snapshot | None]) -> None:
        self._snapshot = snapshot
        registry.register(self)
        self._decisions = Counter("wattshift_decisions", "Decisions made.", ["trigger"], registry=registry)
        self._outcomes = Counter("wattshift_actions", "Actions by what came of them.", ["state"], registry=registry)
        self._breaches = Counter("wattshift_breaches", "Breaches opened.", ["kind"], registry=registry)

    def count(self, record: Record) -> None:
        """Count a record that was published."""
        if isinstance(record, Decision):
            self._decisions.labels(record.trigger).inc()
        elif isinstance(record, Outcome):
            self._outcomes.labels(record.state).inc()
        elif isinstance(record, Breach) and record.state is BreachState.ACTIVE:
            self._breaches.labels(record.kind).inc()

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        build = InfoMetricFamily("wattshift_build", "The running version.")
        build.add_metric([], {"version": orchestrator.__version__})
        yield build
        snapshot = self._snapshot()
        if snapshot is None:
            return
        power = GaugeMetricFamily("wattshift_power_watts", "Measured power by use.", labels=["use"])
        for use, kw in (
            ("mining", snapshot.measured.mining_kw),
            ("hpc", snapshot.measured.hpc_kw),
            ("overhead", snapshot.measured.overhead_kw),
        ):
            power.add_metric([use], kw * 1000.0)
        yield power
        feeders = GaugeMetricFamily("wattshift_feeder_power_watts", "Measured power by feeder.", labels=["feeder"])
        for feeder, kw in snapshot.measured.feeders_kw.items():
            feeders.add_metric([feeder], kw * 1000.0)
        yield feeders
        limit = GaugeMetricFamily("wattshift_limit_watts", "The cap on grid power in force.")
        limit.add_metric([], snapshot.limits.grid.limit_kw * 1000.0)
        yield limit
        price = GaugeMetricFamily("wattshift_price_usd_per_mwh", "The price in force.", labels=["basis"])
        price.add_metric([snapshot.price.basis], snapshot.price.usd_per_mwh)
        yield price
        stale = GaugeMetricFamily("wattshift_stale_inputs", "Inputs that are stale, missing or assumed.")
        stale.add_metric([], len(snapshot.stale))
        yield stale
