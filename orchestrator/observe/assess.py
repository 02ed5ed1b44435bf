"""From raw readings to one snapshot of the site: what is counted, what is committed, what is silent or stuck."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.accounting.billing import JobRecord, record_for
from orchestrator.domain.decision import Breach
from orchestrator.domain.economics import pool_kw
from orchestrator.domain.limits import Curtailment, limits_now
from orchestrator.domain.market import PriceBook, current_price
from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry
from orchestrator.domain.site import SLEEP, Fleet, GpuPool, Site, StalePolicies
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Lowered, PoolStatus, Power, Snapshot
from orchestrator.domain.work import FleetView, JobPhase, JobView, Workloads

SETTLED_SHARE = 0.9
"""A rack that draws less than this share of its setpoint's nameplate is on its way up and counts at nameplate."""
HASHES_PER_TH = 1e12
ASLEEP_SHARE = 0.25
"""A rack that is asleep and draws more than this share of its strongest mode's power does not sleep."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a snapshot is made from, as it came in."""

    book: PriceBook
    hashprice: Reading
    outdoor: Reading
    telemetry: Telemetry
    workloads: Workloads
    curtailments: Sequence[Curtailment]
    breaches: Sequence[Breach]
    job_records: Mapping[str, JobRecord]
    before: Snapshot | None
    """The snapshot before, for what outlasts one: shares drawn, racks that are stuck."""


def assess(site: Site, inputs: Inputs, now: datetime) -> Snapshot:
    """The snapshot at `now`, every stale policy applied."""
    telemetry, workloads = inputs.telemetry, inputs.workloads
    price = current_price(inputs.book, now, site.stale.price)
    hashprice = _or_assumed(
        inputs.hashprice, now, site.stale.hashprice_max_age, site.stale.hashprice_assume_usd_per_ph_day
    )
    outdoor = outdoor_or_assumed(inputs.outdoor, now, site.stale)
    assert outdoor.value is not None, "an assumed temperature has a value"
    pue = site.cooling.pue(outdoor.value)
    fleets = {
        fleet.name: _fleet_status(site, fleet, workloads.fleets[fleet.name], inputs, now)
        for fleet in site.fleets
        if fleet.name in workloads.fleets
    }
    open_jobs = {name: view for name, view in workloads.jobs.items() if not view.phase.ended}
    pools = {pool.name: _pool_status(site, pool, workloads, telemetry, now) for pool in site.pools}
    jobs = _job_statuses(site, open_jobs, inputs)
    stale = [
        *(["price"] if price.reading.quality is not Quality.FRESH else []),
        *(["hashprice"] if hashprice.quality is not Quality.FRESH else []),
        *(["temperature"] if outdoor.quality is not Quality.FRESH else []),
        *(f"rack {rack}" for status in fleets.values() for rack in sorted(status.silent)),
        *(f"node {node}" for pool_status in pools.values() for node in sorted(pool_status.silent)),
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
            {
                fleet.name: _sum_kw(telemetry, Metric.ASIC_POWER, fleet.rack_names())
                for fleet in site.fleets
                if fleet.name in fleets
            },
            {pool.name: _sum_kw(telemetry, Metric.NODE_POWER, pool.node_names()) for pool in site.pools},
            pue,
        ),
        limits=limits_now(site, inputs.curtailments, now),
        fleets=fleets,
        pools=pools,
        jobs=jobs,
        curtailments=tuple(order for order in inputs.curtailments if order.until > now and order.cancelled_at is None),
        breaches=tuple(inputs.breaches),
        stale=tuple(stale),
        interruptions_last_hour=_interruptions(inputs.job_records.values(), now),
    )


def _or_assumed(reading: Reading, now: datetime, max_age: timedelta, assume: float) -> Reading:
    """The reading if it is fresh, else the stale policy's value, marked as assumed."""
    graded = reading.graded(now, max_age)
    if graded.fresh:
        return graded
    return Reading(value=assume, unit=reading.unit, at=now, quality=Quality.ASSUMED)


def outdoor_or_assumed(reading: Reading, now: datetime, stale: StalePolicies) -> Reading:
    """The temperature, going over into the assumed one from half its greatest age on.

    Power at the grid is counted by it: were it to jump when the reading gets too old, so would a site at its cap.
    """
    max_age = stale.temperature_max_age
    graded = _or_assumed(reading, now, max_age, stale.temperature_assume_c)
    if graded.value is None or graded.at is None or not graded.fresh:
        return graded
    faded = min(max((now - graded.at) / max_age * 2.0 - 1.0, 0.0), 1.0)
    return replace(graded, value=graded.value + (stale.temperature_assume_c - graded.value) * faded)


def _fleet_status(site: Site, fleet: Fleet, view: FleetView, inputs: Inputs, now: datetime) -> FleetStatus:
    powers, rates = inputs.telemetry.readings(Metric.ASIC_POWER), inputs.telemetry.readings(Metric.ASIC_HASHRATE)
    max_age = site.stale.telemetry_max_age
    before = inputs.before.fleets.get(fleet.name) if inputs.before is not None else None
    share = before.draw_share if before is not None else 1.0
    lowered = _lowered(fleet, view, before, share, now)
    at_rest = now >= max(view.last_up_at, view.last_down_at) + site.controls.verify_within
    rack_kw = {mode: fleet.rack_kw(mode) for mode in set(view.rack_modes.values())}
    strongest_kw = fleet.rack_kw(fleet.modes[-1].name)
    counted = committed = settled = settled_nameplate = excess = hashrate = 0.0
    silent: set[str] = set()
    stuck: set[str] = set()
    efficiency: dict[str, float] = {}
    hashing = False
    for rack, mode in view.rack_modes.items():
        reading = powers.get(rack)
        setpoint_kw = rack_kw[mode]
        asked = lowered.get(rack)
        if reading is None or reading.value is None or not reading.graded(now, max_age).fresh:
            silent.add(rack)
            if asked is not None and now - asked.at >= site.controls.verify_within:
                stuck.add(rack)  # a shed that nobody sees is not delivered
            counted += strongest_kw
            committed += strongest_kw
            continue
        measured_kw = reading.value / 1000.0
        counted += measured_kw
        if asked is not None and measured_kw <= asked.follows_below_kw:
            del lowered[rack]
        elif asked is not None and now - asked.at >= site.controls.verify_within:
            stuck.add(rack)
        elif asked is None and at_rest and mode == SLEEP and measured_kw > ASLEEP_SHARE * strongest_kw:
            stuck.add(rack)  # asked down before we were started
        if at_rest and rack not in stuck and mode != SLEEP and measured_kw >= SETTLED_SHARE * setpoint_kw:
            settled += measured_kw
            settled_nameplate += setpoint_kw
            committed += measured_kw
        else:
            committed += max(measured_kw, setpoint_kw)
            if rack in stuck:
                excess += max(measured_kw - strongest_kw, 0.0)
            elif at_rest and mode == SLEEP:
                excess += max(measured_kw - setpoint_kw, 0.0)
        rate = rates.get(rack)
        if rate is not None and rate.value is not None:
            hashing = True
            hashrate += rate.value
            if rate.value > 0.0:
                efficiency[rack] = reading.value / (rate.value / HASHES_PER_TH)
    return FleetStatus(
        fleet=fleet,
        view=view,
        counted_kw=counted,
        committed_kw=committed,
        # While a fleet moves its ratio says nothing, so the one before holds: else each move would set off another.
        draw_share=settled / settled_nameplate if settled_nameplate else share,
        hashrate_phs=hashrate / 1e15 if hashing else None,
        silent=frozenset(silent),
        stuck=frozenset(stuck),
        lowered=lowered,
        excess_kw=excess,
        efficiency_j_per_th=efficiency,
    )


def _lowered(
    fleet: Fleet, view: FleetView, before: FleetStatus | None, share: float, now: datetime
) -> dict[str, Lowered]:
    """Racks asked down since the snapshot before, and those of before that were not asked up again."""
    if before is None:
        return {}
    lowered = dict(before.lowered)
    if before.view is view:
        return lowered
    for rack, mode in view.rack_modes.items():
        was_kw, is_kw = fleet.rack_kw(before.view.rack_modes.get(rack, mode)), fleet.rack_kw(mode)
        if is_kw < was_kw:
            lowered[rack] = Lowered(now, (was_kw + is_kw) / 2.0 * max(share, 1.0))
        elif is_kw > was_kw:
            lowered.pop(rack, None)
    return lowered


def _pool_status(site: Site, pool: GpuPool, workloads: Workloads, telemetry: Telemetry, now: datetime) -> PoolStatus:
    max_age = site.stale.telemetry_max_age
    view = workloads.pools.get(pool.name)
    gpu_limit_w = view.gpu_limit_w if view is not None else pool.gpu_power_w
    counted = 0.0
    silent: set[str] = set()
    powers = telemetry.readings(Metric.NODE_POWER)
    for node in pool.node_names():
        reading = powers.get(node)
        if reading is None or reading.value is None or not reading.graded(now, max_age).fresh:
            silent.add(node)
            counted += pool.node_nameplate_kw
        else:
            counted += reading.value / 1000.0
    jobs = [view for view in workloads.jobs.values() if view.job.pool == pool.name]
    expected_kw = pool_kw(pool, gpu_limit_w, jobs)
    settled_before = now - site.controls.verify_within
    at_rest = all(view.changed_at <= settled_before for view in jobs)
    return PoolStatus(
        pool=pool,
        gpu_limit_w=gpu_limit_w,
        counted_kw=counted,
        committed_kw=max(counted, expected_kw),
        silent=frozenset(silent),
        excess_kw=max(counted - expected_kw, 0.0) if at_rest and not silent else 0.0,
        expected_kw=expected_kw,
    )


def _job_statuses(site: Site, views: Mapping[str, JobView], inputs: Inputs) -> Mapping[str, JobStatus]:
    """By job. What waits is as it was before: of thousands of jobs most do."""
    before = inputs.before.jobs if inputs.before is not None else {}
    tenants = {tenant.name: tenant for tenant in site.tenants}
    records = inputs.job_records
    progress = inputs.telemetry.readings(Metric.JOB_PROGRESS)
    checkpoints = inputs.telemetry.readings(Metric.JOB_CHECKPOINT)
    statuses = {}
    for name, view in views.items():
        record = record_for(records, view) if name in records else None
        # A job without a reading (never started, or paused since before we started) has done what was billed.
        billed = record.billed_gpu_seconds if record is not None else 0.0
        done = progress[name].value if name in progress else None
        checkpoint = checkpoints[name].value if name in checkpoints else None
        # A paused job goes on from its checkpoint, whatever its last progress was.
        reached = done if view.phase.holds_gpus else checkpoint
        done_gpu_seconds = billed if reached is None else reached
        checkpoint_gpu_seconds = billed if checkpoint is None else checkpoint
        interruptions = record.interruptions if record is not None else 0
        last_interrupted_at = record.last_interrupted_at if record is not None else None
        was = before.get(name)
        if (
            was is not None
            and was.view is view
            and was.done_gpu_seconds == done_gpu_seconds
            and was.checkpoint_gpu_seconds == checkpoint_gpu_seconds
            and was.interruptions == interruptions
            and was.last_interrupted_at == last_interrupted_at
        ):
            statuses[name] = was
            continue
        statuses[name] = JobStatus(
            job=view.job,
            view=view,
            tenant=tenants[view.job.tenant],
            done_gpu_seconds=done_gpu_seconds,
            checkpoint_gpu_seconds=checkpoint_gpu_seconds,
            interruptions=interruptions,
            last_interrupted_at=last_interrupted_at,
        )
    return statuses


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
    return sum((reading.value or 0.0) for subject in subjects if (reading := readings.get(subject))) / 1000.0


def _interruptions(records: Iterable[JobRecord], now: datetime) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        if record.last_interrupted_at is not None and now - record.last_interrupted_at < timedelta(hours=1):
            counts[record.tenant] = counts.get(record.tenant, 0) + 1
    return counts


def waiting(phase: JobPhase) -> bool:
    """Could be started or resumed."""
    return phase in (JobPhase.WAITING, JobPhase.PAUSED)


def names(items: AbstractSet[str], limit: int = 5) -> str:
    """A short list of names for a reason."""
    ordered = sorted(items)
    shown = ", ".join(ordered[:limit])
    return shown if len(ordered) <= limit else f"{shown} and {len(ordered) - limit} more"
