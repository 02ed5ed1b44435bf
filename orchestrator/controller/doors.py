"""What a controller works through."""

from dataclasses import dataclass

from orchestrator.ports import MetricSource, PriceSource, SeriesSource, Store, WorkloadDriver


@dataclass(frozen=True, slots=True)
class Doors:
    """The adapters a controller works through."""

    prices: PriceSource
    hashprice: SeriesSource
    weather: SeriesSource
    metrics: MetricSource
    workloads: WorkloadDriver
    store: Store
