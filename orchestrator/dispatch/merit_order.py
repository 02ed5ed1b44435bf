"""The table of blocks in merit order, from the columns of a site."""

import numpy as np

from orchestrator.dispatch.blocks import Moment, PoolColumns, Switches
from orchestrator.dispatch.kernels.blocks import Blocks, Places
from orchestrator.dispatch.kernels.break_even import fleet_prices, job_prices
from orchestrator.dispatch.kernels.due import due
from orchestrator.dispatch.kernels.table import table
from orchestrator.domain.units import HASHES_PER_PH_DAY, KWH_PER_MWH, SECONDS_PER_HOUR
from orchestrator.observe.columns import FleetColumns, Floats, JobColumns


def step_values(step_hs: Floats, step_kw: Floats, hashprice_usd_per_ph_day: float, pue: float) -> Floats:
    """(fleets, S): what the rise of a rack by each step earns, USD per MWh more at the grid; 0 in the padding."""
    usd_per_hour = step_hs * SECONDS_PER_HOUR / HASHES_PER_PH_DAY * hashprice_usd_per_ph_day
    return np.divide(usd_per_hour, step_kw * pue / KWH_PER_MWH, out=np.zeros_like(step_kw), where=step_kw > 0.0)


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
    return table(
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
