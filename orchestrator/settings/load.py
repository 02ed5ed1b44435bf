"""From the site file and the environment to settings."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet, Mode
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site, Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.settings.crosscheck import cross_check
from orchestrator.settings.document import parse
from orchestrator.settings.environment import STORE_URL, STORE_URL_ALLOWED, Overrides, read_environment
from orchestrator.settings.meters import metering_point
from orchestrator.settings.problems import Found, Problem, SettingsError, shown
from orchestrator.settings.sections import site as schema
from orchestrator.settings.sections import sources
from orchestrator.settings.series_map import series_map
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
from orchestrator.settings.warnings import warnings_of

MOST_BYTES = 4 * 1024 * 1024


def load_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """Settings of the site file at `path`, with the overrides in `env`.

    Raises SettingsError with every error of both.
    """
    overrides, problems = read_environment(env)
    found = Found(str(path), parse(_text(path)))
    folder = path.parent
    if found.readable:
        found.add_schema_errors()
        cross_check(found.value, folder, found, prometheus_given=overrides.prometheus_url is not None)
        _check_store_url(found)
    problems += found.problems
    if problems:
        raise SettingsError(problems)
    file = schema.SiteFile.model_validate(found.value)
    return _settings(file, folder, overrides, found)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, str(error.strerror or error), "a file that can be read") from error
    if len(raw) > MOST_BYTES:
        raise _unreadable(path, f"{len(raw):,} bytes", f"at most {MOST_BYTES:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, f"byte 0x{raw[error.start]:02x}", "text in UTF-8", line) from error


def _unreadable(path: Path, value: str, allowed: str, line: int = 1) -> SettingsError:
    return SettingsError([Problem(str(path), line, "(the whole file)", value, allowed)])


def _check_store_url(found: Found) -> None:
    url = found.value.get("store_url") if isinstance(found.value, dict) else None
    if isinstance(url, str) and not STORE_URL.match(url):
        found.add(("store_url",), shown(url.split("@")[-1]), STORE_URL_ALLOWED)


def _settings(file: schema.SiteFile, folder: Path, overrides: Overrides, found: Found) -> Settings:
    site = _site(file, found)
    weather_zone = file.weather.timezone or file.timezone
    state_dir = (folder / file.state_dir).resolve()
    store_url = overrides.store_url or file.store_url or f"sqlite:///{state_dir / f'{site.name}.db'}"
    telemetry = _telemetry(file)
    if overrides.prometheus_url is not None:
        telemetry = PrometheusMetrics(overrides.prometheus_url)
    return Settings(
        site=site,
        prices=_prices(file, folder),
        hashprice=_series(file.hashprice.usd_per_ph_day, file.hashprice.file, "UTC", folder),
        weather=_series(file.weather.temperature_c, file.weather.file, weather_zone, folder),
        telemetry=telemetry,
        series=series_map(file.telemetry, site, found),
        state_dir=state_dir,
        store_url=_absolute(store_url, folder),
        api_key=overrides.api_key,
        mock=None if file.mock is None else MockSite(file.mock.seed, file.mock.nodes_per_exporter),
        kubernetes=None if file.kubernetes is None else _cluster(file.kubernetes),
        warnings=warnings_of(site, found),
    )


def _cluster(section: schema.KubernetesSection) -> Cluster:
    return Cluster(section.name, section.namespace, section.context)


def _absolute(store_url: str, folder: Path) -> str:
    """A relative SQLite file is meant relative to the site file, as all paths in it are."""
    scheme, _, file = store_url.partition(":///")
    if scheme != "sqlite" or not file or file == ":memory:" or file.startswith(("/", "file:")):
        return store_url
    return f"sqlite:///{(folder / file).resolve()}"


def _site(file: schema.SiteFile, found: Found) -> Site:
    return Site(
        name=file.name,
        timezone=file.timezone,
        grid=_grid(file, found),
        feeders=tuple(
            Feeder(feeder.name, feeder.limit_kw, metering_point(feeder.meter, ("feeders", index, "meter"), found))
            for index, feeder in enumerate(file.feeders)
        ),
        cooling=Cooling(tuple((point.temperature_c, point.pue) for point in file.cooling.pue_by_temperature)),
        fleets=tuple(map(_fleet, file.fleets)),
        pools=tuple(
            GpuPool(
                name=pool.name,
                gpu_model=pool.gpu_model,
                feeder=pool.feeder,
                nodes=pool.nodes,
                gpus_per_node=pool.gpus_per_node,
                gpu_power_w=pool.gpu_power_w,
                gpu_min_power_w=pool.gpu_min_power_w,
                gpu_idle_w=pool.gpu_idle_w,
                node_overhead_w=pool.node_overhead_w,
            )
            for pool in file.gpu_pools
        ),
        tenants=tuple(
            Tenant(
                name=tenant.name,
                sla=SlaClass(tenant.sla),
                usd_per_gpu_h=tenant.usd_per_gpu_h,
                credit_share=tenant.credit_share,
                interruptions_per_hour=tenant.interruptions_per_hour,
            )
            for tenant in file.tenants
        ),
        stale=StalePolicies(
            price=PricePolicy(_span(file.stale.price_max_age_s), file.stale.price_fallback_usd_per_mwh),
            telemetry_max_age=_span(file.stale.telemetry_max_age_s),
            temperature_max_age=_span(file.stale.temperature_max_age_s),
            temperature_assume_c=file.stale.temperature_assume_c,
            hashprice_max_age=_span(file.stale.hashprice_max_age_s),
            hashprice_assume_usd_per_ph_day=file.stale.hashprice_assume_usd_per_ph_day,
            plan_max_assumed_share=file.stale.plan_max_assumed_share,
            telemetry_hold=_span(file.stale.telemetry_hold_s),
            telemetry_safe_kw=file.stale.telemetry_safe_kw,
        ),
        controls=Controls(
            tick=_span(file.controls.tick_s),
            verify_within=_span(file.controls.verify_within_s),
            lease=_span(file.controls.lease_s),
            price_persistence=_span(file.controls.price_persistence_s),
            verify_up=_span_or_none(file.controls.verify_up_s),
            verify_down=_span_or_none(file.controls.verify_down_s),
            lapse_over=_span(file.controls.lapse_over_s),
        ),
    )


def _grid(file: schema.SiteFile, found: Found) -> Grid:
    grid, ramp = file.grid, file.grid.ramp_kw_per_min
    return Grid(
        limit_kw=grid.limit_kw,
        measurement_uncertainty=grid.measurement_uncertainty,
        charges=grid.charges(file.timezone),
        meter=metering_point(grid.meter, ("grid", "meter"), found),
        ramp_up_kw_per_min=ramp.up if ramp is not None else None,
        ramp_down_kw_per_min=ramp.down if ramp is not None else None,
    )


def _fleet(fleet: schema.FleetSection) -> Fleet:
    return Fleet(
        name=fleet.name,
        model=fleet.model,
        feeder=fleet.feeder,
        racks=fleet.racks,
        machines_per_rack=fleet.machines_per_rack,
        modes=tuple(Mode(mode.name, mode.power_w, mode.hashrate_ths) for mode in fleet.modes),
        default_mode=fleet.default_mode,
        sleep_w=fleet.sleep_w,
        warm_up=_span(fleet.warm_up_s),
        min_on=_span(fleet.min_on_s),
        min_off=_span(fleet.min_off_s),
    )


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _span_or_none(seconds: float | None) -> timedelta | None:
    return None if seconds is None else _span(seconds)


def _prices(file: schema.SiteFile, folder: Path) -> PriceFeed:
    match file.prices:
        case sources.FilePriceSection(files=files, point=point, timezone=timezone, usd_per_eur=usd_per_eur):
            paths = tuple(folder / name for name in files)
            return FilePrices(paths, point, timezone or file.timezone, usd_per_eur)
        case sources.HttpPriceSection(url=url, every_s=every_s):
            return HttpPrices(url, every_s)
        case sources.PushPriceSection():
            return PushedPrices()


def _series(constant: float | None, file: str | None, timezone: str, folder: Path) -> SeriesFeed:
    if file is not None:
        return CsvSeries(folder / file, timezone)
    assert constant is not None, "one of the two is there: cross_check saw to it"
    return ConstantSeries(constant)


def _telemetry(file: schema.SiteFile) -> MetricFeed:
    match file.telemetry:
        case sources.PrometheusSection(url=url):
            return PrometheusMetrics(url)
        case sources.ScrapeSection():
            return ScrapedMetrics()
