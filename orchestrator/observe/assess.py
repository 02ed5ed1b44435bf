"""From raw readings to one snapshot of the site: what is counted, what is committed, what is silent or stuck."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from orchestrator.accounting.billing import JobRecord
from orchestrator.accounting.job_work import Works
from orchestrator.domain.decision import Breach
from orchestrator.domain.limits import Authority, Cap, Curtailment, limits_now
from orchestrator.domain.market import PriceBook, current_price
from orchestrator.domain.metering.metered import NO_METERS
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Power, Snapshot
from orchestrator.domain.target import GRID_CONNECTION
from orchestrator.domain.work import Workloads
from orchestrator.observe.fleet_status import fleet_status
from orchestrator.observe.holds import holds_of
from orchestrator.observe.job_status import JobsSeen, interruptions_last_hour, job_statuses
from orchestrator.observe.metering.meter_against_devices import observe_meters
from orchestrator.observe.pool_status import pool_status
from orchestrator.observe.readings.plausibility import suspects_of
from orchestrator.observe.readings.silence import silences
from orchestrator.observe.readings.stale_inputs import or_assumed, outdoor_or_assumed
from orchestrator.observe.readings.unexplained import unexplained
from orchestrator.observe.safe_power import safe_power


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a snapshot is made from, as it came in."""

    book: PriceBook
    hashprice: Reading
    outdoor: Reading
    telemetry: Telemetry
    """Judged by `plausibility`."""
    workloads: Workloads
    curtailments: Sequence[Curtailment]
    breaches: Sequence[Breach]
    job_records: Mapping[str, JobRecord]
    before: Snapshot | None
    """The snapshot before, for what outlasts one: shares drawn, racks that are stuck."""
    works: Works = field(default_factory=dict)
    """How far jobs are by their GPUs and time."""


def assess(site: Site, inputs: Inputs, now: datetime) -> Snapshot:
    """The snapshot at `now`, every stale policy applied."""
    telemetry, workloads, before = inputs.telemetry, inputs.workloads, inputs.before
    price = current_price(inputs.book, now, site.stale.price)
    hashprice = or_assumed(
        inputs.hashprice, now, site.stale.hashprice_max_age, site.stale.hashprice_assume_usd_per_ph_day
    )
    outdoor = outdoor_or_assumed(inputs.outdoor, now, site.stale)
    assert outdoor.value is not None, "an assumed temperature has a value"
    pue = site.cooling.pue(outdoor.value)
    silence, site_dark = silences(site, workloads.fleets, telemetry, before, now)
    fleets = {
        fleet.name: fleet_status(
            site,
            fleet,
            workloads.fleets[fleet.name],
            telemetry,
            silence[fleet.name],
            before.fleets.get(fleet.name) if before else None,
            now,
        )
        for fleet in site.fleets
        if fleet.name in workloads.fleets
    }
    open_jobs = {name: view for name, view in workloads.jobs.items() if not view.phase.ended}
    pools = {
        pool.name: pool_status(
            site, pool, workloads, telemetry, silence[pool.name], before.pools.get(pool.name) if before else None, now
        )
        for pool in site.pools
    }
    dark_pools = {name for name, status in pools.items() if status.dark_since is not None}
    seen = JobsSeen(now, open_jobs, telemetry, inputs.job_records, inputs.works)
    jobs = job_statuses(site, seen, before.jobs if before else {}, dark_pools)
    meters = observe_meters(site, telemetry, workloads, pue, before.meters if before else NO_METERS, now)
    limits = limits_now(site, inputs.curtailments, now)
    safe = None  # while what they draw together is measured, the devices of a dark site are held without an end
    if site_dark is not None and meters.kw(GRID_CONNECTION) is None:
        safe = safe_power(site, site_dark, fleets.values(), pools.values(), jobs.values(), pue, now)
    if safe is not None and safe.cap_kw is not None:
        safe_cap = Cap(safe.cap_kw, GRID_CONNECTION, Authority.SAFE_POWER)
        limits = replace(limits, caps=(*limits.caps, safe_cap))
    stale = [
        *(["price"] if price.reading.quality is not Quality.FRESH else []),
        *(["hashprice"] if hashprice.quality is not Quality.FRESH else []),
        *(["temperature"] if outdoor.quality is not Quality.FRESH else []),
        *(f"rack {rack}" for status in fleets.values() for rack in sorted(status.silent)),
        *(f"node {node}" for status_of_pool in pools.values() for node in sorted(status_of_pool.silent)),
        *meters.silent,
    ]
    return Snapshot(
        at=now,
        price=price,
        book=inputs.book,
        hashprice=hashprice,
        outdoor=outdoor,
        pue=pue,
        power=_power(
            site,
            {name: status.counted_kw for name, status in fleets.items()},
            {name: status.counted_kw for name, status in pools.items()},
            pue,
        ),
        measured=_power(
            site,
            {name: status.measured_kw for name, status in fleets.items()},
            {pool.name: _sum_kw(telemetry, Metric.NODE_POWER, pool.node_names()) for pool in site.pools},
            pue,
        ),
        limits=limits,
        fleets=fleets,
        pools=pools,
        jobs=jobs,
        curtailments=tuple(order for order in inputs.curtailments if order.until > now and order.cancelled_at is None),
        breaches=tuple(inputs.breaches),
        stale=tuple(stale),
        suspect={**suspects_of(telemetry), **meters.suspect},
        meters=meters,
        holds=holds_of(site.stale.telemetry_hold, site_dark, safe, fleets.values(), pools.values(), now),
        partial=telemetry.partial,
        problems=telemetry.problems,
        unexplained_kw=unexplained(site, workloads, telemetry, now),
        interruptions_last_hour=interruptions_last_hour(inputs.job_records.values(), now),
    )


def _power(site: Site, fleets_kw: Mapping[str, float], pools_kw: Mapping[str, float], pue: float) -> Power:
    feeders = {feeder.name: 0.0 for feeder in site.feeders}
    for fleet in site.fleets:
        feeders[fleet.feeder] += fleets_kw.get(fleet.name, 0.0) * pue
    for pool in site.pools:
        feeders[pool.feeder] += pools_kw.get(pool.name, 0.0) * pue
    mining, hpc = sum(fleets_kw.values()), sum(pools_kw.values())
    return Power(
        grid_kw=(mining + hpc) * pue,
        mining_kw=mining,
        hpc_kw=hpc,
        overhead_kw=(mining + hpc) * (pue - 1.0),
        feeders_kw=feeders,
    )


def _sum_kw(telemetry: Telemetry, metric: Metric, subjects: Iterable[str]) -> float:
    readings = telemetry.readings(metric)
    return sum((reading.believed or 0.0) for subject in subjects if (reading := readings.get(subject))) / 1000.0
