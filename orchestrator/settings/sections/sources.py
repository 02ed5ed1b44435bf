"""Where prices, hashprice, weather and telemetry come from: those sections of the site file."""

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.settings.sections.quantities import FilePath, Hashprice, HttpUrl, Section, Temperature, Text, Timezone
from orchestrator.settings.sections.series import MappedSection


class FilePriceSection(Section):
    """Prices replayed from files."""

    kind: Literal["file"]
    files: Annotated[list[FilePath], Field(min_length=1, max_length=1000, description="Relative to the site file.")]
    point: Annotated[Text | None, Field(description="Settlement point, for a file with several.")] = None
    timezone: Annotated[
        Timezone | None, Field(description="IANA name: the zone of times without an offset; the site's if left out.")
    ] = None
    usd_per_eur: Annotated[float | None, Field(gt=0, le=1000, description="Rate, for a file in EUR/MWh.")] = None


class HttpPriceSection(Section):
    """Prices polled from an HTTP JSON source."""

    kind: Literal["http"]
    url: Annotated[HttpUrl, Field(description="Where the JSON is.")]
    every_s: Annotated[float, Field(ge=1, le=3600, description="Time between polls, s.")]


class PushPriceSection(Section):
    """Prices that come in by POST /api/v1/prices."""

    kind: Literal["push"]


class HashpriceSection(Section):
    """What hash earns: a constant or a file, one of the two."""

    usd_per_ph_day: Annotated[Hashprice | None, Field(description="A constant, USD per PH/s per day.")] = None
    file: Annotated[
        FilePath | None, Field(description="CSV with date_utc,hashprice_usd_per_ph_day; relative to the site file.")
    ] = None


class WeatherSection(Section):
    """Outdoor temperature: a constant or a file, one of the two."""

    temperature_c: Annotated[Temperature | None, Field(description="A constant, degC.")] = None
    file: Annotated[
        FilePath | None, Field(description="CSV with interval_start_utc,temperature_c; relative to the site file.")
    ] = None
    timezone: Annotated[
        Timezone | None, Field(description="IANA name: the zone of times without an offset; the site's if left out.")
    ] = None


class ScrapeSection(MappedSection):
    """The built-in scraper."""

    kind: Literal["scrape"]


class PrometheusSection(MappedSection):
    """A Prometheus server."""

    kind: Literal["prometheus"]
    url: Annotated[HttpUrl, Field(description="Base address of the server.")]


PriceSection = Annotated[FilePriceSection | HttpPriceSection | PushPriceSection, Field(discriminator="kind")]
TelemetrySection = Annotated[ScrapeSection | PrometheusSection, Field(discriminator="kind")]
