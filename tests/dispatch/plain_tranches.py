"""The tranches that dispatch chooses between, object by object: see `plain_dispatch`."""

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestrator.accounting.economics import (
    ModeStep,
    job_pause_threshold_usd_per_mwh,
    job_value_usd_per_mwh,
    mode_steps,
    sleep_threshold_usd_per_mwh,
    wake_value_usd_per_mwh,
)
from orchestrator.dispatch.anti_cycling import RESIZE_EVERY, SHORTEST_AWAY, STEP_HYSTERESIS
from orchestrator.dispatch.kernels.tranches import Rank
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import BUDGET_SPAN, DEADLINE_MARGIN, SlaClass
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.outlook import PlanValues, Switch


class Tranche(NamedTuple):
    """`units` equal units of IT power that can be on or off. A tuple, since thousands are made each tick."""

    target: Target
    name: str
    feeder: str
    rank: Rank
    units: int
    unit_kw: float
    value_usd_per_mwh: float
    """Start and stop costs counted in: the price above which the tranche should be off."""
    running: bool
    step: ModeStep | None = None
    level: int = 0
    """Number of the step; a rack takes a step only from the one below."""
    pool: str = ""
    gpus: int = 0
    """GPUs of the pool that a unit needs; 0 for racks."""
    least_units: int = 1
    """With fewer the tranche is not taken: an elastic job has its least number of GPUs."""
    queued_at: float = 0.0
    """When a job was submitted, unix seconds: of equals the older goes first."""

    def worth(self, price_usd_per_mwh: float) -> bool:
        return self.value_usd_per_mwh > price_usd_per_mwh

    @property
    def order(self) -> tuple[int, int, float, int, float, Target]:
        """Merit order: rank, then what is worth most, then what runs already. A promise kept goes before a new one."""
        waits = 0 if self.running else 1
        kept_first = 0 if self.rank is Rank.WORTH else waits
        return (self.rank, kept_first, -self.value_usd_per_mwh, waits, self.queued_at, self.target)


def expected_away(status: FleetStatus, now: datetime, persistence: timedelta) -> timedelta:
    """How long a sleep is expected to last: as long as the price, but after a recent wake-up half the time awake since.

    Prices that go to and fro would else put a fleet to sleep each time for an hour that never comes: in turn around
    the break-even each 15 minutes, that costs more than sleeping saves.
    """
    awake = (now - status.view.last_wake_at) / 2
    return min(max(awake, status.fleet.min_off, SHORTEST_AWAY), persistence)


def fleet_tranches(
    status: FleetStatus, snapshot: Snapshot, persistence: timedelta, values: PlanValues | None
) -> list[Tranche]:
    """A tranche for the racks above and one for those below each step of the fleet's modes."""
    fleet, view, now = status.fleet, status.view, snapshot.at
    if view.held:
        return []
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    steps = mode_steps(fleet, hashprice, snapshot.pue)
    unmoved = status.unmoved
    modes = [mode for rack, mode in view.rack_modes.items() if rack not in unmoved]
    power_w = {SLEEP: fleet.sleep_w, **{mode.name: mode.power_w for mode in fleet.modes}}
    keep_on = now < view.last_wake_at + fleet.min_on
    keep_off = now < view.last_sleep_at + fleet.min_off
    tranches: list[Tranche] = []
    wake = stay = 0.0
    for number, step in enumerate(steps):
        on = sum(1 for mode in modes if power_w[mode] >= power_w[step.to_mode])
        off = len(modes) - on
        if number == 0:
            away = expected_away(status, now, persistence)
            stay = sleep_threshold_usd_per_mwh(step.value_usd_per_mwh, fleet.warm_up, away)
            wake = wake_value_usd_per_mwh(step.value_usd_per_mwh, fleet.warm_up, persistence)
            if values is not None and fleet.name in values.fleets:
                stay, wake = _switch(values.fleets[fleet.name])
        else:
            stay = min(stay, step.value_usd_per_mwh * (1.0 + STEP_HYSTERESIS))
            wake = min(wake, step.value_usd_per_mwh * (1.0 - STEP_HYSTERESIS))
        unit_kw = step.rise_kw * status.draw_share
        for running, units in ((True, on), (False, 0 if keep_off and number == 0 else off)):
            if units:
                tranches.append(
                    Tranche(
                        target=Target.fleet(fleet.name),
                        name=fleet.name,
                        feeder=fleet.feeder,
                        rank=Rank.DUE if running and keep_on and number == 0 else Rank.WORTH,
                        units=units,
                        unit_kw=unit_kw,
                        value_usd_per_mwh=stay if running else wake,
                        running=running,
                        step=step,
                        level=number,
                    )
                )
    return tranches


def job_tranches(site: Site, snapshot: Snapshot, values: PlanValues | None) -> list[Tranche]:
    """Tranches for each job that runs or could run, and may be moved."""
    may_stop = _may_stop(snapshot)
    persistence = site.controls.price_persistence
    pools = {name: status.pool for name, status in snapshot.pools.items()}

    return [
        tranche
        for status in snapshot.jobs.values()
        if status.view.phase is not JobPhase.STOPPING and not status.view.held
        for tranche in _job_tranches(status, pools[status.job.pool], snapshot, persistence, may_stop, values)
    ]


def _may_stop(snapshot: Snapshot) -> AbstractSet[str]:
    """Running jobs that their tenants' budgets of interruptions let go, those with the least work done first.

    A job is stopped once in an hour at most, so that counting jobs counts interruptions.
    """
    chosen: set[str] = set()
    left: dict[str, int] = {}
    for status in sorted(snapshot.jobs.values(), key=lambda status: (status.done_gpu_seconds, status.job.name)):
        tenant, last = status.tenant, status.last_interrupted_at
        if (
            not status.view.phase.holds_gpus
            or status.view.held
            or (last is not None and snapshot.at - last < BUDGET_SPAN)
        ):
            continue
        if tenant.sla is SlaClass.FLEXIBLE and slack(status, snapshot.at) < DEADLINE_MARGIN:
            continue  # it runs on for its deadline
        spent = snapshot.interruptions_last_hour.get(tenant.name, 0)
        if left.setdefault(tenant.name, tenant.interruptions_per_hour - spent) > 0:
            left[tenant.name] -= 1
            chosen.add(status.job.name)
    return chosen


def _job_tranches(
    status: JobStatus,
    pool: GpuPool,
    snapshot: Snapshot,
    persistence: timedelta,
    may_stop: AbstractSet[str],
    values: PlanValues | None,
) -> list[Tranche]:
    """What the job holds or would start with, in units of its pods, and what an elastic one that runs could grow by."""
    job, tenant, view = status.job, status.tenant, status.view
    elastic = job.elastic and tenant.sla is not SlaClass.GUARANTEED  # what is guaranteed is all of its GPUs
    step, least = (job.gpu_step or job.gpus, job.min_gpus or job.gpus) if elastic else (job.gpus, job.gpus)
    rise_kw = pool.rise_kw(job.gpus, pool.gpu_power_w)
    value = job_value_usd_per_mwh(job.gpus, tenant, rise_kw, snapshot.pue)
    stay = pause_threshold_usd_per_mwh(status, value, snapshot.at, persistence)
    wake = wake_value_usd_per_mwh(value, job.restart, persistence)
    if values is not None and job.name in values.jobs:
        # Whatever the plan says, a job that runs is worth what stopping it would lose.
        planned = values.jobs[job.name]
        stay = max(stay, planned.stay_usd_per_mwh)
        wake = min(planned.wake_usd_per_mwh, stay)
    running = view.phase.holds_gpus
    tranche = Tranche(
        target=Target.job(job.name),
        name=job.name,
        feeder=pool.feeder,
        rank=_job_rank(status, snapshot, must_run=running and job.name not in may_stop),
        units=(view.gpus if running else job.gpus) // step,
        unit_kw=pool.rise_kw(step, pool.gpu_power_w),
        value_usd_per_mwh=stay if running else wake,
        running=running,
        pool=pool.name,
        gpus=step,
        least_units=least // step,
        queued_at=job.submitted_at.timestamp(),
    )
    more = (job.gpus - view.gpus) // step
    if not running or not more or snapshot.at - view.changed_at < RESIZE_EVERY:
        return [tranche]
    growth = tranche._replace(rank=Rank.WORTH, units=more, value_usd_per_mwh=wake, running=False, least_units=1)
    return [tranche, growth]


def pause_threshold_usd_per_mwh(
    status: JobStatus, value_usd_per_mwh: float, now: datetime, persistence: timedelta
) -> float:
    """The price above which pausing a running job while it lasts pays, its restart and its deadline counted in."""
    tenant = status.tenant
    missed = max((persistence - slack(status, now)) / persistence, 0.0)
    return job_pause_threshold_usd_per_mwh(
        value_usd_per_mwh,
        status.job.restart,
        lost=timedelta(0),  # it writes a checkpoint when it is asked to stop
        credit_usd_per_mwh=tenant.credit_share * value_usd_per_mwh * missed,
        away=persistence,
    )


def _job_rank(status: JobStatus, snapshot: Snapshot, *, must_run: bool) -> Rank:
    tenant = status.tenant
    if tenant.sla is SlaClass.GUARANTEED:
        return Rank.GUARANTEED
    if must_run:
        return Rank.DUE
    if tenant.sla is SlaClass.FLEXIBLE and slack(status, snapshot.at) < DEADLINE_MARGIN:
        return Rank.DUE
    return Rank.WORTH


def slack(status: JobStatus, now: datetime) -> timedelta:
    """Time a job can still wait and meet its deadline; a day where it has none or it is past."""
    job = status.job
    if job.deadline is None or now >= job.deadline:
        return timedelta(days=1)
    restart = timedelta(0) if status.view.phase is JobPhase.RUNNING else job.restart
    return job.deadline - now - restart - timedelta(seconds=status.left_gpu_seconds / status.view.gpus)


def _switch(switch: Switch) -> tuple[float, float]:
    """What should stop above a price does not start above it."""
    return switch.stay_usd_per_mwh, min(switch.wake_usd_per_mwh, switch.stay_usd_per_mwh)
