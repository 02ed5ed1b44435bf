"""The table of blocks in merit order, from the columns of a site."""

import numpy as np

from orchestrator.dispatch.kernels import table
from orchestrator.dispatch.kernels.blocks import Blocks, Places
from orchestrator.dispatch.kernels.break_even import job_prices
from orchestrator.dispatch.kernels.rows import Fleets, Jobs, Moment, PoolColumns, Switches
from orchestrator.domain.units import HASHES_PER_PH_DAY, KWH_PER_MWH, SECONDS_PER_HOUR
from orchestrator.observe.columns import FleetColumns, Floats, JobColumns


def step_values(step_hs: Floats, step_kw: Floats, hashprice_usd_per_ph_day: float, pue: float) -> Floats:
    """(fleets, S): what the rise of a rack by each step earns, USD per MWh more at the grid; 0 in the padding."""
    usd_per_hour = step_hs * SECONDS_PER_HOUR / HASHES_PER_PH_DAY * hashprice_usd_per_ph_day
    return np.divide(usd_per_hour, step_kw * pue / KWH_PER_MWH, out=np.zeros_like(step_kw), where=step_kw > 0.0)


def prices_of_jobs(
    jobs: JobColumns, pools: PoolColumns, moment: Moment, planned: Switches
) -> tuple[Floats, Floats, Floats]:
    """`job_prices` of these jobs."""
    return job_prices(_jobs(jobs), pools, moment, planned)


def lay_out(
    fleets: FleetColumns, jobs: JobColumns, pools: PoolColumns, moment: Moment, planned: Switches, places: Places
) -> Blocks:
    """The table of everything that runs or could run and may be moved; held and stopping jobs are not in it."""
    step_value = step_values(fleets.step_hs, fleets.step_kw, moment.hashprice_usd_per_ph_day, moment.pue)
    rows = Fleets(*(getattr(fleets, column) for column in Fleets._fields))
    return table.lay_out(rows, _jobs(jobs), pools, moment, planned, places, step_value)


def _jobs(columns: JobColumns) -> Jobs:
    return Jobs(*(getattr(columns, column) for column in Jobs._fields))
