"""A block of power bought ahead over the steps of a plan, and what it makes of ways that prices may go."""

from dataclasses import dataclass

import numpy as np

from orchestrator.accounting.charges.block import Ppa
from orchestrator.optimizer.kernels.arrays import Floats, Supply


@dataclass(frozen=True, slots=True)
class PowerBlock:
    """Energy bought ahead: `block_kw` (T,) at the grid, and what each MWh of it that is not used brings, (T,)."""

    block_kw: Floats
    sell_usd_per_mwh: Floats

    @staticmethod
    def of(ppa: Ppa, market_usd_per_mwh: Floats) -> "PowerBlock":
        return PowerBlock(np.full(market_usd_per_mwh.shape, ppa.block_kw), unused_usd_per_mwh(ppa, market_usd_per_mwh))


def unused_usd_per_mwh(ppa: Ppa, market_usd_per_mwh: Floats) -> Floats:
    """`Ppa.unused_usd_per_mwh` of many prices."""
    spread = ppa.sell_back_spread_usd_per_mwh
    unused: Floats = np.minimum(market_usd_per_mwh, 0.0) if spread is None else market_usd_per_mwh - spread
    return unused


def marginal_paths(ppa: Ppa | None, supply: Supply, energy_usd_per_mwh: Floats, paths: Floats) -> Floats:
    """(P, T) marginal prices of energy where the market price goes along `paths` (P, T).

    `energy_usd_per_mwh` (T,) is the marginal price at the expected one. Where that lies between what unused power
    brings and the market price says how much of it the block covers, and it covers as much on any path.
    """
    if ppa is None:
        return paths
    market, unused = supply.price_usd_per_mwh, supply.sell_usd_per_mwh
    spread = market - unused
    beyond = np.divide(energy_usd_per_mwh - unused, spread, out=np.ones_like(spread), where=spread > 0.0)
    below = unused_usd_per_mwh(ppa, paths)
    marginal: Floats = below + beyond * (paths - below)
    return marginal
