"""The site as columns of numbers, a row for each fleet, pool and job: what plan and dispatch compute on.

The live controller makes them from a snapshot; a backtest keeps them itself. Times are unix seconds, powers kW of IT
load, work GPU-seconds. Rows of pools and feeders are in the order of the site file.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from orchestrator.accounting.economics import ModeStep, mode_steps
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass, SlaRules
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Snapshot
from orchestrator.domain.work import JobPhase
from orchestrator.observe.phase import Phase

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


PHASE = {
    JobPhase.WAITING: Phase.WAITING,
    JobPhase.RUNNING: Phase.RUNNING,
    JobPhase.STOPPING: Phase.STOPPING,
    JobPhase.PAUSED: Phase.PAUSED,
}


@dataclass(frozen=True, slots=True)
class JobColumns:
    """A row for each open job."""

    pool: Ints
    tenant: Ints
    """Row of the tenant in the site file."""
    sla: Ints
    """As `SlaClass.number`."""
    phase: Ints
    """As `Phase`."""
    held: Flags
    """It must stay as it is, whatever is decided."""
    gpus: Ints
    """All that it asks for."""
    least_gpus: Ints
    """An elastic job also runs on this many; else all."""
    step_gpus: Ints
    """By how many an elastic job grows and shrinks; else all."""
    on_gpus: Ints
    """That it holds while it runs, or last ran on."""
    work_s: Floats
    """GPU-seconds in all."""
    left_s: Floats
    """GPU-seconds not done yet, as measured."""
    submitted_at: Floats
    changed_at: Floats
    deadline: Floats
    """+inf where there is none."""
    restart_s: Floats
    """From start to progress."""
    interrupted_at: Floats
    """-inf before the first time."""
    usd_per_gpu_h: Floats
    credit_share: Floats

    def __len__(self) -> int:
        return len(self.pool)

    def at(self, rows: NDArray[Any]) -> Self:
        """These rows alone, in this order; `rows` are numbers or flags."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, slots=True)
class RackState:
    """How the racks of fleets are, a row for each fleet; the rest of `FleetColumns` is as the site file says."""

    at_step: Ints
    """(fleets, S)"""
    movable: Ints
    held: Flags
    dark: Flags
    draw_share: Floats
    woken_at: Floats
    slept_at: Floats


@dataclass(frozen=True, slots=True)
class FleetColumns:
    """A row for each fleet; `S` steps of its modes' concave hull, from sleep up, padded with zeros."""

    feeder: Ints
    racks: Ints
    movable: Ints
    """Racks that follow their setpoint."""
    held: Flags
    dark: Flags
    """The source of its readings is down: no rack goes up."""
    step_count: Ints
    rise_kw: Floats
    """(fleets, S): rise of one rack, nameplate."""
    rise_hs: Floats
    """(fleets, S): rise of one rack in hashes per second."""
    at_step: Ints
    """(fleets, S): movable racks that are in the step's upper mode or a stronger one."""
    asleep_kw: Floats
    """Of one rack."""
    draw_share: Floats
    """Measured power as a share of nameplate."""
    warm_up_s: Floats
    min_on_s: Floats
    min_off_s: Floats
    woken_at: Floats
    slept_at: Floats

    def __len__(self) -> int:
        return len(self.feeder)


def by_class(sla: Ints, rule: Callable[[SlaRules], bool]) -> Flags:
    """Where a rule of the class holds; `sla` are numbers of classes."""
    return np.array([rule(of_class.rules) for of_class in SlaClass])[sla]


def job_columns(site: Site, jobs: Iterable[JobStatus]) -> JobColumns:
    """In the order of `jobs`."""
    pools = {pool.name: row for row, pool in enumerate(site.pools)}
    tenants = {tenant.name: row for row, tenant in enumerate(site.tenants)}
    rows = [job_row(status, pools[status.job.pool], tenants[status.tenant.name]) for status in jobs]
    return columns_of(np.array(rows, dtype=np.float64).reshape(len(rows), len(fields(JobColumns))))


def columns_of(rows: Floats) -> JobColumns:
    """Columns from rows of figures, (jobs, fields of `JobColumns`)."""
    columns = rows.T
    by_name: dict[str, Any] = {}
    for field, column in zip(fields(JobColumns), columns, strict=True):
        kind = np.int64 if field.type is Ints else np.bool_ if field.type is Flags else np.float64
        by_name[field.name] = column.astype(kind)
    return JobColumns(**by_name)


def job_row(status: JobStatus, pool: int, tenant: int) -> tuple[float, ...]:
    """The figures of `JobColumns` in order; `pool` and `tenant` are their rows in the site file."""
    job, view, promise = status.job, status.view, status.tenant
    elastic = job.elastic and promise.sla.rules.shrinkable
    return (
        pool,
        tenant,
        promise.sla.number,
        PHASE[view.phase],
        bool(view.held),
        job.gpus,
        (job.min_gpus or job.gpus) if elastic else job.gpus,
        (job.gpu_step or job.gpus) if elastic else job.gpus,
        view.gpus,
        job.work_gpu_seconds,
        status.left_gpu_seconds,
        job.submitted_at.timestamp(),
        view.changed_at.timestamp(),
        job.deadline.timestamp() if job.deadline is not None else inf,
        job.restart.total_seconds(),
        status.last_interrupted_at.timestamp() if status.last_interrupted_at is not None else -inf,
        promise.usd_per_gpu_h,
        promise.credit_share,
    )


def fleet_columns(site: Site, snapshot: Snapshot) -> FleetColumns:
    """In the order of `snapshot.fleets`."""
    statuses = list(snapshot.fleets.values())
    return columns_of_fleets(site, statuses, [hull(status.fleet) for status in statuses])


def hull(fleet: Fleet) -> tuple[ModeStep, ...]:
    """The steps of a fleet's modes, which are the same at any hashprice; their value is not to be read."""
    return mode_steps(fleet, 1.0, 1.0)


def columns_of_fleets(
    site: Site, statuses: Sequence[FleetStatus], steps: Sequence[tuple[ModeStep, ...]]
) -> FleetColumns:
    """In the order of `statuses`; `steps` holds the hull of each."""
    movable = [movable_racks(status) for status in statuses]
    at_step = np.zeros((len(statuses), most_steps(steps)), dtype=np.int64)
    for row, (status, of_fleet) in enumerate(zip(statuses, steps, strict=True)):
        at_step[row, : len(of_fleet)] = movable[row].at_or_above(status.fleet, (step.to_mode for step in of_fleet))
    state = RackState(
        at_step=at_step,
        movable=_whole(sum(racks.values()) for racks in movable),
        held=np.array([bool(status.view.held) for status in statuses], dtype=np.bool_),
        dark=np.array([status.dark_since is not None for status in statuses], dtype=np.bool_),
        draw_share=_real(status.draw_share for status in statuses),
        woken_at=_real(status.view.last_wake_at.timestamp() for status in statuses),
        slept_at=_real(status.view.last_sleep_at.timestamp() for status in statuses),
    )
    return columns_at(site, [status.fleet for status in statuses], steps, state)


def most_steps(steps: Sequence[tuple[ModeStep, ...]]) -> int:
    """Columns that the hulls of fleets take."""
    return max((len(of_fleet) for of_fleet in steps), default=0)


def columns_at(
    site: Site,
    fleets: Sequence[Fleet],
    steps: Sequence[tuple[ModeStep, ...]],
    state: RackState,
) -> FleetColumns:
    """What the site file says of `fleets`, whose hulls are `steps`, beside how they are."""
    feeders = {feeder.name: row for row, feeder in enumerate(site.feeders)}
    rise_kw, rise_hs = np.zeros(state.at_step.shape), np.zeros(state.at_step.shape)
    for row, (fleet, of_fleet) in enumerate(zip(fleets, steps, strict=True)):
        for number, step in enumerate(of_fleet):
            low_ths = 0.0 if step.from_mode == SLEEP else fleet.mode(step.from_mode).hashrate_ths
            rise_kw[row, number] = step.rise_kw
            rise_hs[row, number] = (fleet.mode(step.to_mode).hashrate_ths - low_ths) * fleet.machines_per_rack * 1e12
    return FleetColumns(
        feeder=_whole(feeders[fleet.feeder] for fleet in fleets),
        racks=_whole(fleet.racks for fleet in fleets),
        movable=state.movable,
        held=state.held,
        dark=state.dark,
        step_count=_whole(map(len, steps)),
        rise_kw=rise_kw,
        rise_hs=rise_hs,
        at_step=state.at_step,
        asleep_kw=_real(fleet.rack_kw(SLEEP) for fleet in fleets),
        draw_share=state.draw_share,
        warm_up_s=_real(fleet.warm_up.total_seconds() for fleet in fleets),
        min_on_s=_real(fleet.min_on.total_seconds() for fleet in fleets),
        min_off_s=_real(fleet.min_off.total_seconds() for fleet in fleets),
        woken_at=state.woken_at,
        slept_at=state.slept_at,
    )


def _whole(values: Iterable[int]) -> Ints:
    return np.array(list(values), dtype=np.int64)


def _real(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=np.float64)


def movable_racks(status: FleetStatus) -> RackMix:
    """The racks that follow their setpoint."""
    unmoved, view = status.unmoved, status.view
    if not unmoved:
        return view.racks
    return RackMix.counted(status.fleet, (mode for rack, mode in view.rack_modes.items() if rack not in unmoved))
