"""Which readings can be true: what a device's nameplate and its other readings leave possible.

A reading that cannot be true is suspect. It stays in the telemetry with its reason, for whoever shows it, and counts as
silence of its device: it is not summed, not held against a cap, and nothing is booked on it. Bounds come from the site
file; the shares beside them are wide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from orchestrator.domain.observation import POSSIBLE_SHARE, Metric, Quality, Reading, Telemetry
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_TH

LEAST_POWER_SHARE = 0.5
"""Of the power that a hashrate takes at the best efficiency of the fleet's modes: nobody hashes for less."""
GPUS_OVER_NODE = 1.1
"""A node's GPUs draw no more than this share of what the node draws: they are a part of it."""
NODE_BESIDE_GPUS = 2.0
"""What a node draws beside its GPUs is no more than this many times its overhead in the site file."""
GPU_SHARE = 0.2
"""Of what its GPUs can draw: so much may be missing of their sum, as of a GPU that its driver lost."""
TEMPERATURE_C = (-50.0, 200.0)

Suspicion = tuple[Metric, str]
"""Which reading, and why."""


def judged(site: Site, telemetry: Telemetry) -> Telemetry:
    """The same readings, those that cannot be true marked as suspect; pure."""
    found = list(_suspicions(site, telemetry))
    if not found:
        return telemetry
    readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
    for subject, (metric, reason) in found:
        readings[metric][subject] = replace(readings[metric][subject], quality=Quality.SUSPECT, reason=reason)
    return telemetry.with_readings(readings)


def suspects_of(telemetry: Telemetry) -> Mapping[str, str]:
    """Why, by rack, node or job: of several readings of one that are suspect the first. What is no reading at all comes
    before: it has left the one before it, which grows old."""
    found: dict[str, str] = dict(telemetry.refused)
    for metric in _JUDGED:
        for subject, reading in telemetry.readings(metric).items():
            if reading.quality is Quality.SUSPECT:
                found.setdefault(subject, f"{metric.value}: {reading.reason}")
    return found


_JUDGED = (Metric.ASIC_POWER, Metric.NODE_POWER, Metric.ASIC_HASHRATE, Metric.GPU_POWER, Metric.ASIC_TEMPERATURE)


def _suspicions(site: Site, telemetry: Telemetry) -> Iterator[tuple[str, Suspicion]]:
    powers, rates = telemetry.readings(Metric.ASIC_POWER), telemetry.readings(Metric.ASIC_HASHRATE)
    temperatures = telemetry.readings(Metric.ASIC_TEMPERATURE)
    for fleet in site.fleets:
        bounds = _RackBounds(fleet)
        for rack in fleet.rack_names():
            for suspicion in (*bounds.of(powers.get(rack), rates.get(rack)), *_of_temperature(temperatures.get(rack))):
                yield rack, suspicion
    nodes, gpus = telemetry.readings(Metric.NODE_POWER), telemetry.readings(Metric.GPU_POWER)
    for pool in site.pools:
        for node in pool.node_names():
            for suspicion in _of_node(pool, nodes.get(node), gpus.get(node)):
                yield node, suspicion


class _RackBounds:
    """What a rack of a fleet can measure."""

    def __init__(self, fleet: Fleet) -> None:
        self.most_w = fleet.rack_nameplate_kw * 1000.0 * POSSIBLE_SHARE
        self.most_hs = fleet.rack_nameplate_hs * POSSIBLE_SHARE
        self.best_j_per_th = min(
            (mode.efficiency_j_per_th for mode in fleet.modes if mode.hashrate_ths > 0.0), default=0.0
        )

    def of(self, power: Reading | None, rate: Reading | None) -> Iterator[Suspicion]:
        power_w, hash_hs = _value(power), _value(rate)
        if hash_hs is not None and hash_hs > self.most_hs:
            yield Metric.ASIC_HASHRATE, f"{_phs(hash_hs)} hashed; at most {_phs(self.most_hs)} are possible"
            hash_hs = None
        if power_w is None:
            return
        if power_w > self.most_w:
            yield Metric.ASIC_POWER, _too_much(power_w, self.most_w)
        elif hash_hs is not None and _together(power, rate):
            least_w = hash_hs / HASHES_PER_TH * self.best_j_per_th * LEAST_POWER_SHARE
            if power_w < least_w:
                takes = f"{_phs(hash_hs)} hashed, which takes {_kw(least_w)} at least"
                yield Metric.ASIC_POWER, f"{_kw(power_w)} drawn and {takes}"


def _of_temperature(reading: Reading | None) -> Iterator[Suspicion]:
    value, (low, high) = _value(reading), TEMPERATURE_C
    if value is not None and not low <= value <= high:
        yield Metric.ASIC_TEMPERATURE, f"{value:g} degC; {low:g} to {high:g} are possible"


def _of_node(pool: GpuPool, power: Reading | None, gpus: Reading | None) -> Iterator[Suspicion]:
    power_w, gpus_w = _value(power), _value(gpus)
    most_gpus_w = pool.gpus_per_node * pool.gpu_power_w * POSSIBLE_SHARE
    if gpus_w is not None and gpus_w > most_gpus_w:
        yield Metric.GPU_POWER, _too_much(gpus_w, most_gpus_w)
        gpus_w = None
    if power_w is None:
        return
    most_w = pool.node_nameplate_kw * 1000.0 * POSSIBLE_SHARE
    if power_w > most_w:
        yield Metric.NODE_POWER, _too_much(power_w, most_w)
    elif gpus_w is not None and power_w * GPUS_OVER_NODE < gpus_w and _together(power, gpus):
        yield Metric.NODE_POWER, f"{_kw(power_w)} drawn, and {_kw(gpus_w)} by its GPUs, which are a part of it"
    elif gpus_w is not None and _together(power, gpus):
        beside_w = pool.node_overhead_w * NODE_BESIDE_GPUS + most_gpus_w * GPU_SHARE
        if power_w > gpus_w * GPUS_OVER_NODE + beside_w:
            yield (
                Metric.NODE_POWER,
                f"{_kw(power_w)} drawn, and {_kw(gpus_w)} by its GPUs, which leaves too much for the rest",
            )


def _value(reading: Reading | None) -> float | None:
    return reading.believed if reading is not None else None  # what is suspect as it comes proves nothing of others


def _together(one: Reading | None, other: Reading | None) -> bool:
    """Readings of different moments may both be true: a rack that went to sleep in between has hashed before."""
    return one is not None and other is not None and one.at == other.at


def _too_much(power_w: float, most_w: float) -> str:
    return f"{_kw(power_w)} drawn; at most {_kw(most_w)} are possible"


def _kw(power_w: float) -> str:
    return f"{power_w / 1000.0:.4g} kW"


def _phs(hash_hs: float) -> str:
    return f"{hash_hs / 1e15:.3g} PH/s"
