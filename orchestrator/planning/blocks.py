"""What dispatch chooses between: blocks of power with a value, from fleets' mode steps and from jobs."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from orchestrator.domain.economics import (
    Step,
    job_pause_threshold_usd_per_mwh,
    job_rise_kw,
    job_value_usd_per_mwh,
    mode_steps,
    sleep_threshold_usd_per_mwh,
    wake_value_usd_per_mwh,
)
from orchestrator.domain.site import SLEEP, GpuPool, Site, SlaClass
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Snapshot
from orchestrator.domain.work import JobPhase

STEP_HYSTERESIS = 0.02
"""A throttle costs nearly nothing; this share of its value keeps it from following every cent."""
DEADLINE_MARGIN = timedelta(minutes=20)
"""A flexible job with less slack than this must run."""

BUDGET_SPAN = timedelta(hours=1)
"""Over which a tenant's interruptions are counted."""


class Rank(IntEnum):
    """Order of precedence among blocks; lower goes first."""

    GUARANTEED = 0
    DUE = 1
    """A flexible job that would miss its deadline, one that its tenant's budget of interruptions keeps running, or a
    block inside its minimum on time."""
    WORTH = 2


@dataclass(frozen=True, slots=True)
class Block:
    """`units` equal units of IT power that can be on or off."""

    target: str
    name: str
    feeder: str
    rank: Rank
    units: int
    unit_kw: float
    value_usd_per_mwh: float
    """Start and stop costs counted in: the price above which the block should be off."""
    running: bool
    step: Step | None = None
    level: int = 0
    """Number of the step; a rack takes a step only from the one below."""

    def worth(self, price_usd_per_mwh: float) -> bool:
        return self.value_usd_per_mwh > price_usd_per_mwh

    @property
    def order(self) -> tuple[int, int, float, int, str]:
        """Merit order: rank, then what is worth most, then what runs already. A promise kept goes before a new one."""
        waits = 0 if self.running else 1
        return (
            self.rank,
            waits if self.rank is Rank.GUARANTEED else 0,
            -self.value_usd_per_mwh,
            waits,
            self.target,
        )


def fleet_blocks(status: FleetStatus, snapshot: Snapshot, outlook: timedelta) -> list[Block]:
    """A block for the racks above and one for those below each step of the fleet's modes."""
    fleet, view, now = status.fleet, status.view, snapshot.at
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    steps = mode_steps(fleet, hashprice, snapshot.pue)
    unmoved = status.silent | status.stuck
    modes = [mode for rack, mode in view.rack_modes.items() if rack not in unmoved]
    power_w = {SLEEP: fleet.sleep_w, **{mode.name: mode.power_w for mode in fleet.modes}}
    keep_on = now < view.last_wake_at + fleet.min_on
    keep_off = now < view.last_sleep_at + fleet.min_off
    blocks: list[Block] = []
    wake = stay = 0.0
    for number, step in enumerate(steps):
        on = sum(1 for mode in modes if power_w[mode] >= power_w[step.to_mode])
        off = len(modes) - on
        if number == 0:
            stay = sleep_threshold_usd_per_mwh(step.value_usd_per_mwh, fleet.warm_up, outlook)
            wake = wake_value_usd_per_mwh(step.value_usd_per_mwh, fleet.warm_up, outlook)
        else:
            stay = min(stay, step.value_usd_per_mwh * (1.0 + STEP_HYSTERESIS))
            wake = min(wake, step.value_usd_per_mwh * (1.0 - STEP_HYSTERESIS))
        unit_kw = step.rise_kw * status.draw_share
        common = {"target": f"fleet/{fleet.name}", "name": fleet.name, "feeder": fleet.feeder}
        if on:
            rank = Rank.DUE if keep_on and number == 0 else Rank.WORTH
            blocks.append(
                Block(
                    **common,
                    rank=rank,
                    units=on,
                    unit_kw=unit_kw,
                    value_usd_per_mwh=stay,
                    running=True,
                    step=step,
                    level=number,
                )
            )
        if off and not (keep_off and number == 0):
            blocks.append(
                Block(
                    **common,
                    rank=Rank.WORTH,
                    units=off,
                    unit_kw=unit_kw,
                    value_usd_per_mwh=wake,
                    running=False,
                    step=step,
                    level=number,
                )
            )
    return blocks


@dataclass(frozen=True, slots=True)
class JobBlocks:
    blocks: list[Block]
    """Jobs that have GPUs to run on."""
    held_back: Mapping[str, str]
    """Jobs that have none, and why."""


def job_blocks(site: Site, snapshot: Snapshot) -> JobBlocks:
    """Blocks of the jobs that get GPUs; in each pool by rank, then value, running ones first among equals."""
    blocks: list[Block] = []
    held_back: dict[str, str] = {}
    may_stop = _may_stop(snapshot)
    for pool_name, pool_status in snapshot.pools.items():
        pool = pool_status.pool
        candidates = [
            (_job_block(status, pool, snapshot, site.controls.outlook, may_stop), status)
            for status in snapshot.jobs.values()
            if status.job.pool == pool_name
        ]
        candidates.sort(key=lambda pair: (*pair[0].order[:4], pair[1].job.submitted_at, pair[1].job.name))
        left = pool.gpus - sum(status.job.gpus for _, status in candidates if status.view.phase is JobPhase.STOPPING)
        for block, status in candidates:
            if status.view.phase is JobPhase.STOPPING:
                held_back[block.name] = "it is still writing its checkpoint"
            elif status.job.gpus <= left:
                left -= status.job.gpus
                blocks.append(block)
            else:
                held_back[block.name] = f"{left} GPUs of pool {pool_name} are left, it needs {status.job.gpus}"
    return JobBlocks(blocks, held_back)


def _may_stop(snapshot: Snapshot) -> AbstractSet[str]:
    """Running jobs that their tenants' budgets of interruptions let go, those with the least work done first.

    A job is stopped once in an hour at most, so that counting jobs counts interruptions.
    """
    chosen: set[str] = set()
    left: dict[str, int] = {}
    for status in sorted(snapshot.jobs.values(), key=lambda status: (status.done_gpu_seconds, status.job.name)):
        tenant, last = status.tenant, status.last_interrupted_at
        if not status.view.phase.holds_gpus or (last is not None and snapshot.at - last < BUDGET_SPAN):
            continue
        spent = snapshot.interruptions_last_hour.get(tenant.name, 0)
        if left.setdefault(tenant.name, tenant.interruptions_per_hour - spent) > 0:
            left[tenant.name] -= 1
            chosen.add(status.job.name)
    return chosen


def _job_block(
    status: JobStatus, pool: GpuPool, snapshot: Snapshot, outlook: timedelta, may_stop: AbstractSet[str]
) -> Block:
    job, tenant = status.job, status.tenant
    rise_kw = job_rise_kw(job, pool, pool.gpu_power_w)
    value = job_value_usd_per_mwh(job, tenant, rise_kw, snapshot.pue)
    running = status.view.phase.holds_gpus
    if running:
        # It checkpoints on SIGTERM, so a pause loses its restart but no work.
        threshold = job_pause_threshold_usd_per_mwh(value, job.restart, timedelta(0), 0.0, outlook)
    else:
        threshold = wake_value_usd_per_mwh(value, job.restart, outlook)
    return Block(
        target=f"job/{job.name}",
        name=job.name,
        feeder=pool.feeder,
        rank=_job_rank(status, snapshot, must_run=running and job.name not in may_stop),
        units=1,
        unit_kw=rise_kw,
        value_usd_per_mwh=threshold,
        running=running,
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
    return job.deadline - now - restart - timedelta(seconds=status.left_gpu_seconds / job.gpus)
