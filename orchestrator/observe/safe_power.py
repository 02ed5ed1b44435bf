"""The power that a site is brought to that nobody has seen for longer than its hold: in steps, guaranteed last."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestrator.domain.headroom import usable_share
from orchestrator.domain.limits import Authority, Cap
from orchestrator.domain.site import SLEEP, Site
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus
from orchestrator.domain.target import GRID_CONNECTION
from orchestrator.domain.work import JobPhase

CLOSES_IN_OVER = timedelta(minutes=10)
"""From the connection's limit down to the safe power, where the site states no ramp."""
ROUNDING = 1e-6


def safe_cap(
    site: Site,
    site_dark: datetime | None,
    fleets: Iterable[FleetStatus],
    pools: Iterable[PoolStatus],
    jobs: Iterable[JobStatus],
    pue: float,
    now: datetime,
) -> Cap | None:
    """None while the site is seen, or held. `site_dark`: since when it is dark.

    From the end of the hold on the cap comes down from the connection's limit, by the site's ramp or evenly, so that
    what is worth least goes first and not all goes at once. It never asks for what is guaranteed, and it ends with the
    darkness.
    """
    if site_dark is None or now - site_dark <= site.stale.telemetry_hold:
        return None
    limit_kw = site.grid.limit_kw
    share = usable_share(site.grid.measurement_uncertainty)
    least_kw = _least_kw(fleets, pools, jobs) * pue / share * (1.0 + ROUNDING)
    safe_kw = max(site.stale.telemetry_safe_kw or 0.0, least_kw)
    closing = now - site_dark - site.stale.telemetry_hold
    if site.grid.ramp_down_kw_per_min is not None:
        come_down_kw = site.grid.ramp_down_kw_per_min * (closing / timedelta(minutes=1))
    else:
        come_down_kw = (limit_kw - safe_kw) * min(closing / CLOSES_IN_OVER, 1.0)
    return Cap(max(limit_kw - come_down_kw, safe_kw), GRID_CONNECTION, Authority.SAFE_POWER)


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
