"""The files that a site file names, read through as the controller would."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from orchestrator.adapters.prices.faults import DataFileError
from orchestrator.adapters.prices.file import PriceFile, read_price_file
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.series.csv_series import CsvSeries as CsvSeriesSource
from orchestrator.adapters.series.csv_series import read_hashprice_file, read_temperature_file
from orchestrator.domain.market import Market
from orchestrator.settings import ConstantSeries, CsvSeries, FilePrices, HttpPrices, Settings


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the files behind the site file say."""

    prices: str
    hashprice_usd_per_ph_day: float
    hashprice: str
    weather: str


class InputError(Exception):
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def read_inputs(settings: Settings) -> Inputs:
    lines: list[str] = []

    def guarded(error: ValueError) -> None:
        lines.extend(str(error).splitlines())

    files: list[PriceFile] = []
    hashprice = weather = None
    if isinstance(settings.prices, FilePrices):
        feed = settings.prices
        for file in feed.paths:
            try:
                files.append(
                    read_price_file(file, point=feed.point, timezone=feed.timezone, usd_per_eur=feed.usd_per_eur)
                )
            except DataFileError as error:
                guarded(error)
        try:
            ReplayedPrices((price for file in files for price in file.prices), settings.site.timezone)
        except ValueError as error:
            guarded(error)
    try:
        if isinstance(settings.hashprice, CsvSeries):
            hashprice = read_hashprice_file(settings.hashprice.path)
    except DataFileError as error:
        guarded(error)
    try:
        if isinstance(settings.weather, CsvSeries):
            weather = read_temperature_file(settings.weather.path, settings.weather.timezone)
    except DataFileError as error:
        guarded(error)
    if lines:
        raise InputError(lines)
    begin = min((span[0] for file in files for span in _spans(file)), default=None)
    value, at = _hashprice(settings, hashprice, begin)
    return Inputs(
        prices=_prices_line(settings, files),
        hashprice_usd_per_ph_day=value,
        hashprice=f"{value:,.2f} USD per PH/s per day{at}",
        weather=_weather_line(settings, weather),
    )


def _spans(file: PriceFile) -> list[tuple[datetime, datetime]]:
    return [span for market in Market if (span := file.span(market)) is not None]


def _hashprice(settings: Settings, series: CsvSeriesSource | None, begin: datetime | None) -> tuple[float, str]:
    """The hashprice to reckon with: on the first day of replayed prices, else the newest of its file."""
    if isinstance(settings.hashprice, ConstantSeries):
        return settings.hashprice.value, ", constant"
    assert series is not None, "a file was read"
    reading = asyncio.run(series.read(begin if begin is not None else series.span[1]))
    if reading.value is None or reading.at is None:
        return settings.site.stale.hashprice_assume_usd_per_ph_day, f", assumed: none in its file by {begin:%Y-%m-%d}"
    return reading.value, f" of {reading.at:%Y-%m-%d}, {settings.hashprice.path.name}"


def _prices_line(settings: Settings, files: list[PriceFile]) -> str:
    if isinstance(settings.prices, HttpPrices):
        return f"{settings.prices.url}, every {settings.prices.every_s:g} s"
    if not isinstance(settings.prices, FilePrices):
        return "pushed by POST /api/v1/prices"
    return "\n".join(
        f"{file.path.name} ({file.layout}): {span[0]:%Y-%m-%d %H:%M} to {span[1]:%Y-%m-%d %H:%M} UTC, {market}"
        for file in files
        for market in Market
        if (span := file.span(market)) is not None
    )


def _weather_line(settings: Settings, series: CsvSeriesSource | None) -> str:
    if isinstance(settings.weather, ConstantSeries):
        return f"{settings.weather.value:g} degC, constant"
    assert series is not None, "a file was read"
    first, last = series.span
    return f"{settings.weather.path.name}: {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
