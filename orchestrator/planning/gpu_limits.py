"""GPU power limits: how jobs that may not be stopped still make room under a cap."""

from collections.abc import Mapping

from orchestrator.domain.snapshot import Snapshot


def throttle(
    snapshot: Snapshot, running_kw: Mapping[str, float], grid_over_kw: float, feeder_over_kw: Mapping[str, float]
) -> dict[str, float]:
    """Power limits in W by pool that bring grid and feeders down by what they are over, as far as limits can.

    `running_kw` is what each pool's jobs draw above idle at full power, at the grid. Pools under one cap give the
    same share of it, each down to its lowest limit.
    """
    drawn_kw = dict(running_kw)
    floor_kw: dict[str, float] = {}
    for name, status in snapshot.pools.items():
        pool = status.pool
        span_w = pool.gpu_power_w - pool.gpu_idle_w
        floor_kw[name] = running_kw[name] * (pool.gpu_min_power_w - pool.gpu_idle_w) / span_w
    for feeder, over_kw in feeder_over_kw.items():
        on_feeder = [name for name, status in snapshot.pools.items() if status.pool.feeder == feeder]
        _lower(drawn_kw, floor_kw, on_feeder, over_kw)
    _lower(drawn_kw, floor_kw, list(drawn_kw), grid_over_kw - (sum(running_kw.values()) - sum(drawn_kw.values())))
    limits_w: dict[str, float] = {}
    for name, status in snapshot.pools.items():
        pool, full_kw = status.pool, running_kw[name]
        limits_w[name] = pool.gpu_power_w
        if drawn_kw[name] < full_kw:
            share = drawn_kw[name] / full_kw
            limit_w = float(int(pool.gpu_idle_w + (pool.gpu_power_w - pool.gpu_idle_w) * share))
            limits_w[name] = max(limit_w, pool.gpu_min_power_w)
    return limits_w


def _lower(drawn_kw: dict[str, float], floor_kw: Mapping[str, float], pools: list[str], over_kw: float) -> None:
    """Take `over_kw` from `pools`, the same share from each that is above its floor."""
    while over_kw > 1e-6 and (lowerable := [name for name in pools if drawn_kw[name] > floor_kw[name]]):
        share = max(1.0 - over_kw / sum(drawn_kw[name] for name in lowerable), 0.0)
        for name in lowerable:
            lower_kw = max(drawn_kw[name] * share, floor_kw[name])
            over_kw -= drawn_kw[name] - lower_kw
            drawn_kw[name] = lower_kw
