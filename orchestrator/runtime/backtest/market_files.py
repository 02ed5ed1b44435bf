"""The market of a backtest, read from files: prices, hashprice and outdoor temperature."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from math import inf
from pathlib import Path

import numpy as np

from orchestrator.adapters.prices.faults import Fault
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

    Missing intervals and blank prices are filled by the site's stale policy and noted, as is the time zone that times
    without an offset were read in. Raises PriceFileError,
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
    return replace(history, notes=(*_zones(files), *history.notes, *_holes(files, history)))


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


def _zones(files: Iterable[PriceFile]) -> list[str]:
    return [
        f"{file.path.name}: times without an offset were read as {file.naive_in}; --timezone names another zone"
        for file in files
        if file.naive_in is not None
    ]


def _holes(files: Iterable[PriceFile], history: MarketHistory) -> list[str]:
    """Of what this run looks at, which is more than its period: other holes of a file are no matter of it."""
    notes = []
    for file in files:
        told = [
            f"{hole.file.name}:{hole.line}: {hole.column} {hole.value!r} {hole.problem}{where}"
            for hole in sorted(file.holes, key=lambda hole: hole.line or 0)
            if (where := _where(hole, history)) is not None
        ]
        notes += told[:TOLD_HOLES]
        if len(told) > TOLD_HOLES:
            notes.append(f"{file.path.name}: {len(told) - TOLD_HOLES} more holes")
    return notes


def _where(hole: Fault, history: MarketHistory) -> str | None:
    """What a hole has to do with the period, None for nothing."""
    if hole.span is None:
        return ""
    start, end = hole.span
    if end <= history.start or start >= history.at(len(history)):
        return None
    if start >= history.at(history.end):
        return ", after the period: plans look ahead to it"
    return ", before the period: forecasts learn from it" if end <= history.at(history.begin) else ""
