"""What the charts are drawn from: a year's intervals packed or thinned, so that the file stays small."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.backtest.report.bands import duration_curve, mean_mw, price_bands
from orchestrator.backtest.report.events import PriceEvent
from orchestrator.backtest.report.events_table import event_name
from orchestrator.backtest.report.headline import beside, shown_strategy
from orchestrator.backtest.result import BacktestResult, Floats, Ints, StrategyResult, StrategySeries

MOST_INTERVALS = 40_000
"""A year of quarter hours is drawn as it is; what is longer or finer is averaged over longer stretches."""
STRETCHES_S = (300, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
PROFIT_POINTS = 500
DAY_S = 86_400


def chart_data(result: BacktestResult, events: tuple[PriceEvent, ...]) -> dict[str, Any]:
    """For the page's script; power in kW, money in USD, times in unix seconds, days as local dates."""
    shown, first = shown_strategy(result), beside(result)
    assert shown is not None, "a report without a strategy has no charts"
    return {
        "zone": _offsets(result),
        "limit_kw": result.site.grid.limit_kw,
        "shown": shown.name,
        "beside": first.name if first is not None else None,
        "profit": _profit(result),
        "days": _days(result, shown, first),
        "intervals": _intervals(result, shown, first),
        "events": [_event(result, event, shown, first) for event in events],
        "duration": dict(zip(("share", "price"), duration_curve(result), strict=True)),
        "bands": _bands(result, shown, first),
    }


def _offsets(result: BacktestResult) -> list[tuple[int, int, str]]:
    """(From unix seconds on, seconds east of UTC, abbreviation): the script knows no time zones."""
    zone = ZoneInfo(result.site.timezone)
    found: list[tuple[int, int, str]] = []
    at = result.start
    while at < result.end or not found:
        local = at.astimezone(zone)
        offset = local.utcoffset() or timedelta(0)
        if not found or found[-1][1] != int(offset.total_seconds()):
            found.append((int(at.timestamp()), int(offset.total_seconds()), local.tzname() or ""))
        at += timedelta(hours=1)
    return found


def _profit(result: BacktestResult) -> dict[str, Any]:
    count = len(result.market)
    every = max(count // PROFIT_POINTS, 1)
    rows = np.unique(np.append(np.arange(every - 1, count, every), count - 1))
    ends = result.market.start_s[rows] + int(result.market.step.total_seconds())
    return {
        "end_s": [int(result.market.start_s[0]), *(int(end) for end in ends)],
        "usd": {
            strategy.name: [0, *(round(float(usd)) for usd in strategy.series.cumulative_profit_usd[rows])]
            for strategy in result.strategies
        },
    }


def _days(result: BacktestResult, shown: StrategyResult, first: StrategyResult | None) -> dict[str, Any]:
    """Means of local days, and the range of the price within them."""
    at = result.market.start_s
    local_s = np.array(at)
    for from_s, offset_s, _ in _offsets(result):
        local_s[at >= from_s] = at[at >= from_s] + offset_s
    days, first_rows = np.unique(local_s // DAY_S, return_index=True)
    price = result.market.settled_usd_per_mwh
    count = np.diff(np.append(first_rows, len(at)))

    def mean(values: Floats, digits: int = 0) -> list[float]:
        return [round(float(value), digits) for value in np.add.reduceat(values, first_rows) / count]

    return {
        "date": [f"{datetime.fromtimestamp(int(day) * DAY_S, UTC):%Y-%m-%d}" for day in days],
        "price": mean(price, 2),
        "lowest": [round(float(value), 2) for value in np.minimum.reduceat(price, first_rows)],
        "highest": [round(float(value), 2) for value in np.maximum.reduceat(price, first_rows)],
        "mining": mean(shown.series.mining_grid_kw),
        "hpc": mean(shown.series.hpc_grid_kw),
        "beside": mean(first.series.grid_kw) if first is not None else None,
    }


def _intervals(result: BacktestResult, shown: StrategyResult, first: StrategyResult | None) -> dict[str, Any]:
    step_s = int(result.market.step.total_seconds())
    length_s = _stretch_s(len(result.market), step_s)
    stretch, rows = np.unique(result.market.start_s // length_s, return_index=True)
    count = np.diff(np.append(rows, len(result.market)))
    starts = result.market.start_s[rows] if length_s == step_s else stretch * length_s

    def mean(values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, rows) / count, dtype=np.float64)

    return {
        "step_s": length_s,
        "start_s": _packed(starts.astype("<u4")),
        "price": _packed(mean(result.market.settled_usd_per_mwh).astype("<f4")),
        "mining": _packed_kw(mean(shown.series.mining_grid_kw)),
        "hpc": _packed_kw(mean(shown.series.hpc_grid_kw)),
        "beside": _packed_kw(mean(first.series.grid_kw)) if first is not None else None,
    }


def _stretch_s(count: int, step_s: int) -> int:
    if count <= MOST_INTERVALS:
        return step_s
    longer = [length_s for length_s in STRETCHES_S if length_s % step_s == 0 and length_s > step_s]
    return next((length_s for length_s in longer if count * step_s / length_s <= MOST_INTERVALS), DAY_S)


def _packed(values: np.ndarray[tuple[int], np.dtype[Any]]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _packed_kw(values: Floats) -> dict[str, Any]:
    """In 65,535ths of the highest: finer than any line is drawn."""
    most = max(float(values.max()), 1.0)
    return {"most": most, "of": _packed(np.rint(np.maximum(values, 0.0) / most * 65_535.0).astype("<u2"))}


def _event(
    result: BacktestResult, event: PriceEvent, shown: StrategyResult, first: StrategyResult | None
) -> dict[str, Any]:
    rows, market = event.rows, result.market
    decided, settled = market.decided_usd_per_mwh[rows], market.settled_usd_per_mwh[rows]
    return {
        "name": event_name(result, event),
        "start_s": [int(at) for at in market.start_s[rows]],
        "step_s": int(market.step.total_seconds()),
        "price": _list(settled, 2),
        "decided": _list(decided, 2) if bool((np.abs(decided - settled) > 0.005).any()) else None,
        "shown": _powers(shown.series, rows),
        "beside": _powers(first.series, rows) if first is not None else None,
    }


def _powers(series: StrategySeries, rows: slice) -> dict[str, list[float]]:
    return {"mining": _list(series.mining_grid_kw[rows], 1), "hpc": _list(series.hpc_grid_kw[rows], 1)}


def _list(values: Floats | Ints, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _bands(result: BacktestResult, shown: StrategyResult, first: StrategyResult | None) -> dict[str, Any]:
    bands = price_bands(result.market)
    of_shown = [mean_mw(shown.series, band) for band in bands]
    return {
        "name": [band.name for band in bands],
        "hours": [round(len(band.rows) * result.market.step_h, 2) for band in bands],
        "mining": [round(mining, 3) for mining, _ in of_shown],
        "hpc": [round(hpc, 3) for _, hpc in of_shown],
        "beside": [round(sum(mean_mw(first.series, band)), 3) for band in bands] if first is not None else None,
    }
