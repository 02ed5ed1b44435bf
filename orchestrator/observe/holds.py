"""What is held on its accepted setpoints because nobody sees it, since when, until when, and what comes after."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestrator.domain.hold import Hold, SafePower
from orchestrator.domain.snapshot import FleetStatus, PoolStatus
from orchestrator.domain.target import GRID_CONNECTION, Target


def holds_of(
    hold: timedelta,
    site_dark: datetime | None,
    safe: SafePower | None,
    fleets: Iterable[FleetStatus],
    pools: Iterable[PoolStatus],
    now: datetime,
) -> tuple[Hold, ...]:
    """Of a site that is dark one; else one of each fleet and pool that is, as long as it is held.

    `safe` is None while the meter of the grid connection is fresh: the hold of a dark site has no end then.
    """
    if site_dark is not None:
        until = None if safe is None else site_dark + hold
        return (Hold(GRID_CONNECTION, site_dark, until, safe),)
    dark = [
        *((Target.fleet(of.fleet.name), of.dark_since) for of in fleets),
        *((Target.pool(of.pool.name), of.dark_since) for of in pools),
    ]
    return tuple(
        Hold(target, since, since + hold) for target, since in dark if since is not None and now - since <= hold
    )
