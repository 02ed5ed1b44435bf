"""Power by price: how long each band of prices held, and what was drawn in it."""

from dataclasses import dataclass

import numpy as np

from orchestrator.backtest.result import BacktestResult, MarketSeries, StrategySeries

EDGES = (0.0, 20.0, 40.0, 60.0, 80.0, 150.0, 250.0, 1000.0)
"""USD/MWh at which one band ends and the next begins."""


@dataclass(frozen=True, slots=True)
class Band:
    """Settled prices from `low` up to, without, `high`."""

    low: float
    high: float
    rows: np.ndarray[tuple[int], np.dtype[np.int64]]

    @property
    def name(self) -> str:
        if self.low == -np.inf:
            return "below 0"
        return f"\u2265 {self.low:,.0f}" if self.high == np.inf else f"{self.low:,.0f}\u2013{self.high:,.0f}"


def price_bands(market: MarketSeries) -> tuple[Band, ...]:
    """Ascending, without those that no price fell in."""
    edges = (-np.inf, *EDGES, np.inf)
    of = np.digitize(market.settled_usd_per_mwh, EDGES)
    bands = (Band(edges[at], edges[at + 1], np.flatnonzero(of == at)) for at in range(len(EDGES) + 1))
    return tuple(band for band in bands if len(band.rows))


def mean_mw(series: StrategySeries, band: Band) -> tuple[float, float]:
    """Mining and HPC at the grid, averaged over the band's hours."""
    mining, hpc = series.mining_grid_kw[band.rows], series.hpc_grid_kw[band.rows]
    return float(mining.mean()) / 1000.0, float(hpc.mean()) / 1000.0


def duration_curve(result: BacktestResult, points: int = 240) -> tuple[list[float], list[float]]:
    """(Share of time in %, lowest price of that share's dearest intervals), closer together where prices are high."""
    price = np.sort(result.market.settled_usd_per_mwh)[::-1]
    at = np.unique(np.geomspace(1.0, len(price), points).astype(np.int64)) - 1
    return [round(float(row + 1) / len(price) * 100.0, 6) for row in at], [round(float(price[row]), 2) for row in at]
