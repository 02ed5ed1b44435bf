"""Power and hashrate over time, for meters that have no counter or whose counter stands still.

Kept up each round, as a value. Between two readings of a meter the mean of the two counts; a gap longer than a reading
stays good for is not bridged, and no more counts than the device can do.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.domain.observation import POSSIBLE_SHARE, Metric, Quality, Reading, Telemetry
from orchestrator.domain.site.site import Site


class Integral(NamedTuple):
    """Of one meter, in its counter's unit (J, or hashes)."""

    rate: Reading
    """The last one that could be true."""
    counted_at: datetime | None
    """When its counter was last read; None before the first time."""
    since: datetime
    """From when `after` counts."""
    before: float = 0.0
    """From what is settled up to the last reading of the counter."""
    after: float = 0.0
    """From there on."""
    before_s: float = 0.0
    after_s: float = 0.0
    """Seconds that the two are of: gaps are left out."""


Integrals = Mapping[tuple[Metric, str], Integral]
"""By counter."""

RATES = {
    Metric.ASIC_ENERGY: Metric.ASIC_POWER,
    Metric.ASIC_HASHES: Metric.ASIC_HASHRATE,
    Metric.NODE_ENERGY: Metric.NODE_POWER,
    Metric.METER_ENERGY: Metric.METER_POWER,
}
"""What each counter counts, per second."""


def carried_on(site: Site, integrals: Integrals, telemetry: Telemetry) -> Integrals:
    """The integrals with what `telemetry` brings. Devices that are not measured any more are left out."""
    max_age = site.stale.telemetry_max_age
    found: dict[tuple[Metric, str], Integral] = {}

    def carry_on(counter_metric: Metric, devices: tuple[str, ...], most: float) -> None:
        rates, counters = telemetry.readings(RATES[counter_metric]), telemetry.readings(counter_metric)
        for device in devices:
            rate = rates.get(device)
            if rate is None:
                continue
            key = (counter_metric, device)
            before, counter = integrals.get(key), counters.get(device)
            read_at = counter.at if counter is not None and counter.quality is not Quality.SUSPECT else None
            if before is not None and rate is before.rate and read_at == before.counted_at:
                found[key] = before
            elif before is not None:
                found[key] = _carried_on(before, rate, read_at, max_age, most)
            elif rate.believed is not None and rate.at is not None:
                found[key] = Integral(rate, read_at, rate.at)

    for fleet in site.fleets:
        racks = fleet.rack_names()
        carry_on(Metric.ASIC_ENERGY, racks, fleet.rack_nameplate_kw * 1000.0 * POSSIBLE_SHARE)
        carry_on(Metric.ASIC_HASHES, racks, fleet.rack_nameplate_hs * POSSIBLE_SHARE)
    for pool in site.pools:
        carry_on(Metric.NODE_ENERGY, pool.node_names(), pool.node_nameplate_kw * 1000.0 * POSSIBLE_SHARE)
    for name in site.meters():
        carry_on(Metric.METER_ENERGY, (name,), site.metered_nameplate_kw(name) * 1000.0 * POSSIBLE_SHARE)
    return found


def _carried_on(
    integral: Integral, rate: Reading, read_at: datetime | None, max_age: timedelta, most: float
) -> Integral:
    """`read_at`: of the counter; `most`: of the rate."""
    last, counted_at, since, before, after, before_s, after_s = integral
    if read_at is not None and (counted_at is None or read_at > counted_at):
        before, after, since, counted_at = before + after, 0.0, read_at, read_at
        before_s, after_s = before_s + after_s, 0.0
    last_at, at, was, value = last.at, rate.at, last.value, rate.value
    assert last_at is not None, "only what was read is kept"
    assert was is not None, "only what was read is kept"
    if rate.quality is Quality.SUSPECT or value is None or at is None or at <= last_at:
        return Integral(last, counted_at, since, before, after, before_s, after_s)
    span = at - last_at
    if span <= max_age:
        amount, seconds = max((min(was, most) + min(value, most)) / 2.0, 0.0), span.total_seconds()
        # What is of before the counter's reading is in the counter.
        covered = min(max((counted_at - last_at) / span, 0.0), 1.0) if counted_at is not None else 0.0
        before, before_s = before + amount * seconds * covered, before_s + seconds * covered
        after, after_s = after + amount * seconds * (1.0 - covered), after_s + seconds * (1.0 - covered)
    elif not before_s and not after_s:
        since = at  # it begins after the gap
    return Integral(rate, counted_at, since, before, after, before_s, after_s)
