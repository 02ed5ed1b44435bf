"""From columns, forecasts and caps ahead to the problem that a plan solves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from orchestrator.accounting.power_cost import block_kw, marginal_over
from orchestrator.domain.headroom import PLANNED_SHARE, left_it_kw, usable_kw
from orchestrator.domain.limits import Curtailment, own_caps
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import HASHES_PER_PH, SECONDS_PER_HOUR
from orchestrator.forecast.outlook import Outlook
from orchestrator.observe.columns import FleetColumns, JobColumns, by_class
from orchestrator.observe.phase import Phase
from orchestrator.optimizer.energy_price import standing_usd
from orchestrator.optimizer.kernels.arrays import Floats, Ints, Racks, Supply, Tasks
from orchestrator.optimizer.problem import Problem

LEAST_DRAW_SHARE = 0.01
"""A fleet whose awake racks draw less of their nameplate is only about to start, or off the network: it is planned at
nameplate, not as one that costs and earns nothing and so may sleep for the next day."""


@dataclass(frozen=True, slots=True)
class CapsAhead:
    """Power that may be drawn over time, kW at the grid, the uncertainty of measurement taken off."""

    grid_kw: Floats
    """(T,)"""
    feeder_kw: Floats
    """(K, T) in the order of the site file."""


def caps_ahead(
    site: Site, curtailments: Iterable[Curtailment], start: datetime, step: timedelta, steps: int
) -> CapsAhead:
    """Each step under the lowest cap in force at any moment of it."""
    limit_kw = {cap.at: np.full(steps, cap.limit_kw) for cap in own_caps(site)}
    for order in curtailments:
        if order.cancelled_at is None and order.at in limit_kw:
            first = max(int((order.start - start) // step), 0)
            last = min(int(-((start - order.until) // step)), steps)
            ahead_kw = limit_kw[order.at][first:last]
            np.minimum(ahead_kw, order.limit_kw, out=ahead_kw)
    grid_kw, *feeders_kw = (usable_kw(kw, site.grid.measurement_uncertainty) for kw in limit_kw.values())
    return CapsAhead(grid_kw, np.array(feeders_kw).reshape(len(site.feeders), steps))


def pue_at(cooling: Cooling, outdoor_c: Floats) -> Floats:
    """PUE at each temperature: linear between the cooling's points, flat beyond."""
    points = np.array(cooling.pue_by_temperature_c)
    pue: Floats = np.interp(outdoor_c, points[:, 0], points[:, 1])
    return pue


def fixed_kw(site: Site, fleets: FleetColumns, jobs: JobColumns) -> Floats:
    """(K,) IT power on each feeder that no plan moves: sleeping machines, racks that do not follow, what is held, idle
    nodes."""
    fixed = np.zeros(len(site.feeders))
    strongest_kw = fleets.asleep_kw + fleets.rise_kw.sum(axis=1)
    held_kw = fleets.racks * fleets.asleep_kw + (fleets.at_step * fleets.rise_kw).sum(axis=1) * fleets.draw_share
    free_kw = fleets.movable * fleets.asleep_kw + (fleets.racks - fleets.movable) * strongest_kw
    np.add.at(fixed, fleets.feeder, np.where(fleets.held, held_kw, free_kw))
    row = {feeder.name: number for number, feeder in enumerate(site.feeders)}
    for number, pool in enumerate(site.pools):
        held = jobs.held & (jobs.phase == Phase.RUNNING) & (jobs.pool == number)
        busy = float(jobs.on_gpus[held].sum())
        fixed[row[pool.feeder]] += pool.idle_kw + busy * (pool.gpu_power_w - pool.gpu_idle_w) / 1000.0
    return fixed


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What is known of a period that is over."""

    fixed_kw: Floats
    """(K,) IT power that nothing could have moved."""
    released_at: Floats
    """(J,) unix seconds from when a job was there."""
    open_until: Floats
    """(J,) unix seconds till when it was."""


def problem_of(
    site: Site,
    fleets: FleetColumns,
    jobs: JobColumns,
    outlook: Outlook,
    caps: CapsAhead,
    *,
    job_keys: Sequence[object],
    planned_share: float = PLANNED_SHARE,
    hindsight: Hindsight | None = None,
) -> Problem:
    """The problem of the hours that `outlook` covers; `planned_share` of each cap is used, 1 for a bound.

    Deadlines after the last step count in part, but not in `hindsight`: what counts then is settled till the end.
    """
    steps, step_s, start = len(outlook), outlook.step.total_seconds(), outlook.start.timestamp()
    step_h = step_s / SECONDS_PER_HOUR
    pue = pue_at(site.cooling, outlook.outdoor_c)
    fixed = fixed_kw(site, fleets, jobs) if hindsight is None else hindsight.fixed_kw
    feeder_of = {feeder.name: number for number, feeder in enumerate(site.feeders)}
    fixed_grid_kw = fixed.sum() * pue
    spot, charges = outlook.price_usd_per_mwh, site.grid.charges
    starts = [outlook.start + number * outlook.step for number in range(steps)] if charges else []
    left, beyond = marginal_over(charges, starts, spot)
    supply = Supply(
        step_h=step_h,
        price_usd_per_mwh=np.ascontiguousarray(beyond),
        sell_usd_per_mwh=np.ascontiguousarray(left),
        block_kw=block_kw(charges) - fixed_grid_kw,
        pue=pue,
        import_kw=np.maximum(left_it_kw(caps.grid_kw * planned_share, float(fixed.sum()), pue), 0.0),
        feeder_kw=np.maximum(left_it_kw(caps.feeder_kw * planned_share, fixed[:, None], pue), 0.0),
        gpus=_gpus(site, jobs, steps),
        pool_feeder=np.array([feeder_of[pool.feeder] for pool in site.pools], dtype=np.int64),
        gpu_kw=np.array([max(pool.gpu_power_w - pool.gpu_idle_w, 0.0) / 1000.0 for pool in site.pools]),
        hashprice_usd_per_ph_day=np.ascontiguousarray(outlook.hashprice_usd_per_ph_day),
    )
    expected = np.zeros((len(site.pools), steps))
    for number, pool in enumerate(site.pools):
        if pool.name in outlook.arrivals_gpus:
            expected[number] = outlook.arrivals_gpus[pool.name]
    return Problem(
        start=start,
        supply=supply,
        racks=_racks(fleets, start, step_s),
        tasks=_tasks(jobs, start, step_s, steps, hindsight),
        expected_gpus=expected,
        job_keys=job_keys,
        charges=charges,
        starts=starts,
        standing_usd=standing_usd(charges, starts, step_h, spot) if charges else 0.0,
    )


def _gpus(site: Site, jobs: JobColumns, steps: int) -> Floats:
    """(G, T): GPUs of jobs that are held are not to be had, those of jobs that stop are from the next step on."""
    gpus = np.repeat(np.array([[float(pool.gpus)] for pool in site.pools]).reshape(-1, 1), steps, axis=1)
    for number in range(len(gpus)):
        of_pool = jobs.pool == number
        gpus[number] -= float(jobs.on_gpus[of_pool & jobs.held & (jobs.phase == Phase.RUNNING)].sum())
        gpus[number, 0] -= float(jobs.on_gpus[of_pool & (jobs.phase == Phase.STOPPING)].sum())
    left: Floats = np.maximum(gpus, 0.0)
    return left


def _whole_steps(seconds: Floats, step_s: float) -> Ints:
    return np.ceil(np.maximum(seconds, 0.0) / step_s - 1e-9).astype(np.int64)


def _racks(fleets: FleetColumns, start: float, step_s: float) -> Racks:
    movable = np.where(fleets.held, 0, fleets.movable)
    width = fleets.rise_kw.shape[1]
    awake = fleets.at_step[:, 0] if width else np.zeros(len(fleets), dtype=np.int64)
    on = np.minimum(awake, movable)
    share = np.where(fleets.draw_share > LEAST_DRAW_SHARE, fleets.draw_share, 1.0)[:, None]
    pad = ((0, 0), (0, 0 if width else 1))
    return Racks(
        feeder=fleets.feeder,
        on=on,
        off=movable - on,
        rise_kw=np.pad(fleets.rise_kw * share, pad),
        rise_phs=np.pad(fleets.rise_hs * share / HASHES_PER_PH, pad),
        warm_up_h=fleets.warm_up_s / SECONDS_PER_HOUR,
        min_on=_whole_steps(fleets.min_on_s, step_s),
        min_off=np.maximum(_whole_steps(fleets.min_off_s, step_s), 1),
        warm_left_h=np.maximum(fleets.woken_at + fleets.warm_up_s - start, 0.0) / SECONDS_PER_HOUR,
        on_left=_whole_steps(fleets.woken_at + fleets.min_on_s - start, step_s),
        off_left=_whole_steps(fleets.slept_at + fleets.min_off_s - start, step_s),
    )


def _tasks(
    jobs: JobColumns,
    start: float,
    step_s: float,
    steps: int,
    hindsight: Hindsight | None,
) -> Tasks:
    """Jobs that are held keep their row and can't run; those that stop can from the next step on.

    The credit of a job whose deadline is beyond the last step is owed for that part of its work alone that would not
    fit between the two.
    """
    gpus = jobs.gpus.astype(np.float64)
    left_h = jobs.left_s / SECONDS_PER_HOUR / gpus
    stopping = jobs.phase == Phase.STOPPING
    first = stopping.astype(np.int64)
    last = np.full(len(jobs), steps, dtype=np.int64)
    if hindsight is not None:
        first = np.maximum(first, _whole_steps(hindsight.released_at - start, step_s))
        open_steps = np.maximum(np.floor((hindsight.open_until - start) / step_s + 1e-9), 0.0)
        last = np.minimum(last, open_steps.astype(np.int64))
    deadline = (jobs.deadline - start) / step_s
    after_h = np.maximum(deadline - steps, 0.0) * step_s / SECONDS_PER_HOUR
    due = np.clip((left_h - after_h) / np.maximum(left_h, 1e-9), 0.0, 1.0)
    if hindsight is not None:
        due = np.where(deadline <= steps, 1.0, 0.0)
    credit = np.where(deadline > 0.0, jobs.usd_per_gpu_h * jobs.credit_share * due, 0.0)
    last[jobs.held] = 0
    return Tasks(
        pool=jobs.pool,
        gpus=gpus,
        usd_per_gpu_h=jobs.usd_per_gpu_h,
        credit_usd_per_gpu_h=np.where(jobs.held, 0.0, credit),
        left_h=left_h,
        first=np.minimum(first, steps),
        last=last,
        deadline=deadline,
        restart_h=jobs.restart_s / SECONDS_PER_HOUR,
        running=jobs.phase == Phase.RUNNING,
        guaranteed=by_class(jobs.sla, lambda rules: rules.at_any_price),
        least_share=jobs.least_gpus / gpus,
        step_share=jobs.step_gpus / gpus,
    )
