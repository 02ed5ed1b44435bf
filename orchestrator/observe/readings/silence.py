"""Which devices are silent, and whether it is they or the source of their readings: the stale policy of telemetry.

A device that is silent counts at the most that it was asked to draw since it was last read, and at nameplate only
where nobody can say what it follows. Where most devices of a fleet or pool are silent together, the source of their
readings is down and not they: they are held on their accepted setpoints, and none of them goes up. If the site stays
dark for longer than the hold, its safe power closes in on it (`safe_power`).

A fleet or pool stands for a source, whatever reads it: behind a Prometheus server all go dark together, with the
built-in scraper each target by itself, and a target is a rack, a fleet's exporter or a few nodes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.observation import Metric, Reading, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.work import FleetView

DARK_SHARE = 0.5
"""Of the devices of a fleet or pool, or of the site's nameplate: with more of it silent it is dark."""
LEAST_DEVICES = 2
"""One device that is silent is a silent device."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Of the devices of one fleet or pool."""

    silent: frozenset[str]
    """Without a fresh reading of their power."""
    never_read: frozenset[str]
    """Silent ones that have not been read since we started."""
    dark_since: datetime | None
    """Since when their source is down; None where it is not."""
    on_trust: bool
    """They are held on their accepted setpoints."""


def silences(
    site: Site, views: Mapping[str, FleetView], telemetry: Telemetry, before: Snapshot | None, now: datetime
) -> tuple[Mapping[str, Silence], datetime | None]:
    """By fleet and pool, whose names differ; and since when the whole site is dark, None where it is not."""
    racks, nodes = telemetry.readings(Metric.ASIC_POWER), telemetry.readings(Metric.NODE_POWER)
    max_age = site.stale.telemetry_max_age
    found: dict[str, Silence] = {}
    dark_kw = nameplate_kw = 0.0
    dark: list[datetime] = []
    for name, of_kw, devices, readings, was in (
        *(
            (
                fleet.name,
                fleet.nameplate_kw,
                views[fleet.name].rack_modes.keys(),
                racks,
                before.fleets.get(fleet.name) if before is not None else None,
            )
            for fleet in site.fleets
            if fleet.name in views
        ),
        *(
            (
                pool.name,
                pool.nameplate_kw,
                pool.node_names(),
                nodes,
                before.pools.get(pool.name) if before is not None else None,
            )
            for pool in site.pools
        ),
    ):
        silent = _silent(devices, readings, now, max_age)
        is_dark = len(silent) >= LEAST_DEVICES and len(silent) > DARK_SHARE * len(devices)
        since = None if not is_dark else was.dark_since if was is not None and was.dark_since is not None else now
        never_read = silent if was is None else silent & was.never_read
        found[name] = Silence(silent, never_read, since, on_trust=False)
        nameplate_kw += of_kw
        if since is not None:
            dark_kw += of_kw
            dark.append(since)
    site_dark = max(dark) if dark and dark_kw > DARK_SHARE * nameplate_kw else None
    return {name: _trusted(site, of, site_dark, now) for name, of in found.items()}, site_dark


def _silent(
    devices: Iterable[str], readings: Mapping[str, Reading], now: datetime, max_age: timedelta
) -> frozenset[str]:
    return frozenset(
        device
        for device in devices
        if (reading := readings.get(device)) is None or reading.value is None or not reading.graded(now, max_age).fresh
    )


def _trusted(site: Site, silence: Silence, site_dark: datetime | None, now: datetime) -> Silence:
    """While the hold lasts; and after it where all is dark, since there is nothing else to go by.

    Where the rest of the site is seen, the dark part counts after the hold as silent devices do.
    """
    since = silence.dark_since
    if since is None or (site_dark is None and now - since > site.stale.telemetry_hold):
        return silence
    return Silence(silence.silent, silence.never_read, since, on_trust=True)


def assumed_share(snapshot: Snapshot) -> float:
    """Devices without a fresh reading, by their nameplate, as a share of all devices' nameplate; 0 without devices.

    By nameplate, not by what each counts at: on a site that is curtailed to a tenth one silent rack would be half of
    all power, and no one device is to keep the others from being planned.
    """
    blind_kw = all_kw = 0.0
    for status in snapshot.fleets.values():
        blind_kw += len(status.silent) * status.fleet.rack_nameplate_kw
        all_kw += status.fleet.nameplate_kw
    for pool in snapshot.pools.values():
        blind_kw += len(pool.silent) * pool.pool.node_nameplate_kw
        all_kw += pool.pool.nameplate_kw
    return blind_kw / all_kw if all_kw > 0.0 else 0.0
