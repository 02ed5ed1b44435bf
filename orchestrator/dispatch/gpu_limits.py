"""GPU power limits: how jobs that may not be stopped still make room under a cap."""

import numpy as np

from orchestrator.dispatch.kernels.rows import PoolColumns
from orchestrator.observe.columns import Flags, Floats

ROUNDING_W = 1e-9
"""So that a limit which comes out a rounding error under a whole watt is that watt."""


def throttle(pools: PoolColumns, running_kw: Floats, grid_over_kw: float, feeder_over_kw: Floats) -> Floats:
    """Power limits in W by pool that bring grid and feeders down by what they are over, as far as limits can.

    `running_kw` is what each pool's jobs draw above idle at full power, at the grid. Pools under one cap give the
    same share of it, each down to its lowest limit.
    """
    span_w = pools.gpu_power_w - pools.gpu_idle_w
    drawn_kw, floor_kw = running_kw.copy(), running_kw * (pools.gpu_min_power_w - pools.gpu_idle_w) / span_w
    for feeder, over_kw in enumerate(feeder_over_kw):
        _lower(drawn_kw, floor_kw, pools.feeder == feeder, over_kw)
    everywhere = np.ones(len(running_kw), dtype=np.bool_)
    _lower(drawn_kw, floor_kw, everywhere, grid_over_kw - float(running_kw.sum() - drawn_kw.sum()))
    lower = drawn_kw < running_kw
    share = np.divide(drawn_kw, running_kw, out=np.ones_like(drawn_kw), where=lower)
    limits_w = np.maximum(np.floor(pools.gpu_idle_w + span_w * share + ROUNDING_W), pools.gpu_min_power_w)
    return np.where(lower, limits_w, pools.gpu_power_w)


def _lower(drawn_kw: Floats, floor_kw: Floats, pools: Flags, over_kw: float) -> None:
    """Take `over_kw` from these pools, the same share from each that is above its floor."""
    while over_kw > 1e-6 and (lowerable := pools & (drawn_kw > floor_kw)).any():
        share = max(1.0 - over_kw / float(drawn_kw[lowerable].sum()), 0.0)
        lower_kw = np.maximum(drawn_kw[lowerable] * share, floor_kw[lowerable])
        over_kw -= float((drawn_kw[lowerable] - lower_kw).sum())
        drawn_kw[lowerable] = lower_kw
