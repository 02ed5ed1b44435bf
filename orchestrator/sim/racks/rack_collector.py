"""The metrics of simulated ASIC racks, under the names of docs/mock-site.md."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.sim.racks.asic_rack import RackReport

LABELS = ("fleet", "rack", "model")
STATES = ("hashing", "warming", "asleep", "failed", "hung")
Reports = Callable[[], Sequence[tuple[str, RackReport]]]
"""Every rack's name `fleet/rack-n` and its report of this moment."""


class RackCollector(Collector):
    """The racks' metrics at the moment of the scrape."""

    def __init__(self, asic_model: str, reports: Reports) -> None:
        self._asic_model = asic_model
        self._reports = reports

    def collect(self) -> Iterable[Metric]:
        racks = [([*rack.split("/", 1), self._asic_model], report) for rack, report in self._reports()]
        for name, field, text in (
            ("asic_power_watts", "power_w", "Power drawn by the rack."),
            ("asic_power_limit_watts", "power_limit_w", "Nameplate power of the rack's setpoint."),
            ("asic_hashrate_hashes_per_second", "hashrate_hs", "Hashes per second of the rack."),
            ("asic_temperature_celsius", "temperature_c", "Mean chip temperature."),
            ("asic_last_seen_timestamp_seconds", "at", "When the machines last answered, site time."),
        ):
            gauge = GaugeMetricFamily(name, text, labels=LABELS)
            for labels, report in racks:
                gauge.add_metric(labels, getattr(report, field))
            yield gauge
        info = GaugeMetricFamily("asic_info", "The rack and its mode.", labels=[*LABELS, "mode"])
        machines = GaugeMetricFamily("asic_machines", "Machines by state.", labels=[*LABELS, "state"])
        for labels, report in racks:
            info.add_metric([*labels, report.mode], 1.0)
            for state in STATES:
                machines.add_metric([*labels, state], getattr(report, state))
        yield from (info, machines)
        for name, field, text in (
            ("asic_energy_joules", "energy_j", "Energy drawn since the exporter started."),
            ("asic_hashes", "hashes", "Hashes done since the exporter started."),
        ):
            counter = CounterMetricFamily(name, text, labels=LABELS)
            for labels, report in racks:
                counter.add_metric(labels, getattr(report, field))
            yield counter
