"""The market over a period of the past, as arrays on a uniform grid: what was known when, and what was paid.

The rule: one decides on the price first published for an interval and settles on the final one. Of two files with a
real-time price for one interval, the one given first was published first and the one given last is final; our own CSV
may carry both in one file. Where there is no real-time price, the site's stale policy gives one, as it does live.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from orchestrator.backtest.series import Series, between, held
from orchestrator.domain.market import Market, Price, PricePolicy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONGEST_STEP = timedelta(minutes=15)
"""Hourly prices are on this grid too: machines and jobs are moved within the hour."""
LEAD = timedelta(days=35)
"""Rows kept before the period where there are prices: forecasts learn from them."""
TAIL = timedelta(days=2)
"""Rows kept after the period where there are prices: day-ahead ones are known before it ends."""


class Basis(IntEnum):
    """Where the price of a row is from, as in `CurrentPrice.basis`."""

    REAL_TIME = 0
    HELD = 1
    DAY_AHEAD = 2
    FALLBACK = 3


class MarketError(ValueError):
    """Prices that no backtest can run on; the text says what there is and what is needed."""


@dataclass(frozen=True, slots=True)
class FilePriced:
    """The prices of one file."""

    name: str
    prices: Sequence[Price]
    final: Sequence[Price] = ()
    """Real-time prices as settled in the end, where the file has both."""
    auction: bool = False
    """Its prices are of an hourly day-ahead auction and stand for real-time ones only where no file has any."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows of the period without a real-time price, and what stands in for it."""

    start: datetime
    end: datetime
    rows: tuple[int, int, int]
    """How many were settled at the last price held, the day-ahead price, the fallback price."""


@dataclass(frozen=True, slots=True)
class MarketHistory:
    """`R` rows of equal length from `start` on. The period to replay is rows `begin` to before `end`."""

    start: datetime
    step: timedelta
    begin: int
    end: int
    price_usd_per_mwh: Floats
    """(R,) to decide on: first published, or by the stale policy."""
    final_usd_per_mwh: Floats
    """(R,) to settle on."""
    basis: NDArray[np.int8]
    """(R,) as `Basis`: where `price_usd_per_mwh` is from."""
    real_time_usd_per_mwh: Floats
    """(R,) as first published, to forecast from; NaN where there is none. Known from the beginning of the row. Where
    no file has real-time prices, the day-ahead ones: what is paid."""
    day_ahead_usd_per_mwh: Floats
    """(R,) NaN where there is none. Known from 13:30 local time of the day before."""
    hashprice_usd_per_ph_day: Floats
    """(R,) of the row's own day: to settle on."""
    hashprice_known_usd_per_ph_day: Floats
    """(R,) of the day before, known at the row: to decide on."""
    outdoor_c: Floats
    """(R,)"""
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    """What was assumed or corrected, a sentence each, for the report."""

    def __len__(self) -> int:
        return len(self.price_usd_per_mwh)

    def at(self, row: int) -> datetime:
        return self.start + row * self.step

    def row(self, at: datetime) -> int:
        """The row that covers `at`; it may lie outside."""
        return (at - self.start) // self.step


def market_history(
    files: Sequence[FilePriced],
    policy: PricePolicy,
    hashprice: Series,
    outdoor: Series,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> MarketHistory:
    """The history of `files`, in the order they were given, from `start` to `end` or as far as their prices go.

    The grid's step is the shortest interval of a real-time price, at most 15 minutes. A period that goes beyond the
    prices is cut to them and noted. Raises MarketError where there is no price in the period at all.
    """
    real_time_named = any(
        price.market is Market.REAL_TIME for file in files if not file.auction for price in file.prices
    )
    paid = Market.REAL_TIME if real_time_named or any(file.auction for file in files) else Market.DAY_AHEAD
    used = [
        FilePriced(file.name, [price for price in file.prices if price.market is Market.DAY_AHEAD])
        if file.auction and real_time_named
        else file
        for file in files
    ]
    of_paid = [price for file in used for price in file.prices if price.market is paid]
    if not of_paid:
        raise MarketError(f"{_names(files)}: no prices; a backtest needs real-time or day-ahead ones")
    first_at, last_at = min(price.start for price in of_paid), max(price.end for price in of_paid)
    notes: list[str] = []
    begin_at, end_at = _period(first_at, last_at, start, end, _names(files), notes)
    step = min(LONGEST_STEP, *(price.end - price.start for price in of_paid))
    begin_at = first_at + (begin_at - first_at) // step * step
    end_at = first_at - (first_at - end_at) // step * step
    every = [price for file in used for price in file.prices]
    grid_start = max(min(price.start for price in every), begin_at - LEAD)
    grid_end = min(max(price.end for price in every), end_at + TAIL)
    grid_start = begin_at - ((begin_at - grid_start) // step) * step
    rows = max((grid_end - grid_start) // step, (end_at - grid_start) // step)
    grid = _Grid(grid_start.timestamp(), step.total_seconds(), rows)
    begin, stop = (begin_at - grid_start) // step, (end_at - grid_start) // step
    first, final = _real_time(used, grid, (begin, stop), notes)
    day_ahead = _day_ahead(used, grid)
    price, basis = _decided(first, day_ahead, grid, policy)
    final = np.where(np.isnan(final), price, final)
    gaps = _gaps(basis, begin, stop, grid_start, step) if paid is Market.REAL_TIME else ()
    notes += [_told(gap, step, policy) for gap in gaps]
    if paid is Market.DAY_AHEAD or not real_time_named:
        notes.append("no real-time prices in these files: energy is bought at the day-ahead price")
    if paid is Market.DAY_AHEAD and (lost := int((basis[begin:stop] == Basis.FALLBACK).sum())):
        hours = lost * step / timedelta(hours=1)
        notes.append(f"{hours:g} h without any price: settled at the fallback, {policy.fallback_usd_per_mwh:g} USD/MWh")
    at: Floats = grid.start_s + grid.step_s * np.arange(rows, dtype=np.float64)
    earned, assumed_rows = held(hashprice, at)
    if assumed := int(assumed_rows[begin:stop].sum()):
        notes.append(
            f"hashprice: no value for {assumed * step / timedelta(days=1):.1f} days of the period: "
            f"{hashprice.assumed:g} USD per PH/s per day assumed, as the site file says"
        )
    known, _ = held(hashprice, at - 86_400.0, earned)
    outdoor_c, assumed_rows = between(outdoor, at)
    if assumed := int(assumed_rows[begin:stop].sum()):
        notes.append(
            f"temperature: no value for {assumed * step / timedelta(days=1):.1f} days of the period: "
            f"{outdoor.assumed:g} degC assumed, as the site file says"
        )
    return MarketHistory(
        start=grid_start,
        step=step,
        begin=begin,
        end=stop,
        price_usd_per_mwh=price,
        final_usd_per_mwh=final,
        basis=basis,
        real_time_usd_per_mwh=first if paid is Market.REAL_TIME else day_ahead,
        day_ahead_usd_per_mwh=day_ahead,
        hashprice_usd_per_ph_day=earned,
        hashprice_known_usd_per_ph_day=known,
        outdoor_c=outdoor_c,
        gaps=gaps,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    start_s: float
    step_s: float
    rows: int

    def cells(self, prices: Sequence[Price]) -> tuple[Ints, Floats]:
        """The rows that `prices` cover, and the price of each; those outside are left out."""
        starts = np.array([price.start.timestamp() for price in prices], dtype=np.float64)
        lengths = np.array([(price.end - price.start).total_seconds() for price in prices], dtype=np.float64)
        values = np.array([price.usd_per_mwh for price in prices], dtype=np.float64)
        counts = np.rint(lengths / self.step_s).astype(np.int64)
        firsts = np.floor((starts - self.start_s) / self.step_s + 1e-6).astype(np.int64)
        nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.repeat(firsts, counts) + nth
        inside = (rows >= 0) & (rows < self.rows)
        return rows[inside], np.repeat(values, counts)[inside]


def _period(
    first_at: datetime, last_at: datetime, start: datetime | None, end: datetime | None, names: str, notes: list[str]
) -> tuple[datetime, datetime]:
    if start is not None and end is not None and start >= end:
        raise MarketError(f"a period from {start:%FT%TZ} to {end:%FT%TZ}: it has to end after it begins")
    begin_at = first_at if start is None else max(start.astimezone(UTC), first_at)
    end_at = last_at if end is None else min(end.astimezone(UTC), last_at)
    if begin_at >= end_at:
        raise MarketError(
            f"{names}: no prices from {start or first_at:%FT%TZ} to {end or last_at:%FT%TZ}; "
            f"there are prices from {first_at:%FT%TZ} to {last_at:%FT%TZ}"
        )
    if (start is not None and begin_at > start) or (end is not None and end_at < end):
        notes.append(f"prices go from {first_at:%FT%TZ} to {last_at:%FT%TZ}: the period is cut to them")
    return begin_at, end_at


def _real_time(
    files: Sequence[FilePriced], grid: _Grid, period: tuple[int, int], notes: list[str]
) -> tuple[Floats, Floats]:
    """First published and final real-time prices, NaN where there is none."""
    first, final = np.full(grid.rows, np.nan), np.full(grid.rows, np.nan)
    for file in files:
        rows, values = grid.cells([price for price in file.prices if price.market is Market.REAL_TIME])
        known = ~np.isnan(first[rows])
        changed = known & (final[rows] != values)
        final[rows] = values
        first[rows[~known]] = values[~known]
        _note_corrected(rows[changed], first, final, period, f"{file.name}, given after it, has", notes)
        rows, values = grid.cells(file.final)
        changed = final[rows] != values
        final[rows] = values
        _note_corrected(rows[changed], first, final, period, f"{file.name} has final ones", notes)
    return first, final


def _note_corrected(
    rows: Ints, first: Floats, final: Floats, period: tuple[int, int], whose: str, notes: list[str]
) -> None:
    rows = rows[(rows >= period[0]) & (rows < period[1])]
    if len(rows):
        change = float(np.abs(final[rows] - first[rows]).mean())
        notes.append(
            f"{len(rows)} real-time prices of the period were corrected, by {change:.2f} USD/MWh on average: "
            f"{whose} another price; decided on the first, settled on the last"
        )


def _day_ahead(files: Sequence[FilePriced], grid: _Grid) -> Floats:
    """Day-ahead prices, NaN where there is none; of two for one interval the later file's holds."""
    day_ahead = np.full(grid.rows, np.nan)
    for file in files:
        rows, values = grid.cells([price for price in file.prices if price.market is Market.DAY_AHEAD])
        day_ahead[rows] = values
    return day_ahead


def _decided(first: Floats, day_ahead: Floats, grid: _Grid, policy: PricePolicy) -> tuple[Floats, NDArray[np.int8]]:
    """The price in force at the beginning of each row as `current_price` gives it, and its basis."""
    row = np.arange(grid.rows)
    last = np.maximum.accumulate(np.where(np.isnan(first), -1, row))
    age_s = (row - last - 1) * grid.step_s
    is_held = (last >= 0) & (age_s < policy.max_age.total_seconds())
    basis = np.where(np.isnan(day_ahead), Basis.FALLBACK, Basis.DAY_AHEAD)
    basis = np.where(is_held, Basis.HELD, basis)
    basis = np.where(np.isnan(first), basis, Basis.REAL_TIME).astype(np.int8)
    price = np.where(basis == Basis.FALLBACK, policy.fallback_usd_per_mwh, day_ahead)
    return np.where(is_held | ~np.isnan(first), first[np.maximum(last, 0)], price), basis


def _gaps(basis: NDArray[np.int8], begin: int, stop: int, start: datetime, step: timedelta) -> tuple[Gap, ...]:
    missing = np.concatenate(([False], basis[begin:stop] != Basis.REAL_TIME, [False]))
    edges = np.flatnonzero(missing[1:] != missing[:-1]) + begin
    gaps = []
    for low, high in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        held, day_ahead, fallback = (int((basis[low:high] == kind).sum()) for kind in list(Basis)[1:])
        gaps.append(Gap(start + low * step, start + high * step, (held, day_ahead, fallback)))
    return tuple(gaps)


def _told(gap: Gap, step: timedelta, policy: PricePolicy) -> str:
    names = ("the last price, held", "the day-ahead price", f"the fallback of {policy.fallback_usd_per_mwh:g} USD/MWh")
    parts = [
        f"{rows * step / timedelta(hours=1):g} h at {name}" for rows, name in zip(gap.rows, names, strict=True) if rows
    ]
    return f"no real-time price from {gap.start:%FT%TZ} to {gap.end:%FT%TZ}: {', '.join(parts)}"


def _names(files: Sequence[FilePriced]) -> str:
    return ", ".join(file.name for file in files)
