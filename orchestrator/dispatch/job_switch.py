"""The prices of energy at which dispatch really switches one job, for whoever tells of it."""

import numpy as np

from orchestrator.dispatch.blocks import no_plan, pool_columns
from orchestrator.dispatch.kernels.rows import Moment
from orchestrator.dispatch.merit_order import prices_of_jobs
from orchestrator.domain.site import Site
from orchestrator.domain.snapshot import JobStatus, Snapshot
from orchestrator.forecast.outlook import Switch
from orchestrator.observe.columns import job_columns


def job_switch(site: Site, snapshot: Snapshot, status: JobStatus, planned: Switch) -> Switch:
    """What becomes of the plan's prices in dispatch: a job that runs is kept up to what stopping it would lose."""
    moment = Moment(
        at=snapshot.at.timestamp(),
        hashprice_usd_per_ph_day=0.0,  # of no account for a job, nor are budgets for its prices
        pue=float(snapshot.pue),
        outlook_s=site.controls.outlook.total_seconds(),
        interruptions_left=np.zeros(len(site.tenants), dtype=np.int64),
    )
    values = no_plan(0, 1)._replace(
        job_stay=np.array([planned.stay_usd_per_mwh]), job_wake=np.array([planned.wake_usd_per_mwh])
    )
    _, stay, wake = prices_of_jobs(job_columns(site, [status]), pool_columns(site), moment, values)
    return Switch(float(stay[0]), float(wake[0]))
