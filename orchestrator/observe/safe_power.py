"""The power that a site is brought to that nobody has seen for longer than its hold: in steps, guaranteed last."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestrator.domain.headroom import usable_share
from orchestrator.domain.hold import SafePower
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus
from orchestrator.domain.work import JobPhase

CLOSES_IN_OVER = timedelta(minutes=10)
"""From the connection's limit down to the safe power, where the site states no ramp."""
ROUNDING = 1e-6


def safe_power(
    site: Site,
    dark_since: datetime,
    fleets: Iterable[FleetStatus],
    pools: Iterable[PoolStatus],
    jobs: Iterable[JobStatus],
    pue: float,
    now: datetime,
) -> SafePower:
    """Of a site that has been dark since then; it has no cap while the hold lasts.

    From the end of the hold on the cap comes down from the connection's limit, by the site's ramp or evenly, so that
    what is worth least goes first and not all goes at once. It never asks for what is guaranteed, and it ends with the
    darkness.
    """
    limit_kw = site.grid.limit_kw
    share = usable_share(site.grid.measurement_uncertainty)
    least_kw = _least_kw(fleets, pools, jobs) * pue / share * (1.0 + ROUNDING)
    safe_kw = max(site.stale.telemetry_safe_kw or 0.0, least_kw)
    begins = dark_since + site.stale.telemetry_hold
    down_kw = max(limit_kw - safe_kw, 0.0)
    ramp_kw_per_min = site.grid.ramp_down_kw_per_min
    takes = CLOSES_IN_OVER if ramp_kw_per_min is None else timedelta(minutes=down_kw / ramp_kw_per_min)
    cap_kw = None
    if now > begins:
        come_down_kw = down_kw * min((now - begins) / takes, 1.0) if takes else down_kw
        cap_kw = max(limit_kw - come_down_kw, safe_kw)
    return SafePower(safe_kw, begins + takes, cap_kw)


def _least_kw(fleets: Iterable[FleetStatus], pools: Iterable[PoolStatus], jobs: Iterable[JobStatus]) -> float:
    """IT power that is drawn with all asleep and paused that is not guaranteed."""
    least_kw = 0.0
    for status in fleets:
        if status.view.held:
            least_kw += status.committed_kw
            continue
        movable = status.fleet.racks - len(status.unmoved)
        least_kw += movable * status.fleet.rack_kw(SLEEP) + status.unmoved_kw + status.excess_kw
    of_pool = {}
    for pool in pools:
        of_pool[pool.pool.name] = pool.pool
        beyond_idle_kw = len(pool.unknown) * (pool.pool.node_nameplate_kw - pool.pool.node_idle_kw)
        least_kw += pool.pool.idle_kw + beyond_idle_kw + pool.excess_kw
    for job in jobs:
        stays = not job.tenant.sla.rules.interruptible or bool(job.view.held)
        if job.view.phase.holds_gpus and (stays or job.view.phase is JobPhase.STOPPING):
            pool_of_job = of_pool[job.job.pool]
            least_kw += pool_of_job.rise_kw(job.view.gpus, pool_of_job.gpu_power_w)
    return least_kw
