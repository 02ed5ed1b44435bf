"""The table of blocks in merit order, from the columns of a site."""

from datetime import timedelta

import numpy as np

from orchestrator.compiled import compiled
from orchestrator.dispatch.blocks import Blocks, Moment, Places, PoolColumns, Rank, Switches
from orchestrator.dispatch.break_even import due, fleet_prices, job_prices, step_values
from orchestrator.observe.columns import Flags, FleetColumns, Floats, Ints, JobColumns, Phase, Sla

STEP_HYSTERESIS = 0.02
"""A throttle costs nearly nothing; this share of its value keeps it from following every cent."""

RESIZE_EVERY = timedelta(minutes=10)
"""An elastic job is not let grow again sooner: it pauses to share its work out anew."""

_RESIZE_EVERY_S = RESIZE_EVERY.total_seconds()
_SAME_TIME_S = 1e-6
_GUARANTEED, _DUE, _WORTH = int(Rank.GUARANTEED), int(Rank.DUE), int(Rank.WORTH)
_SLA_GUARANTEED = int(Sla.GUARANTEED)
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)


def rise_w(pools: PoolColumns) -> Floats:
    """By pool, what a GPU that works draws above an idle one."""
    return np.maximum(pools.gpu_power_w - pools.gpu_idle_w, 0.0)


def prices_of_jobs(
    jobs: JobColumns, pools: PoolColumns, at: float, pue: float, outlook_s: float, stay: Floats, wake: Floats
) -> tuple[Floats, Floats, Floats]:
    """`job_prices` of these jobs; `stay` and `wake` are the plan's, NaN where it has none."""
    return job_prices(
        at,
        pue,
        outlook_s,
        jobs.pool,
        jobs.phase,
        jobs.gpus,
        jobs.on_gpus,
        jobs.left_s,
        jobs.deadline,
        jobs.restart_s,
        jobs.usd_per_gpu_h,
        jobs.credit_share,
        rise_w(pools),
        stay,
        wake,
    )


def lay_out(
    fleets: FleetColumns, jobs: JobColumns, pools: PoolColumns, moment: Moment, switches: Switches, places: Places
) -> Blocks:
    """The table of everything that runs or could run and may be moved; held and stopping jobs are not in it."""
    step_value = step_values(fleets.step_hs, fleets.step_kw, moment.hashprice_usd_per_ph_day, moment.pue)
    fleet_stay, fleet_wake = fleet_prices(
        moment.at,
        moment.outlook_s,
        fleets.step_count,
        step_value,
        fleets.warm_up_s,
        fleets.min_off_s,
        fleets.woken_at,
        switches.fleet_stay,
        switches.fleet_wake,
    )
    slack_s, job_stay, job_wake = prices_of_jobs(
        jobs, pools, moment.at, moment.pue, moment.outlook_s, switches.job_stay, switches.job_wake
    )
    must_run = due(
        moment.at,
        moment.interruptions_left,
        jobs.tenant,
        jobs.sla,
        jobs.phase,
        jobs.held,
        jobs.work_s - jobs.left_s,
        jobs.interrupted_at,
        slack_s,
        places.jobs_by_name,
    )
    return _table(
        moment.at,
        places,
        (fleets.feeder, fleets.movable, fleets.held, fleets.step_count, fleets.step_kw, step_value),
        (fleets.at_step, fleets.draw_share, fleets.min_on_s, fleets.min_off_s, fleets.woken_at, fleets.slept_at),
        (fleet_stay, fleet_wake),
        (jobs.pool, jobs.sla, jobs.phase, jobs.held, jobs.gpus, jobs.least_gpus, jobs.step_gpus, jobs.on_gpus),
        (jobs.changed_at, must_run, job_stay, job_wake),
        pools.feeder,
        rise_w(pools),
    )


@compiled
def _table(  # noqa: PLR0912, PLR0915  # one walk over what there is; in parts it would be compiled several times
    now: float,
    places: Places,
    fleets: tuple[Ints, Ints, Flags, Ints, Floats, Floats],
    fleet_state: tuple[Ints, Floats, Floats, Floats, Floats, Floats],
    fleet_switches: tuple[Floats, Floats],
    jobs: tuple[Ints, Ints, Ints, Flags, Ints, Ints, Ints, Ints],
    job_state: tuple[Floats, Flags, Floats, Floats],
    pool_feeder: Ints,
    rise_w: Floats,
) -> Blocks:
    """The blocks, laid out in the order in which equals go first (what runs, then fleets by name, then jobs by age),
    then sorted by value, then by rank, each without changing the order of equals."""
    fleet_feeder, movable, fleet_held, step_count, step_kw, step_value = fleets
    at_step, draw_share, min_on_s, min_off_s, woken_at, slept_at = fleet_state
    fleet_stay, fleet_wake = fleet_switches
    job_pool, sla, phase, job_held, job_gpus, least_gpus, step_gpus, on_gpus = jobs
    changed_at, must_run, job_stay, job_wake = job_state
    most = 2 * (step_kw.size + len(job_pool))
    fleet, job = np.full(most, -1), np.full(most, -1)
    level, rank = np.zeros(most, dtype=np.int64), np.full(most, _WORTH)
    units, value = np.zeros(most, dtype=np.int64), np.zeros(most)
    least, bucket = np.ones(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
    count = 0
    for running in (True, False):
        for row in places.fleets:
            stay, wake = fleet_stay[row], fleet_wake[row]
            for number in range(0 if fleet_held[row] else step_count[row]):
                if number:
                    stay = min(stay, step_value[row, number] * (1.0 + STEP_HYSTERESIS))
                    wake = min(wake, step_value[row, number] * (1.0 - STEP_HYSTERESIS))
                on = at_step[row, number]
                here = on if running else movable[row] - on
                if not running and number == 0 and now < slept_at[row] + min_off_s[row] - _SAME_TIME_S:
                    here = 0
                if here <= 0:
                    continue
                keep_on = running and number == 0 and now < woken_at[row] + min_on_s[row] - _SAME_TIME_S
                fleet[count], level[count], units[count] = row, number, here
                rank[count] = _DUE if keep_on else _WORTH
                value[count] = stay if running else wake
                bucket[count] = 2 if keep_on else 4
                count += 1
        for row in places.jobs:
            if job_held[row] or phase[row] == _STOPPING:
                continue
            runs = phase[row] == _RUNNING
            more = (job_gpus[row] - on_gpus[row]) // step_gpus[row] if runs else 0
            if running == runs:
                place = _WORTH
                if sla[row] == _SLA_GUARANTEED:
                    place = _GUARANTEED
                elif must_run[row]:
                    place = _DUE
                job[count], rank[count] = row, place
                units[count] = (on_gpus[row] if runs else job_gpus[row]) // step_gpus[row]
                value[count] = job_stay[row] if runs else job_wake[row]
                least[count] = least_gpus[row] // step_gpus[row]
                bucket[count] = 4 if place == _WORTH else 2 * place + (0 if runs else 1)
                count += 1
            elif more > 0 and now - changed_at[row] >= _RESIZE_EVERY_S - _SAME_TIME_S:
                job[count], units[count], value[count], bucket[count] = row, more, job_wake[row], 4
                count += 1
        if running:
            first_waiting = count
    order = _sorted(value[:count], bucket[:count])
    fleet, job, level = fleet[order], job[order], level[order]
    feeder, pool = np.zeros(count, dtype=np.int64), np.full(count, -1)
    gpus, unit_kw = np.zeros(count, dtype=np.int64), np.zeros(count)
    for at in range(count):
        if fleet[at] >= 0:
            row = fleet[at]
            feeder[at] = fleet_feeder[row]
            unit_kw[at] = step_kw[row, level[at]] * draw_share[row]
        else:
            row = job[at]
            pool[at] = job_pool[row]
            feeder[at] = pool_feeder[pool[at]]
            gpus[at] = step_gpus[row]
            unit_kw[at] = step_gpus[row] * rise_w[pool[at]] / 1000.0
    return Blocks(
        fleet,
        job,
        level,
        rank[order],
        order < first_waiting,
        units[order],
        unit_kw,
        value[order],
        feeder,
        pool,
        gpus,
        least[order],
        fleet_stay,
        fleet_wake,
        job_stay,
        job_wake,
    )


@compiled
def _sorted(value: Floats, bucket: Ints) -> Ints:
    """Rows by bucket, then by descending value, then as they are."""
    by_value = np.argsort(-value, kind="mergesort")
    start = np.zeros(6, dtype=np.int64)
    for row in range(len(bucket)):
        start[bucket[row] + 1] += 1
    start = np.cumsum(start)
    order = np.empty(len(value), dtype=np.int64)
    for row in by_value:
        order[start[bucket[row]]] = row
        start[bucket[row]] += 1
    return order
