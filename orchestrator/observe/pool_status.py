"""One GPU pool as it is: what its nodes measure against what its running jobs may draw, and which are silent."""

from datetime import datetime

from orchestrator.domain.observation import Metric, Quality, Telemetry
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import PoolStatus
from orchestrator.domain.unread import Basis, Unread
from orchestrator.domain.work import Workloads
from orchestrator.observe.readings.silence import Silence
from orchestrator.observe.readings.silent_power import of_nodes


def pool_status(
    site: Site,
    pool: GpuPool,
    workloads: Workloads,
    telemetry: Telemetry,
    silence: Silence,
    before: PoolStatus | None,
    now: datetime,
) -> PoolStatus:
    """`before`: as it was in the snapshot before, for what outlasts one.

    A node that was never read counts at nameplate, unless the source of the whole pool is down.
    """
    view = workloads.pools.get(pool.name)
    gpu_limit_w = view.gpu_limit_w if view is not None else pool.gpu_power_w
    jobs = [view for view in workloads.jobs.values() if view.job.pool == pool.name]
    expected_kw = pool.idle_kw + sum(pool.rise_kw(view.gpus, gpu_limit_w) for view in jobs if view.phase.holds_gpus)
    unknown = len(silence.never_read) if silence.dark_since is None else 0
    known_silent = len(silence.silent) - unknown
    seen_kw = parts_kw = 0.0
    in_part = 0
    read_from: datetime | None = None
    powers = telemetry.readings(Metric.NODE_POWER)
    claimed_kw: dict[str, float] = {}
    for node in pool.node_names():
        if node in silence.silent:
            said = powers.get(node)
            if said is not None and said.quality is Quality.SUSPECT and said.value is not None:
                claimed_kw[node] = said.value / 1000.0
            continue
        reading = powers[node]
        assert reading.value is not None, "it is not silent"
        assert reading.at is not None, "it is not silent"
        seen_kw += reading.value / 1000.0
        parts_kw += reading.assumed / 1000.0
        in_part += reading.assumed > 0.0
        read_from = reading.at if read_from is None else min(read_from, reading.at)
    unread = dict(of_nodes(pool, expected_kw, seen_kw, known_silent, unknown))
    silent_kw = sum(of.kw for of in unread.values())
    unread[Basis.PARTS] = Unread(in_part, parts_kw)
    counted = seen_kw + silent_kw
    most_kw = expected_kw
    if silence.dark_since is not None and before is not None:
        most_kw = max(before.most_kw, expected_kw)  # what went down since is seen by nobody
    controls = site.controls
    rest_before = now - max(controls.up_within, controls.down_within)
    at_rest = all(view.changed_at <= rest_before for view in jobs)
    excess_kw = max(counted - expected_kw, 0.0) if at_rest else 0.0
    if silence.silent:
        excess_kw = before.excess_kw if before is not None else 0.0
    return PoolStatus(
        pool=pool,
        gpu_limit_w=gpu_limit_w,
        counted_kw=counted,
        committed_kw=max(counted, most_kw),
        silent=silence.silent,
        silent_kw=silent_kw,
        excess_kw=excess_kw,
        expected_kw=expected_kw,
        never_read=silence.never_read,
        dark_since=silence.dark_since,
        most_kw=most_kw,
        read_from=read_from,
        unread={basis: of for basis, of in unread.items() if of.devices},
        claimed_kw=claimed_kw,
    )
