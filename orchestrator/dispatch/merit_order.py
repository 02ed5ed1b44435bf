"""The table of tranches in merit order, from the columns of a site, and the prices at which one job is switched."""

import numpy as np

from orchestrator.dispatch.inputs import no_plan, pool_columns
from orchestrator.dispatch.kernels import table
from orchestrator.dispatch.kernels.break_even import job_prices
from orchestrator.dispatch.kernels.rows import Fleets, Jobs, Moment, PoolColumns, Switches
from orchestrator.dispatch.kernels.tranches import Places, Tranches
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import JobStatus, Snapshot
from orchestrator.domain.units import HASHES_PER_PH_DAY, KWH_PER_MWH, SECONDS_PER_HOUR
from orchestrator.forecast.outlook import Switch
from orchestrator.observe.columns import FleetColumns, Floats, JobColumns, job_columns


def step_values(rise_hs: Floats, rise_kw: Floats, hashprice_usd_per_ph_day: float, pue: float) -> Floats:
    """(fleets, S): what the rise of a rack by each step earns, USD per MWh more at the grid; 0 in the padding."""
    usd_per_hour = rise_hs * SECONDS_PER_HOUR / HASHES_PER_PH_DAY * hashprice_usd_per_ph_day
    return np.divide(usd_per_hour, rise_kw * pue / KWH_PER_MWH, out=np.zeros_like(rise_kw), where=rise_kw > 0.0)


def lay_out(
    fleets: FleetColumns, jobs: JobColumns, pools: PoolColumns, moment: Moment, planned: Switches, places: Places
) -> Tranches:
    """The table of everything that runs or could run and may be moved; held and stopping jobs are not in it."""
    step_value = step_values(fleets.rise_hs, fleets.rise_kw, moment.hashprice_usd_per_ph_day, moment.pue)
    rows = Fleets(*(getattr(fleets, column) for column in Fleets._fields))
    return table.lay_out(rows, _jobs(jobs), pools, moment, planned, places, step_value)


def job_switch(site: Site, snapshot: Snapshot, status: JobStatus, planned: Switch) -> Switch:
    """What becomes of the plan's prices in dispatch: a job that runs is kept up to what stopping it would lose."""
    moment = Moment(
        at=snapshot.at.timestamp(),
        hashprice_usd_per_ph_day=0.0,  # of no account for a job, nor are budgets for its prices
        pue=float(snapshot.pue),
        price_persistence_s=site.controls.price_persistence.total_seconds(),
        interruptions_left=np.zeros(len(site.tenants), dtype=np.int64),
    )
    values = no_plan(0, 1)._replace(
        job_stay=np.array([planned.stay_usd_per_mwh]), job_wake=np.array([planned.wake_usd_per_mwh])
    )
    _, stay, wake = job_prices(_jobs(job_columns(site, [status])), pool_columns(site), moment, values)
    return Switch(float(stay[0]), float(wake[0]))


def _jobs(columns: JobColumns) -> Jobs:
    return Jobs(*(getattr(columns, column) for column in Jobs._fields))
