"""GPU power limits: how jobs that may not be stopped still make room under a cap."""

from collections.abc import Mapping

from orchestrator.domain.snapshot import Snapshot
from orchestrator.planning.blocks import Block


def throttle(
    snapshot: Snapshot, over_kw: float, taken: Mapping[str, list[tuple[Block, int]]]
) -> tuple[dict[str, float], float]:
    """Power limits in W by pool that bring grid power down by `over_kw`, and the kW that they cannot bring.

    All pools give the same share of their power above idle, each down to its lowest limit.
    """
    limits_w = {name: status.pool.gpu_power_w for name, status in snapshot.pools.items()}
    if over_kw <= 0:
        return limits_w, 0.0
    running_kw = dict.fromkeys(snapshot.pools, 0.0)
    for blocks in taken.values():
        for block, units in blocks:
            if block.step is None:
                running_kw[snapshot.jobs[block.name].job.pool] += block.unit_kw * units * snapshot.pue
    total_kw = sum(running_kw.values())
    if total_kw <= 0:
        return limits_w, over_kw
    share = 1.0 - min(over_kw / total_kw, 1.0)
    saved_kw = 0.0
    for name, status in snapshot.pools.items():
        pool = status.pool
        span_w = pool.gpu_power_w - pool.gpu_idle_w
        limits_w[name] = max(float(int(pool.gpu_idle_w + span_w * share)), pool.gpu_min_power_w)
        saved_kw += running_kw[name] * (pool.gpu_power_w - limits_w[name]) / span_w
    return limits_w, max(over_kw - saved_kw, 0.0)
