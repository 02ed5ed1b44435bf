"""The mapping of series fitted to a site: whose they are, how many parts a device has, what a silent part counts at."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.domain.observation import Metric
from orchestrator.domain.series.series import Combine, Series, SeriesMap, Whole
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site

RACK_METRICS = frozenset(
    {Metric.ASIC_POWER, Metric.ASIC_ENERGY, Metric.ASIC_HASHRATE, Metric.ASIC_HASHES, Metric.ASIC_TEMPERATURE}
)
NODE_METRICS = frozenset({Metric.GPU_POWER, Metric.NODE_POWER, Metric.NODE_ENERGY})
METER_METRICS = frozenset({Metric.METER_POWER, Metric.METER_ENERGY})


def fitted(site: Site, series: Iterable[tuple[Series, frozenset[str] | None]]) -> SeriesMap:
    """The mapping for `site`. Each series is for the fleets or pools named beside it, or for all with None."""
    return SeriesMap(
        tuple(replace(one, wholes=_wholes(site, one, only)) for one, only in series), site.stale.telemetry_max_age
    )


def _wholes(site: Site, series: Series, only: frozenset[str] | None) -> Mapping[str, Whole] | None:
    wholes: dict[str, Whole] = {}
    if series.metric in RACK_METRICS:
        for fleet in site.fleets:
            if only is None or fleet.name in only:
                wholes.update(dict.fromkeys(fleet.rack_names(), _of_rack(series, fleet)))
        return wholes
    if series.metric in NODE_METRICS:
        for pool in site.pools:
            if only is None or pool.name in only:
                wholes.update(dict.fromkeys(pool.node_names(), _of_node(series, pool)))
        return wholes
    return None


def _of_rack(series: Series, fleet: Fleet) -> Whole:
    if series.combine is not Combine.SUM:
        return Whole()
    parts = series.expected or fleet.machines_per_rack
    match series.metric:
        case Metric.ASIC_POWER:
            return Whole(parts, fleet.rack_nameplate_kw * 1000.0 / parts)
        case Metric.ASIC_HASHRATE:
            return Whole(parts, 0.0)  # nobody is known to hash
        case _:
            return Whole(parts)


def _of_node(series: Series, pool: GpuPool) -> Whole:
    plus = pool.node_overhead_w if series.with_overhead else 0.0
    if series.combine is not Combine.SUM:
        return Whole(plus=plus)
    parts = series.expected or pool.gpus_per_node
    match series.metric:
        case Metric.NODE_POWER if not series.with_overhead:
            return Whole(parts, pool.node_nameplate_kw * 1000.0 / parts)
        case Metric.NODE_POWER | Metric.GPU_POWER:
            return Whole(parts, pool.gpus_per_node * pool.gpu_power_w / parts, plus)
        case _:
            return Whole(parts)
