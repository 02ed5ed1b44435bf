"""The market of a backtest, read from files: prices, hashprice and outdoor temperature."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from math import inf
from pathlib import Path

import numpy as np

from orchestrator.adapters.prices.file import PriceFile, read_price_file
from orchestrator.adapters.prices.layouts import hourly
from orchestrator.adapters.series.csv_series import read_hashprice_file, read_temperature_file
from orchestrator.backtest.market import FilePriced, MarketHistory, market_history
from orchestrator.backtest.series import Series
from orchestrator.settings import values
from orchestrator.settings.values import FilePrices, Settings

TOLD_HOLES = 10
"""Holes of a file named in the notes; of the rest only the number."""


def load_history(
    settings: Settings,
    feed: FilePrices,
    *,
    hashprice: Path | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> MarketHistory:
    """The market of the feed's files from `start` to `end`; hashprice of a file, else as the site file says.

    Missing intervals and blank prices are filled by the site's stale policy and noted. Raises PriceFileError,
    SeriesFileError and MarketError.
    """
    files = [
        read_price_file(
            path, point=feed.point, timezone=feed.timezone, usd_per_eur=feed.usd_per_eur, holes_allowed=True
        )
        for path in feed.paths
    ]
    history = market_history(
        [FilePriced(file.path.name, file.prices, file.final, file.layout == hourly.LAYOUT) for file in files],
        settings.site.stale.price,
        _hashprice(settings, hashprice),
        _outdoor(settings),
        start=start,
        end=end,
    )
    return replace(history, notes=(*history.notes, *_holes(files)))


def _hashprice(settings: Settings, file: Path | None) -> Series:
    stale = settings.site.stale
    feed = settings.hashprice
    if file is None and isinstance(feed, values.ConstantSeries):
        return _constant(feed.value)
    path = file if file is not None else feed.path if isinstance(feed, values.CsvSeries) else None
    assert path is not None, "a series is a constant or a file"
    points = read_hashprice_file(path).points
    return _series(points, stale.hashprice_max_age.total_seconds(), stale.hashprice_assume_usd_per_ph_day)


def _outdoor(settings: Settings) -> Series:
    stale = settings.site.stale
    feed = settings.weather
    if isinstance(feed, values.ConstantSeries):
        return _constant(feed.value)
    points = read_temperature_file(feed.path, feed.timezone).points
    return _series(points, stale.temperature_max_age.total_seconds(), stale.temperature_assume_c)


def _constant(value: float) -> Series:
    return Series(at=np.array([0.0]), values=np.array([value]), max_age_s=inf, assumed=value)


def _series(points: Iterable[tuple[datetime, float]], max_age_s: float, assumed: float) -> Series:
    points = list(points)
    return Series(
        at=np.array([at.timestamp() for at, _ in points], dtype=np.float64),
        values=np.array([value for _, value in points], dtype=np.float64),
        max_age_s=max_age_s,
        assumed=assumed,
    )


def _holes(files: Iterable[PriceFile]) -> list[str]:
    notes = []
    for file in files:
        notes += [
            f"{hole.file.name}:{hole.line}: {hole.column} {hole.value!r} {hole.problem}"
            for hole in file.holes[:TOLD_HOLES]
        ]
        if len(file.holes) > TOLD_HOLES:
            notes.append(f"{file.path.name}: {len(file.holes) - TOLD_HOLES} more holes")
    return notes
