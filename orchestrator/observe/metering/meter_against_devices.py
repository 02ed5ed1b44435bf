"""The meters of the grid connection and of feeders, held against the devices behind them.

A meter is believed unless it cannot be true: more than all devices behind it can draw, or, for as long as a power-down
may take to show, less than they say by far, or the same figure to the last digit while they have moved. One that says
more than the devices is believed: they may be more than those that are summed.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.domain.metering.metered import NO_METERS, MeterStatus, SiteMeters, place_of
from orchestrator.domain.metering.points import GRID_METER
from orchestrator.domain.observation import POSSIBLE_SHARE, Metric, Quality, Reading, Telemetry
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.target import Target
from orchestrator.domain.work import Workloads
from orchestrator.observe.metering.bias import Metered, learn

LEAST_SHARE = 0.85
"""Of what devices say at the grid side: a meter that shows less does not show them."""
MOST_BIAS = 0.15
"""Of what devices say: no exporter or power supply is so far off as a matter of course, nor is a modelled PUE."""
MOVED_SHARE = 0.05
"""Of what a meter shows: devices that have moved so far have moved it."""


class _Behind(NamedTuple):
    """A fleet or pool as it is seen behind a meter."""

    of: Fleet | GpuPool
    said_kw: float
    """By its devices with a fresh reading that can be true, times PUE."""
    unseen: int
    """Those without."""

    @property
    def target(self) -> Target:
        return Target.fleet(self.of.name) if isinstance(self.of, Fleet) else Target.pool(self.of.name)


def observe_meters(
    site: Site, telemetry: Telemetry, workloads: Workloads, pue: float, before: SiteMeters, now: datetime
) -> SiteMeters:
    """All meters at `now`. `telemetry` is judged by `plausibility`, `before` how they were in the snapshot before."""
    if not site.meters():
        return NO_METERS
    seen = [_seen(site, of, telemetry, pue, now) for of in site.behind(GRID_METER)]
    behind = {name: [part for part in seen if name in (GRID_METER, part.of.feeder)] for name in site.meters()}
    meters = {
        name: _meter(site, name, telemetry.get(Metric.METER_POWER, name), parts, pue, before.meters.get(name), now)
        for name, parts in behind.items()
    }
    metered = [
        Metered(meter.kw, {part.target: part.said_kw for part in behind[name]})
        for name, meter in meters.items()
        if meter.kw is not None and not meter.unseen and meter.apart_since is None
    ]
    learnt = before.learnt
    if metered and _at_rest(site, workloads, now):
        learnt = learn(learnt, [part.target for part in seen], metered, now)
    return SiteMeters(meters, learnt)


def without_suspect(telemetry: Telemetry, meters: SiteMeters) -> Telemetry:
    """The telemetry with power and energy of meters that are suspect marked so: nothing is booked on them."""
    found = {name: meter.reading.reason for name, meter in meters.meters.items() if meter.reading.reason}
    if not found:
        return telemetry
    readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
    for metric in (Metric.METER_POWER, Metric.METER_ENERGY):
        for name in found.keys() & readings[metric].keys():
            readings[metric][name] = replace(readings[metric][name], quality=Quality.SUSPECT, reason=found[name])
    return Telemetry.of(telemetry.at, readings, telemetry.refused)


def _seen(site: Site, of: Fleet | GpuPool, telemetry: Telemetry, pue: float, now: datetime) -> _Behind:
    metric, devices = (
        (Metric.ASIC_POWER, of.rack_names()) if isinstance(of, Fleet) else (Metric.NODE_POWER, of.node_names())
    )
    readings, max_age = telemetry.readings(metric), site.stale.telemetry_max_age
    graded = (reading.graded(now, max_age) for device in devices if (reading := readings.get(device)) is not None)
    fresh_w = [reading.value for reading in graded if reading.fresh and reading.value is not None]
    return _Behind(of, sum(fresh_w) / 1000.0 * pue, len(devices) - len(fresh_w))


def _meter(
    site: Site,
    name: str,
    reading: Reading,
    behind: Sequence[_Behind],
    pue: float,
    was: MeterStatus | None,
    now: datetime,
) -> MeterStatus:
    said_kw, unseen = sum(part.said_kw for part in behind), sum(part.unseen for part in behind)
    # Where others answer than before, what they say together is another sum.
    stands_still = was is not None and reading.value == was.reading.value and unseen == was.unseen
    most_kw = sum(part.of.nameplate_kw for part in behind) * pue * POSSIBLE_SHARE
    status = MeterStatus(
        at=place_of(name),
        reading=reading.graded(now, site.stale.telemetry_max_age),
        devices_kw=said_kw,
        unseen=unseen,
        still_kw=was.still_kw if was is not None and stands_still else said_kw,
    )
    doubt = _doubt(status)
    status = replace(status, doubted_since=(was.doubted_since if was else None) or now if doubt else None)
    status = _apart(site, status, was, now)
    if reading.value is not None and reading.value / 1000.0 > most_kw:
        status = _suspect(
            status, f"{_mw(reading.value / 1000.0)} come by; at most {_mw(most_kw)} can be drawn behind it"
        )
    elif status.doubted_since is not None and now - status.doubted_since >= _shown_within(site):
        status = _suspect(status, doubt)
    return status


def _doubt(status: MeterStatus) -> str:
    """What speaks against a meter that is fresh; it may be that meter and devices were read at different moments."""
    shown_kw = status.kw
    if shown_kw is None:
        return ""
    if shown_kw < LEAST_SHARE * status.devices_kw:
        return f"{_mw(shown_kw)} come by; the devices behind it say {_mw(status.devices_kw)}"
    if abs(status.devices_kw - status.still_kw) > MOVED_SHARE * max(shown_kw, status.devices_kw):
        was, now = _mw(status.still_kw), _mw(status.devices_kw)
        return f"it has stood at {_mw(shown_kw)} while the devices behind it went from {was} to {now}"
    return ""


def _apart(site: Site, status: MeterStatus, was: MeterStatus | None, now: datetime) -> MeterStatus:
    """Whether it and the devices part by more than a bias is: then nothing is learnt, and it is told once it lasts."""
    if status.kw is None or status.unseen or abs(status.kw - status.devices_kw) <= MOST_BIAS * status.devices_kw:
        return status
    since = (was.apart_since if was is not None else None) or now
    lasts = now - since >= _shown_within(site)
    told = f"they say {_mw(status.devices_kw)} of the {_mw(status.kw)} that come by" if lasts else ""
    return replace(status, apart_since=since, apart=told)


def _suspect(status: MeterStatus, reason: str) -> MeterStatus:
    return replace(status, reading=replace(status.reading, quality=Quality.SUSPECT, reason=reason))


def _at_rest(site: Site, workloads: Workloads, now: datetime) -> bool:
    """Nothing has moved for long enough that meter and devices are of one state, whenever each was read."""
    settled = now - _shown_within(site)
    return all(max(view.last_up_at, view.last_down_at) <= settled for view in workloads.fleets.values()) and all(
        job.changed_at <= settled for job in workloads.jobs.values() if not job.phase.ended
    )


def _shown_within(site: Site) -> timedelta:
    """By then every move shows, up or down."""
    return max(site.controls.up_within, site.controls.down_within)


def _mw(kw: float) -> str:
    return f"{kw / 1000.0:.4g} MW"
