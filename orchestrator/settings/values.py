"""What the site file and the environment say, as frozen values."""

from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.domain.series.series import SeriesMap
from orchestrator.domain.site.site import Site


@dataclass(frozen=True, slots=True)
class FilePrices:
    """Prices replayed from files: our CSV, ERCOT's report or gridstatus columns."""

    paths: tuple[Path, ...]
    point: str | None
    """Settlement point, for a file with several."""
    timezone: str
    """IANA name: the zone of times without an offset."""
    usd_per_eur: float | None
    """Rate of a file in EUR/MWh."""


@dataclass(frozen=True, slots=True)
class HttpPrices:
    """Prices polled from an HTTP JSON source."""

    url: str
    every_s: float


@dataclass(frozen=True, slots=True)
class PushedPrices:
    """Prices that come in by `POST /api/v1/prices`."""


PriceFeed = FilePrices | HttpPrices | PushedPrices


@dataclass(frozen=True, slots=True)
class ConstantSeries:
    """One figure that holds always: degC or USD per PH/s per day."""

    value: float


@dataclass(frozen=True, slots=True)
class CsvSeries:
    """A figure by time, from a CSV file."""

    path: Path
    timezone: str
    """IANA name: the zone of times without an offset."""


SeriesFeed = ConstantSeries | CsvSeries


@dataclass(frozen=True, slots=True)
class ScrapedMetrics:
    """The built-in scraper reads the exporters itself."""


@dataclass(frozen=True, slots=True)
class PrometheusMetrics:
    """Metrics are asked of a Prometheus server by PromQL."""

    url: str


MetricFeed = ScrapedMetrics | PrometheusMetrics


@dataclass(frozen=True, slots=True)
class MockSite:
    """The site's devices are simulated ones, run as real processes."""

    seed: int
    nodes_per_exporter: int
    """GPU nodes that one exporter process stands for."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The site's workloads are objects of a Kubernetes cluster."""

    name: str
    """What the controller's own objects are called after."""
    namespace: str | None
    """Of all objects; None for the one that the controller runs in, or of the kubeconfig's context."""
    context: str | None
    """Of the kubeconfig; None in a pod, or for the current one."""


@dataclass(frozen=True, slots=True)
class Settings:
    site: Site
    prices: PriceFeed
    hashprice: SeriesFeed
    """USD per PH/s per day."""
    weather: SeriesFeed
    """Outdoor temperature, degC."""
    telemetry: MetricFeed
    series: SeriesMap
    """Which series telemetry is read from, whichever way."""
    state_dir: Path
    """Where the controller keeps its state; made when first needed."""
    store_url: str = field(repr=False)
    """SQLAlchemy URL; it may hold a password, so it is not shown."""
    api_key: str | None = field(repr=False)
    """From the environment only."""
    mock: MockSite | None
    """None for a site with real devices."""
    kubernetes: Cluster | None
    """None for a site without a cluster."""
    warnings: tuple[str, ...]
    """What is allowed but may not be meant."""
