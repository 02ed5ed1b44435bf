"""The prices of energy at which dispatch really switches one job, for whoever tells of it."""

import numpy as np

from orchestrator.dispatch.blocks import pool_columns
from orchestrator.dispatch.merit_order import prices_of_jobs
from orchestrator.domain.site import Site
from orchestrator.domain.snapshot import JobStatus, Snapshot
from orchestrator.forecast.outlook import Switch
from orchestrator.observe.columns import job_columns


def job_switch(site: Site, snapshot: Snapshot, status: JobStatus, planned: Switch) -> Switch:
    """What becomes of the plan's prices in dispatch: a job that runs is kept up to what stopping it would lose."""
    job, pools = job_columns(site, [status]), pool_columns(site)
    _, stay, wake = prices_of_jobs(
        job,
        pools,
        snapshot.at.timestamp(),
        float(snapshot.pue),
        site.controls.outlook.total_seconds(),
        np.array([planned.stay_usd_per_mwh]),
        np.array([planned.wake_usd_per_mwh]),
    )
    return Switch(float(stay[0]), float(wake[0]))
