"""What dispatch chooses between: blocks of power with a value, from fleets' mode steps and from jobs.

A table of them, a row for each block in merit order. It depends on everything but the price, so it is laid out before
a price comes in, and a new price only has to walk down it.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from orchestrator.domain.site import GpuPool, Site
from orchestrator.domain.units import HASHES_PER_PH_DAY, KWH_PER_MWH, SECONDS_PER_HOUR
from orchestrator.planning.columns import Flags, FleetColumns, Floats, Ints, JobColumns, Phase, Sla
from orchestrator.planning.compiled import compiled

STEP_HYSTERESIS = 0.02
"""A throttle costs nearly nothing; this share of its value keeps it from following every cent."""
DEADLINE_MARGIN = timedelta(minutes=20)
"""A flexible job with less slack than this must run."""

BUDGET_SPAN = timedelta(hours=1)
"""Over which a tenant's interruptions are counted."""

SHORTEST_AWAY = timedelta(minutes=5)
"""ERCOT's dispatch interval: prices last no shorter."""

RESIZE_EVERY = timedelta(minutes=10)
"""An elastic job is not let grow again sooner: it pauses to share its work out anew."""

SAME_TIME_S = 1e-6
"""Unix seconds as floats are good to less than this."""


class Rank(IntEnum):
    """Order of precedence among blocks; lower goes first."""

    GUARANTEED = 0
    DUE = 1
    """A flexible job that would miss its deadline, one that its tenant's budget of interruptions keeps running, or a
    block inside its minimum on time."""
    WORTH = 2


_GUARANTEED, _DUE, _WORTH = int(Rank.GUARANTEED), int(Rank.DUE), int(Rank.WORTH)
_SLA_GUARANTEED, _SLA_FLEXIBLE = int(Sla.GUARANTEED), int(Sla.FLEXIBLE)
_RUNNING, _STOPPING = int(Phase.RUNNING), int(Phase.STOPPING)
_DEADLINE_MARGIN_S, _BUDGET_SPAN_S = DEADLINE_MARGIN.total_seconds(), BUDGET_SPAN.total_seconds()
_SHORTEST_AWAY_S, _RESIZE_EVERY_S = SHORTEST_AWAY.total_seconds(), RESIZE_EVERY.total_seconds()
_NO_DEADLINE_S = timedelta(days=1).total_seconds()


class Blocks(NamedTuple):
    """A row for each block, in merit order: rank, then what is worth most, then what runs already.

    A block is `units` equal units of IT power that can be on or off. Among what must run, a promise kept goes before a
    new one.
    """

    fleet: Ints
    """Row of the fleet; -1 for jobs."""
    job: Ints
    """Row of the job; -1 for fleets."""
    level: Ints
    """Number of a fleet's step; a rack takes a step only from the one below."""
    rank: Ints
    """As `Rank`."""
    running: Flags
    units: Ints
    unit_kw: Floats
    value_usd_per_mwh: Floats
    """Start and stop costs counted in: the price above which the block should be off."""
    feeder: Ints
    pool: Ints
    """-1 for fleets."""
    gpus: Ints
    """GPUs of the pool that a unit needs; 0 for racks."""
    least_units: Ints
    """With fewer the block is not taken: an elastic job has its least number of GPUs."""
    fleet_stay_usd_per_mwh: Floats
    """By fleet: the price above which its racks should sleep."""
    fleet_wake_usd_per_mwh: Floats
    """By fleet: the price below which a rack should wake."""
    job_stay_usd_per_mwh: Floats
    """By job: the price above which it should pause."""
    job_wake_usd_per_mwh: Floats
    """By job: the price below which it should start or grow."""


class PoolColumns(NamedTuple):
    """A row for each pool of the site file."""

    feeder: Ints
    gpus: Ints
    gpu_power_w: Floats
    gpu_min_power_w: Floats
    gpu_idle_w: Floats


class Moment(NamedTuple):
    """What holds of the whole site when a table is laid out."""

    at: float
    """Unix seconds."""
    hashprice_usd_per_ph_day: float
    pue: float
    outlook_s: float
    """How long a price is expected to last."""
    interruptions_left: Ints
    """By tenant: how many of its jobs may still be interrupted in this hour."""


class Switches(NamedTuple):
    """Prices from a plan, USD/MWh, by row; NaN where it does not know the fleet or job."""

    fleet_stay: Floats
    fleet_wake: Floats
    job_stay: Floats
    job_wake: Floats
    gpu_usd_per_h: Floats
    """By pool: jobs that the plan does not know pay it."""


class Places(NamedTuple):
    """Rows in the order in which equals go first, so that the same site always gives the same answer."""

    fleets: Ints
    """Rows of fleets, in order of name."""
    jobs: Ints
    """Rows of jobs, the oldest first."""
    jobs_by_name: Ints


def pool_columns(site: Site) -> PoolColumns:
    """In the order of the site file."""
    feeders = {feeder.name: row for row, feeder in enumerate(site.feeders)}
    pools: Sequence[GpuPool] = site.pools
    return PoolColumns(
        feeder=np.array([feeders[pool.feeder] for pool in pools], dtype=np.int64),
        gpus=np.array([pool.gpus for pool in pools], dtype=np.int64),
        gpu_power_w=np.array([pool.gpu_power_w for pool in pools], dtype=np.float64),
        gpu_min_power_w=np.array([pool.gpu_min_power_w for pool in pools], dtype=np.float64),
        gpu_idle_w=np.array([pool.gpu_idle_w for pool in pools], dtype=np.float64),
    )


def no_plan(fleets: int, jobs: int, pools: int) -> Switches:
    """Where there is no plan, or it knows nothing of so many fleets and jobs."""
    unknown_fleets, unknown_jobs = np.full(fleets, np.nan), np.full(jobs, np.nan)
    return Switches(unknown_fleets, unknown_fleets, unknown_jobs, unknown_jobs, np.zeros(pools))


def as_they_are(fleets: int, jobs: int) -> Places:
    """Of equals the first row goes first."""
    rows = np.arange(jobs)
    return Places(np.arange(fleets), rows, rows)


def lay_out(
    fleets: FleetColumns, jobs: JobColumns, pools: PoolColumns, moment: Moment, switches: Switches, places: Places
) -> Blocks:
    """The table of everything that runs or could run and may be moved; held and stopping jobs are not in it."""
    rise_w = np.maximum(pools.gpu_power_w - pools.gpu_idle_w, 0.0)
    fleet_stay, fleet_wake = _fleet_prices(
        moment.at,
        moment.hashprice_usd_per_ph_day,
        moment.pue,
        moment.outlook_s,
        fleets.step_count,
        fleets.step_kw,
        fleets.step_hs,
        fleets.warm_up_s,
        fleets.min_off_s,
        fleets.woken_at,
        switches.fleet_stay,
        switches.fleet_wake,
    )
    slack_s, job_stay, job_wake = _job_prices(
        moment.at,
        moment.pue,
        moment.outlook_s,
        jobs.pool,
        jobs.phase,
        jobs.gpus,
        jobs.on_gpus,
        jobs.left_s,
        jobs.deadline,
        jobs.restart_s,
        jobs.usd_per_gpu_h,
        jobs.credit_share,
        rise_w,
        switches.job_stay,
        switches.job_wake,
        switches.gpu_usd_per_h,
    )
    must_run = _must_run(
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
        (fleets.feeder, fleets.movable, fleets.held, fleets.step_count, fleets.step_kw, fleets.step_hs),
        (fleets.at_step, fleets.draw_share, fleets.min_on_s, fleets.min_off_s, fleets.woken_at, fleets.slept_at),
        (fleet_stay, fleet_wake, moment.hashprice_usd_per_ph_day, moment.pue),
        (jobs.pool, jobs.sla, jobs.phase, jobs.held, jobs.gpus, jobs.least_gpus, jobs.step_gpus, jobs.on_gpus),
        (jobs.changed_at, must_run, slack_s, job_stay, job_wake),
        pools.feeder,
        rise_w,
    )


@compiled
def _step_value(step_hs: float, step_kw: float, hashprice_usd_per_ph_day: float, pue: float) -> float:
    """What the rise of a rack by one step earns, USD per MWh more at the grid."""
    usd_per_hour = step_hs * SECONDS_PER_HOUR / HASHES_PER_PH_DAY * hashprice_usd_per_ph_day
    return usd_per_hour / (step_kw * pue / KWH_PER_MWH)


@compiled
def _fleet_prices(
    now: float,
    hashprice_usd_per_ph_day: float,
    pue: float,
    outlook_s: float,
    step_count: Ints,
    step_kw: Floats,
    step_hs: Floats,
    warm_up_s: Floats,
    min_off_s: Floats,
    woken_at: Floats,
    plan_stay: Floats,
    plan_wake: Floats,
) -> tuple[Floats, Floats]:
    """By fleet, the prices above which a rack should sleep and below which it should wake.

    A sleep is expected to last for the outlook, but after a recent wake-up half the time awake since. Prices that go
    to and fro would else put a fleet to sleep each time for an hour that never comes: in turn around the break-even
    each 15 minutes, that costs more than sleeping saves.
    """
    stay, wake = np.full(len(step_count), -np.inf), np.full(len(step_count), -np.inf)
    for row in range(len(step_count)):
        if not step_count[row]:
            continue
        if not np.isnan(plan_stay[row]):
            stay[row] = plan_stay[row]
            wake[row] = min(plan_wake[row], plan_stay[row])
            continue
        value = _step_value(step_hs[row, 0], step_kw[row, 0], hashprice_usd_per_ph_day, pue)
        away_s = min(max((now - woken_at[row]) / 2.0, min_off_s[row], _SHORTEST_AWAY_S), outlook_s)
        stay[row] = value * (1.0 + warm_up_s[row] / away_s)
        wake[row] = value * max(1.0 - warm_up_s[row] / outlook_s, 0.0)
    return stay, wake


@compiled
def _job_prices(
    now: float,
    pue: float,
    outlook_s: float,
    pool: Ints,
    phase: Ints,
    gpus: Ints,
    on_gpus: Ints,
    left_s: Floats,
    deadline: Floats,
    restart_s: Floats,
    usd_per_gpu_h: Floats,
    credit_share: Floats,
    rise_w: Floats,
    plan_stay: Floats,
    plan_wake: Floats,
    gpu_usd_per_h: Floats,
) -> tuple[Floats, Floats, Floats]:
    """By job: time it can still wait and meet its deadline, s (a day where it has none or it is past), and the prices
    above which it should pause and below which it should start.

    Pausing gives up what it earns in the outlook and in its restart, and risks the credit for a missed deadline. It
    loses no work: it writes a checkpoint when it is asked to stop.
    """
    slack_s, stay, wake = np.empty(len(pool)), np.empty(len(pool)), np.empty(len(pool))
    for row in range(len(pool)):
        slack_s[row] = _NO_DEADLINE_S
        if now < deadline[row] < np.inf:
            wait_s = 0.0 if phase[row] == _RUNNING else restart_s[row]
            slack_s[row] = deadline[row] - now - wait_s - left_s[row] / on_gpus[row]
        if not np.isnan(plan_stay[row]):
            stay[row] = plan_stay[row]
            wake[row] = min(plan_wake[row], plan_stay[row])
            continue
        rise_kw = gpus[row] * rise_w[pool[row]] / 1000.0
        value = usd_per_gpu_h[row] * gpus[row] / (rise_kw * pue) * KWH_PER_MWH
        others = gpu_usd_per_h[pool[row]] * gpus[row] / (rise_kw * pue) * KWH_PER_MWH
        missed = max((outlook_s - slack_s[row]) / outlook_s, 0.0)
        stay[row] = value * (1.0 + restart_s[row] / outlook_s) + credit_share[row] * value * missed - others
        wake[row] = value * max(1.0 - restart_s[row] / outlook_s, 0.0) - others
    return slack_s, stay, wake


@compiled
def _must_run(
    now: float,
    interruptions_left: Ints,
    tenant: Ints,
    sla: Ints,
    phase: Ints,
    held: Flags,
    done_s: Floats,
    interrupted_at: Floats,
    slack_s: Floats,
    by_name: Ints,
) -> Flags:
    """Jobs that hold GPUs and that their tenants' budgets of interruptions do not let go.

    Those with the least work done are let go first. A job is stopped once in an hour at most, so that counting jobs
    counts interruptions; one that runs on for its deadline is not counted.
    """
    must_run = np.zeros(len(tenant), dtype=np.bool_)
    candidates = np.zeros(len(interruptions_left), dtype=np.int64)
    asked = np.zeros(len(tenant), dtype=np.bool_)
    for row in range(len(tenant)):
        if phase[row] != _RUNNING and phase[row] != _STOPPING:
            continue
        must_run[row] = True
        if held[row] or now - interrupted_at[row] < _BUDGET_SPAN_S - SAME_TIME_S:
            continue
        if sla[row] == _SLA_FLEXIBLE and slack_s[row] < _DEADLINE_MARGIN_S - SAME_TIME_S:
            continue
        asked[row] = True
        candidates[tenant[row]] += 1
    in_turn = by_name
    for number in range(len(candidates)):
        if interruptions_left[number] < candidates[number]:
            in_turn = by_name[np.argsort(done_s[by_name], kind="mergesort")]
            break
    left = interruptions_left.copy()
    for row in in_turn:
        if asked[row] and left[tenant[row]] > 0:
            left[tenant[row]] -= 1
            must_run[row] = False
    return must_run


@compiled
def _table(  # noqa: PLR0912, PLR0915  # one walk over what there is; in parts it would be compiled several times
    now: float,
    places: Places,
    fleets: tuple[Ints, Ints, Flags, Ints, Floats, Floats],
    fleet_state: tuple[Ints, Floats, Floats, Floats, Floats, Floats],
    fleet_prices: tuple[Floats, Floats, float, float],
    jobs: tuple[Ints, Ints, Ints, Flags, Ints, Ints, Ints, Ints],
    job_state: tuple[Floats, Flags, Floats, Floats, Floats],
    pool_feeder: Ints,
    rise_w: Floats,
) -> Blocks:
    """The blocks, laid out in the order in which equals go first (what runs, then fleets by name, then jobs by age),
    then sorted by value, then by rank, each without changing the order of equals."""
    fleet_feeder, movable, fleet_held, step_count, step_kw, step_hs = fleets
    at_step, draw_share, min_on_s, min_off_s, woken_at, slept_at = fleet_state
    fleet_stay, fleet_wake, hashprice_usd_per_ph_day, pue = fleet_prices
    job_pool, sla, phase, job_held, job_gpus, least_gpus, step_gpus, on_gpus = jobs
    changed_at, must_run, slack_s, job_stay, job_wake = job_state
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
                    step_value = _step_value(step_hs[row, number], step_kw[row, number], hashprice_usd_per_ph_day, pue)
                    stay = min(stay, step_value * (1.0 + STEP_HYSTERESIS))
                    wake = min(wake, step_value * (1.0 - STEP_HYSTERESIS))
                on = at_step[row, number]
                here = on if running else movable[row] - on
                if not running and number == 0 and now < slept_at[row] + min_off_s[row] - SAME_TIME_S:
                    here = 0
                if here <= 0:
                    continue
                keep_on = running and number == 0 and now < woken_at[row] + min_on_s[row] - SAME_TIME_S
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
                elif must_run[row] or (sla[row] == _SLA_FLEXIBLE and slack_s[row] < _DEADLINE_MARGIN_S - SAME_TIME_S):
                    place = _DUE
                job[count], rank[count] = row, place
                units[count] = (on_gpus[row] if runs else job_gpus[row]) // step_gpus[row]
                value[count] = job_stay[row] if runs else job_wake[row]
                least[count] = least_gpus[row] // step_gpus[row]
                bucket[count] = 4 if place == _WORTH else 2 * place + (0 if runs else 1)
                count += 1
            elif more > 0 and now - changed_at[row] >= _RESIZE_EVERY_S - SAME_TIME_S:
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
