"""Readings that stand still, or rise faster than their device can: what only memory of the readings before can tell.

A value that stays the same to the last digit is no fault by itself: a rack asleep, a coarse meter, a simulated device
all have one. It is suspect where something else says that the device has moved: its energy counter; its counter too
stands still while so much power would have moved it; or, of a device without a counter, what it was asked for or its
GPUs. A rack's hash comes up with its machines' warm-up, no faster. State in, state out.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.domain.observation import POSSIBLE_SHARE, Metric, Quality, Reading, Telemetry
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_PH
from orchestrator.domain.work import Workloads

CONTRADICTED_SHARE = 0.2
"""Of nameplate: how far the mean by the counter may be from power that stands still. Both are within a few percent."""
MOVED_SHARE = 0.1
"""Of nameplate: a smaller change of what was asked, or of the GPUs, may not show."""
WINDOW = 10
"""Times as long as a reading may be late: a counter that does not contradict power for so long is compared anew."""
OFF_SHARE = 0.1
"""Of nameplate power: a rack that draws less hashes nothing worth the name, so its machines have to warm up."""
OFF_HASH_SHARE = 0.25
"""Of nameplate hash: what such a rack may hash, its few machines in their most efficient mode."""
SOONEST_SHARE = 0.25
"""Of the warm-up: no rack is fully at work sooner. Its first machines are, well before the site file's warm-up."""


class Watch(NamedTuple):
    """One rack or node."""

    power: Reading
    """The last one that could be true."""
    rate: Reading | None
    since: datetime
    """Time of the first reading of the value of `power`."""
    base: Reading | None
    """Of its counter then, or when the two were last found to agree."""
    counter: Reading | None
    asked_w: float
    """By its setpoint, or by its GPUs, when the value began to stand still."""
    asked_now_w: float
    moved_at: datetime | None
    """Since when the two differ."""
    off_at: datetime | None
    """When it last drew next to nothing."""
    power_reason: str = ""
    rate_reason: str = ""


class _Bounds(NamedTuple):
    nameplate_w: float
    patience: timedelta
    max_age: timedelta
    asked_by: str
    """Whose `asked_w` it is, in words."""


Watches = Mapping[str, Watch]
"""By rack or node."""


def watched(site: Site, telemetry: Telemetry, workloads: Workloads, before: Watches) -> tuple[Telemetry, Watches]:
    """The readings, those that the ones before rule out marked as suspect, and the memory for the next; pure.

    `telemetry` is judged already: what cannot be true by itself is no evidence.
    """
    found: dict[str, Watch] = {}
    powers, counters = telemetry.readings(Metric.ASIC_POWER), telemetry.readings(Metric.ASIC_ENERGY)
    rates, gpus = telemetry.readings(Metric.ASIC_HASHRATE), telemetry.readings(Metric.GPU_POWER)
    patience, max_age = max(site.controls.up_within, site.controls.down_within), site.stale.telemetry_max_age
    for fleet in site.fleets:
        view = workloads.fleets.get(fleet.name)
        if view is None:
            continue
        bounds = _Bounds(fleet.rack_nameplate_kw * 1000.0, patience, max_age, "its setpoint")
        asked_w = {mode: fleet.rack_kw(mode) * 1000.0 for mode in set(view.rack_modes.values())}
        for rack, mode in view.rack_modes.items():
            watch = _watch(before.get(rack), powers.get(rack), counters.get(rack), asked_w[mode], bounds)
            if watch is not None:
                found[rack] = _with_hash(fleet, watch, rates.get(rack), bounds)
    powers, counters = telemetry.readings(Metric.NODE_POWER), telemetry.readings(Metric.NODE_ENERGY)
    for pool in site.pools:
        bounds = _Bounds(pool.node_nameplate_kw * 1000.0, patience, max_age, "its GPUs")
        for node in pool.node_names():
            asked = _believed(gpus.get(node))
            asked_by_gpus_w = asked.value if asked is not None and asked.value is not None else 0.0
            watch = _watch(before.get(node), powers.get(node), counters.get(node), asked_by_gpus_w, bounds)
            if watch is not None:
                found[node] = watch
    return _marked(telemetry, found), found


def _marked(telemetry: Telemetry, watches: Watches) -> Telemetry:
    wrong = {device: watch for device, watch in watches.items() if watch.power_reason or watch.rate_reason}
    if not wrong:
        return telemetry
    readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
    for device, watch in wrong.items():
        for metric, reason in (
            (Metric.ASIC_POWER, watch.power_reason),
            (Metric.NODE_POWER, watch.power_reason),
            (Metric.ASIC_HASHRATE, watch.rate_reason),
        ):
            reading = readings[metric].get(device)
            if reason and reading is not None and reading.believed is not None:
                readings[metric][device] = replace(reading, quality=Quality.SUSPECT, reason=reason)
    return telemetry.with_readings(readings)


def _watch(
    before: Watch | None, power: Reading | None, counter: Reading | None, asked_w: float, bounds: _Bounds
) -> Watch | None:
    power, counter = _believed(power), _believed(counter)
    if power is None or power.at is None:
        return before
    if before is None or power.value != before.power.value or _earlier(power, before.power):
        off_at = before.off_at if before is not None else None
        if power.value is not None and power.value < OFF_SHARE * bounds.nameplate_w:
            off_at = power.at
        return Watch(power, None, power.at, counter, counter, asked_w, asked_w, None, off_at)
    if power is before.power and counter is before.counter and asked_w == before.asked_now_w:
        return before
    base = before.base or counter
    if base is not None and counter is not None and _number(counter) < _number(base):
        base = counter  # it was reset, or fell
    moved = abs(asked_w - before.asked_w) >= MOVED_SHARE * bounds.nameplate_w
    off = power.value is not None and power.value < OFF_SHARE * bounds.nameplate_w
    watch = before._replace(
        power=power,
        base=base,
        counter=counter,
        asked_now_w=asked_w,
        moved_at=(before.moved_at or power.at) if moved else None,
        off_at=power.at if off else before.off_at,
    )
    reason = _why_still(watch, bounds)
    agreed = not reason and base is not None and counter is not None and counter.value != base.value
    if agreed and _span(base, counter) >= WINDOW * max(bounds.max_age, bounds.patience):
        watch = watch._replace(base=counter)
    return watch._replace(power_reason=reason)


def _why_still(watch: Watch, bounds: _Bounds) -> str:
    """Why its power cannot be true; empty where nothing says so."""
    power, base, counter = watch.power, watch.base, watch.counter
    if base is not None and counter is not None and _span(counter, power) <= bounds.max_age:
        against = _by_counter(power, base, counter, bounds)
    elif (
        watch.moved_at is not None
        and power.at is not None
        and power.at - watch.moved_at >= bounds.patience + bounds.max_age
    ):
        against = f", though {bounds.asked_by} went from {_kw(watch.asked_w)} to {_kw(watch.asked_now_w)}"
    else:
        against = ""
    return f"{_kw(_number(power))} to the last digit since {watch.since:%T}{against}" if against else ""


def _by_counter(power: Reading, base: Reading, counter: Reading, bounds: _Bounds) -> str:
    """What its counter says against power that stands still; empty where the two may both be true.

    What is read is stamped when it came in, which may be late by as long as a reading stays good: so much of nameplate
    the counter may be off, beside its share.
    """
    power_w, rise, span_s = _number(power), _number(counter) - _number(base), _span(base, counter).total_seconds()
    late_s, nameplate_w = max(bounds.max_age, bounds.patience).total_seconds(), bounds.nameplate_w
    if not rise:  # one that counts whole kWh may well stand still for a while
        still = power_w * span_s >= nameplate_w * late_s
        return ", and its energy counter stands still as well" if still else ""
    jumped = rise > nameplate_w * POSSIBLE_SHARE * (span_s + late_s)  # accounting parks it
    if jumped or abs(rise - power_w * span_s) <= nameplate_w * (CONTRADICTED_SHARE * span_s + late_s):
        return ""
    return f", while its energy counter goes on at {_kw(rise / span_s)}"


def _with_hash(fleet: Fleet, watch: Watch, rate: Reading | None, bounds: _Bounds) -> Watch:
    rate = _believed(rate)
    if rate is watch.rate:
        return watch
    reason, warm_up_s = "", fleet.warm_up.total_seconds()
    if rate is not None and rate.value is not None and rate.at is not None and watch.off_at is not None and warm_up_s:
        awake_s = (rate.at - watch.off_at).total_seconds()
        most_hs = fleet.rack_nameplate_hs * (OFF_HASH_SHARE + max(awake_s, 0.0) / (SOONEST_SHARE * warm_up_s))
        if rate.value > most_hs:
            hashed = f"{rate.value / HASHES_PER_PH:.3g} PH/s hashed {awake_s:.0f} s after it drew next to nothing"
            reason = f"{hashed}; its machines warm up for {warm_up_s:.0f} s"
    return watch._replace(rate=rate, rate_reason=reason)


def _believed(reading: Reading | None) -> Reading | None:
    return None if reading is None or reading.believed is None else reading


def _number(reading: Reading) -> float:
    assert reading.value is not None, "only what was read is kept"
    return reading.value


def _earlier(one: Reading, other: Reading) -> bool:
    return one.at is not None and other.at is not None and one.at < other.at


def _span(start: Reading | None, end: Reading | None) -> timedelta:
    if start is None or end is None or start.at is None or end.at is None:
        return timedelta(0)
    return end.at - start.at


def _kw(power_w: float) -> str:
    return f"{power_w / 1000.0:.4g} kW"
