"""The site file and the environment, turned into frozen values; every error names file, line, key, value and range."""

from orchestrator.settings.load import load_settings
from orchestrator.settings.problems import Problem, SettingsError
from orchestrator.settings.sections.site import settings_schema
from orchestrator.settings.series_map import QUANTITIES
from orchestrator.settings.values import (
    Cluster,
    ConstantSeries,
    CsvSeries,
    FilePrices,
    HttpPrices,
    MetricFeed,
    MockSite,
    PriceFeed,
    PrometheusMetrics,
    PushedPrices,
    ScrapedMetrics,
    SeriesFeed,
    Settings,
)

__all__ = [
    "QUANTITIES",
    "Cluster",
    "ConstantSeries",
    "CsvSeries",
    "FilePrices",
    "HttpPrices",
    "MetricFeed",
    "MockSite",
    "PriceFeed",
    "Problem",
    "PrometheusMetrics",
    "PushedPrices",
    "ScrapedMetrics",
    "SeriesFeed",
    "Settings",
    "SettingsError",
    "load_settings",
    "settings_schema",
]
