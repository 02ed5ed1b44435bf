"""The sources that a site file names, opened."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from orchestrator.adapters.prices.file import PriceFile, read_price_file
from orchestrator.adapters.prices.polled import PolledPrices
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.series.csv_series import read_hashprice_file, read_temperature_file
from orchestrator.adapters.telemetry.joined import OpenSource, with_meters
from orchestrator.adapters.telemetry.prometheus import PrometheusMetrics
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.clock import SiteClock
from orchestrator.ports import MetricSource, SeriesSource
from orchestrator.settings import values
from orchestrator.settings.values import Settings

DeviceMetrics = ScrapedMetrics | PrometheusMetrics


@dataclass(frozen=True, slots=True)
class Series:
    """The slowly changing figures beside the price."""

    hashprice: SeriesSource
    weather: SeriesSource


@dataclass(frozen=True, slots=True)
class Sources:
    """What a process reads, the same in all its terms."""

    prices: ReplayedPrices | PolledPrices | PushedPrices
    series: Series
    metrics: MetricSource


def open_series(settings: Settings) -> Series:
    """Hashprice and outdoor temperature; a bad file raises SeriesFileError."""
    hashprice: SeriesSource
    weather: SeriesSource
    if isinstance(settings.hashprice, values.CsvSeries):
        hashprice = read_hashprice_file(settings.hashprice.path)
    else:
        hashprice = ConstantSeries(settings.hashprice.value, "USD/PH/s/day")
    if isinstance(settings.weather, values.CsvSeries):
        weather = read_temperature_file(settings.weather.path, settings.weather.timezone)
    else:
        weather = ConstantSeries(settings.weather.value, "degC")
    return Series(hashprice, weather)


def read_price_files(feed: values.FilePrices) -> tuple[PriceFile, ...]:
    """The files of a feed; a bad one raises PriceFileError."""
    return tuple(
        read_price_file(Path(path), point=feed.point, timezone=feed.timezone, usd_per_eur=feed.usd_per_eur)
        for path in feed.paths
    )


def open_metrics(settings: Settings, targets: Path, client: httpx.AsyncClient, clock: SiteClock) -> OpenSource:
    """The site's telemetry: what is read of its devices, and its meters."""
    return with_meters(open_devices(settings, targets, client, clock), settings.site.meters(), clock)


def open_devices(settings: Settings, targets: Path, client: httpx.AsyncClient, clock: SiteClock) -> DeviceMetrics:
    """What is read of the devices: by a Prometheus server, or by the built-in scraper on the targets in a folder."""
    if isinstance(settings.telemetry, values.PrometheusMetrics):
        return PrometheusMetrics(settings.telemetry.url, client, clock, settings.series)
    return ScrapedMetrics(targets, client, clock, settings.series)


def open_prices(settings: Settings, client: httpx.AsyncClient) -> ReplayedPrices | PolledPrices | PushedPrices:
    """The site's price source."""
    feed = settings.prices
    if isinstance(feed, values.FilePrices):
        prices = [price for file in read_price_files(feed) for price in file.prices]
        return ReplayedPrices(prices, settings.site.timezone)
    if isinstance(feed, values.HttpPrices):
        return PolledPrices(feed.url, client, timedelta(seconds=feed.every_s))
    return PushedPrices()
