"""What is allowed in a site file but may not be meant."""

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.site.site import Site
from orchestrator.settings.document import Path
from orchestrator.settings.problems import Found, dotted

WARM_C = 25.0
"""Outdoor temperature, degC, at which a feeder's nameplate is held against its limit."""


def feeder_nameplate_kw(site: Site, feeder: str) -> float:
    """IT power on a feeder, kW, with every fleet in its strongest mode and every GPU at full power."""
    fleets_kw = sum(fleet.nameplate_kw for fleet in site.fleets if fleet.feeder == feeder)
    return fleets_kw + sum(pool.nameplate_kw for pool in site.pools if pool.feeder == feeder)


def warnings_of(site: Site, found: Found) -> tuple[str, ...]:
    """One line each, with the line of the file that it is about."""
    warnings: list[str] = []

    def warn(path: Path, text: str) -> None:
        warnings.append(f"line {found.line(path)}: {dotted(path)}: {text}")

    pue = site.cooling.pue(WARM_C)
    for index, feeder in enumerate(site.feeders):
        full_kw = feeder_nameplate_kw(site, feeder.name) * pue
        if full_kw == 0:
            warn(("feeders", index), f"{feeder.name} has no load")
        elif full_kw > feeder.limit_kw:
            text = (
                f"{feeder.name}'s loads at full power draw {full_kw:,.0f} kW at {WARM_C:g} degC, more than its limit "
                f"of {feeder.limit_kw:,.0f} kW; the controller keeps the limit"
            )
            warn(("feeders", index, "limit_kw"), text)
    for charge in site.grid.charges:
        if isinstance(charge, Ppa) and charge.block_kw > site.grid.limit_kw:
            unused = "lost" if charge.sell_back_spread_usd_per_mwh is None else "sold back"
            text = f"more than the {site.grid.limit_kw:,.0f} kW of the grid connection: the rest is always {unused}"
            warn(("grid", charge.name, "block_kw"), text)
    for index, fleet in enumerate(site.fleets):
        if fleet.min_on < fleet.warm_up:
            warn(("fleets", index, "min_on_s"), "shorter than warm_up_s: a rack could be put to sleep before it hashes")
        for number, (low, high) in enumerate(zip(fleet.modes, fleet.modes[1:], strict=False), start=1):
            if high.hashrate_ths <= low.hashrate_ths:
                path = ("fleets", index, "modes", number, "hashrate_ths")
                warn(path, f"no more than {low.name}'s: {high.name} draws more for it and will not be used")
    if site.stale.telemetry_max_age < 2 * site.controls.tick:
        warn(("stale", "telemetry_max_age_s"), "less than two ticks: one late scrape makes a reading stale")
    return tuple(warnings)
