"""The site without dispatch, to compare with: every rack in its default mode, every job as it comes, same caps."""

from dataclasses import replace

from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.domain.site import Site
from orchestrator.domain.snapshot import Snapshot


def always_on_site(site: Site) -> Site:
    """The same site with each fleet in its default mode only."""
    return replace(
        site,
        fleets=tuple(replace(fleet, modes=(fleet.mode(fleet.default_mode),)) for fleet in site.fleets),
    )


def always_on(site: Site, snapshot: Snapshot) -> Desired:
    """What an always-on site would run: dispatch as if power were free."""
    return dispatch(
        replace(site, grid=replace(site.grid, charges=())),
        replace(snapshot, price=replace(snapshot.price, reading=replace(snapshot.price.reading, value=0.0))),
    )
