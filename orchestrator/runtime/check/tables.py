"""A site as Rich tables that fit into 80 columns."""

import itertools
from collections.abc import Iterator
from datetime import timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from orchestrator.accounting.economics import mining_value_usd_per_mwh
from orchestrator.domain.metering.points import MeteringPoint, SeriesPoint
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.runtime.check.inputs import Inputs
from orchestrator.settings import PrometheusMetrics, Settings

OUTDOOR_C = 25.0
"""Outdoor temperature, degC, at which grid power and break-even prices are shown."""


def site_tables(settings: Settings, inputs: Inputs) -> Iterator[Table]:
    """The site, its fleets, pools, tenants, feeders, cooling and rules; those that it has."""
    site = settings.site
    yield _site(settings, inputs)
    if site.fleets:
        yield _fleets(site, inputs)
    if site.pools:
        yield _pools(site)
    if site.tenants:
        yield _tenants(site)
    yield _feeders(site)
    yield _cooling(site)
    yield _rules(site)


def _table(title: str, *columns: str, figures: int) -> Table:
    """A table whose last `figures` columns are figures."""
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_style="bold",
        collapse_padding=True,
    )
    for number, column in enumerate(columns):
        right = number >= len(columns) - figures
        table.add_column(column, justify="right" if right else "left", no_wrap=right)
    return table


def _site(settings: Settings, inputs: Inputs) -> Table:
    site = settings.site
    pue = site.cooling.pue(OUTDOOR_C)
    normal_kw = sum(fleet.racks * fleet.rack_kw(fleet.default_mode) for fleet in site.fleets)
    full_kw = sum(fleet.nameplate_kw for fleet in site.fleets)
    hpc_kw = sum(pool.nameplate_kw for pool in site.pools)
    table = Table(title=f"Site {site.name}", title_justify="left", title_style="bold", box=None, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row(
        "grid limit", f"{_mw(site.grid.limit_kw)} MW, {site.grid.measurement_uncertainty:.1%} of it kept for the meter"
    )
    for charge in site.grid.charges:
        table.add_row(charge.label, charge.text)
    table.add_row("default modes", f"{_mw((normal_kw + hpc_kw) * pue)} MW at {OUTDOOR_C:g} degC (PUE {pue:.3f})")
    table.add_row("strongest modes", f"{_mw((full_kw + hpc_kw) * pue)} MW")
    table.add_row("time zone", site.timezone)
    table.add_row("prices", inputs.prices)
    table.add_row("hashprice", inputs.hashprice)
    table.add_row("weather", inputs.weather)
    telemetry = settings.telemetry
    table.add_row(
        "telemetry",
        f"Prometheus at {telemetry.url}" if isinstance(telemetry, PrometheusMetrics) else "built-in scraper",
    )
    if meters := site.meters():
        table.add_row("meters", ", ".join(f"{name} ({_way(point)})" for name, point in meters.items()))
    table.add_row("devices", _devices(settings))
    return table


def _way(point: MeteringPoint) -> str:
    if isinstance(point, SeriesPoint):
        return f"series {point.meter}"
    return f"Modbus unit {point.unit} of {point.host}:{point.port}"


def _devices(settings: Settings) -> str:
    if settings.mock is not None:
        return f"simulated, seed {settings.mock.seed}"
    if settings.kubernetes is not None:
        return f"on Kubernetes, as {settings.kubernetes.name}"
    return "real"


def _fleets(site: Site, inputs: Inputs) -> Table:
    hashprice = inputs.hashprice_usd_per_ph_day
    pue = site.cooling.pue(OUTDOOR_C)
    title = f"Mining fleets (MW of IT power; break-even at {hashprice:.2f} USD/PH/s/day, PUE {pue:.3f})"
    table = _table(title, "fleet", "mode", "W", "TH/s", "J/TH", "MW", "EH/s", "USD/MWh", figures=6)
    for fleet in site.fleets:
        words = [fleet.name, f" {fleet.model}", f" {fleet.racks:,} racks x {fleet.machines_per_rack:,}"]
        rows = [(SLEEP, f"{fleet.sleep_w:,.0f}", "", "", _mw(fleet.racks * fleet.rack_kw(SLEEP)), "", "")]
        rows += [
            (
                mode.name + (" *" if mode.name == fleet.default_mode else ""),
                f"{mode.power_w:,.0f}",
                f"{mode.hashrate_ths:,.1f}",
                f"{mode.efficiency_j_per_th:.1f}",
                _mw(fleet.racks * fleet.rack_kw(mode.name)),
                f"{_ehs(fleet, mode.hashrate_ths):.3f}",
                f"{mining_value_usd_per_mwh(mode.power_w, mode.hashrate_ths, hashprice, pue):,.0f}",
            )
            for mode in fleet.modes
        ]
        for word, row in itertools.zip_longest(words, rows, fillvalue=""):
            table.add_row(word, *row)
        table.add_section()
    racks, machines = sum(fleet.racks for fleet in site.fleets), sum(fleet.machines for fleet in site.fleets)
    kw = sum(fleet.racks * fleet.rack_kw(fleet.default_mode) for fleet in site.fleets)
    ehs = sum(_ehs(fleet, fleet.mode(fleet.default_mode).hashrate_ths) for fleet in site.fleets)
    figures = ("default *", "", "", f"{kw / ehs / 1000:.1f}", _mw(kw), f"{ehs:.3f}")
    table.add_row("all", *figures, style="bold")
    table.add_row(f" {racks:,} racks, {machines:,} machines", style="bold")
    return table


def _ehs(fleet: Fleet, hashrate_ths: float) -> float:
    return fleet.machines * hashrate_ths / 1e6


def _pools(site: Site) -> Table:
    title = "GPU pools (IT power)"
    table = _table(title, "pool", "nodes", "GPUs", "W a GPU", "kW/node", "MW idle", "MW full", figures=6)
    for pool in site.pools:
        table.add_row(
            pool.name,
            f"{pool.nodes:,}",
            f"{pool.gpus:,}",
            f"{pool.gpu_power_w:,.0f}",
            f"{pool.node_nameplate_kw:,.1f}",
            _mw(pool.idle_kw),
            _mw(pool.nameplate_kw),
        )
        table.add_row(f" {pool.gpu_model}", "", "", f"{pool.gpu_min_power_w:,.0f} min")
        table.add_section()
    nodes, gpus = sum(pool.nodes for pool in site.pools), sum(pool.gpus for pool in site.pools)
    idle_kw, full_kw = sum(pool.idle_kw for pool in site.pools), sum(pool.nameplate_kw for pool in site.pools)
    table.add_row("all", f"{nodes:,}", f"{gpus:,}", "", "", _mw(idle_kw), _mw(full_kw), style="bold")
    return table


def _tenants(site: Site) -> Table:
    table = _table("Tenants", "tenant", "SLA class", "USD/GPU-h", "credit", "interruptions/h", figures=3)
    for tenant in site.tenants:
        table.add_row(
            tenant.name,
            tenant.sla,
            f"{tenant.usd_per_gpu_h:.2f}",
            f"{tenant.credit_share:.0%}",
            str(tenant.interruptions_per_hour),
        )
    return table


def _feeders(site: Site) -> Table:
    pue = site.cooling.pue(OUTDOOR_C)
    table = _table(
        f"Feeders (MW at the feeder's head, {OUTDOOR_C:g} degC)",
        "feeder",
        "loads",
        "limit",
        "least",
        "default",
        "strongest",
        "of limit",
        figures=5,
    )
    sums = [0.0, 0.0, 0.0, 0.0]
    for feeder in site.feeders:
        fleets = [fleet for fleet in site.fleets if fleet.feeder == feeder.name]
        pools = [pool for pool in site.pools if pool.feeder == feeder.name]
        hpc_kw = sum(pool.nameplate_kw for pool in pools)
        figures = [
            feeder.limit_kw,
            (sum(f.racks * f.rack_kw(SLEEP) for f in fleets) + sum(p.idle_kw for p in pools)) * pue,
            (sum(f.racks * f.rack_kw(f.default_mode) for f in fleets) + hpc_kw) * pue,
            (sum(f.nameplate_kw for f in fleets) + hpc_kw) * pue,
        ]
        sums = [total + figure for total, figure in zip(sums, figures, strict=True)]
        share = figures[3] / feeder.limit_kw
        table.add_row(
            feeder.name,
            ", ".join([load.name for load in fleets] + [load.name for load in pools]),
            *map(_mw, figures),
            Text(f"{share:.0%}", "yellow" if share > 1 else ""),
            end_section=feeder is site.feeders[-1],
        )
    table.add_row("all", "", *map(_mw, sums), f"{sums[3] / sums[0]:.0%}", style="bold")
    return table


def _cooling(site: Site) -> Table:
    points = site.cooling.pue_by_temperature_c
    table = Table(title="Cooling", title_justify="left", title_style="bold", box=None, show_header=False)
    table.add_row("PUE", ", ".join(f"{pue:g} at {celsius:g} degC" for celsius, pue in points))
    return table


def _rules(site: Site) -> Table:
    stale, controls = site.stale, site.controls
    table = Table(
        title="Controls and stale policies",
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("tick", _span(controls.tick))
    table.add_row("power-down seen", f"within {_span(controls.down_within)}, else the next candidate goes down")
    table.add_row("power-up seen", f"within {_span(controls.up_within)}")
    together = f" over {_span(controls.lapse_over)}" if controls.lapse_over else ""
    table.add_row("setpoint lease", f"{_span(controls.lease)}, then agents sleep{together}")
    table.add_row("price persistence", _span(controls.price_persistence))
    table.add_row(
        "real-time price",
        f"holds {_span(stale.price.max_age)} past its interval, then day-ahead, "
        f"then {stale.price.fallback_usd_per_mwh:g} USD/MWh",
    )
    table.add_row("power reading", f"old after {_span(stale.telemetry_max_age)}, then what the setpoint allows")
    safe = "" if stale.telemetry_safe_kw is None else f"{stale.telemetry_safe_kw:,.0f} kW or "
    table.add_row(
        "readings down", f"held for {_span(stale.telemetry_hold)}, then down to {safe}what guaranteed jobs take"
    )
    table.add_row(
        "plan", f"none is made while more than {stale.plan_max_assumed_share:.0%} of nameplate is not measured"
    )
    table.add_row(
        "temperature", f"old after {_span(stale.temperature_max_age)}, then {stale.temperature_assume_c:g} degC"
    )
    table.add_row(
        "hashprice",
        f"old after {_span(stale.hashprice_max_age)}, then {stale.hashprice_assume_usd_per_ph_day:g} USD/PH/s/day",
    )
    return table


def _mw(kw: float) -> str:
    return f"{kw / 1000:,.2f}"


def _span(span: timedelta) -> str:
    """120 s as `2 min`."""
    seconds = span.total_seconds()
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"
