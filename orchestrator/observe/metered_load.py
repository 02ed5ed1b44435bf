"""What may be drawn at the grid connection and at feeders, where a fresh meter says what comes by there.

Without a meter a silent device counts at its nameplate. With one, the silent ones together draw no more than what it
shows beyond those that answer, so that is what they count at, between nothing and nameplate:

    silent racks = meter - devices that answer - silent nodes as their jobs and the power limit have them

and all together never count at less than the meter shows, whatever the devices say. A feeder without a meter goes by
that of the grid connection, which bounds its silent racks too. Silent racks of a fleet that was just asked up count at
their setpoint at least: the meter does not show yet what they are going to draw.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.domain.site import Site
from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target


@dataclass(frozen=True, slots=True)
class Load:
    """At one place, grid-side kW."""

    total_kw: float
    """What may be drawn there under the accepted setpoints."""
    silent_racks_kw: float
    """Of that, by racks that say nothing."""
    assumed_kw: float
    """What those racks would count at without a meter."""
    unexplained_kw: float
    """What the meter shows beyond all setpoints."""
    metered: bool
    """A fresh meter, there or at the grid connection, bounds it: nothing of it is only assumed."""


def load_at(site: Site, snapshot: Snapshot) -> Mapping[Target, Load]:
    """At the grid connection and each feeder."""
    everything = _Parts.of(site, snapshot, snapshot.fleets.values(), snapshot.pools.values())
    grid_kw = snapshot.meters.kw(GRID_CONNECTION)
    shown_kw = None if grid_kw is None else everything.silent_racks_kw(grid_kw)
    loads: dict[Target, Load] = {}
    for feeder in site.feeders:
        parts = _Parts.of(
            site,
            snapshot,
            (status for status in snapshot.fleets.values() if status.fleet.feeder == feeder.name),
            (status for status in snapshot.pools.values() if status.pool.feeder == feeder.name),
        )
        place = Target.feeder(feeder.name)
        loads[place] = parts.load(snapshot.meters.kw(place), shown_kw)
    by_feeders_kw = sum(load.silent_racks_kw for load in loads.values())
    if grid_kw is not None:
        loads[GRID_CONNECTION] = everything.load(grid_kw, by_feeders_kw)
    else:
        total_kw = sum(load.total_kw for load in loads.values())
        unexplained_kw = sum(load.unexplained_kw for load in loads.values())
        every = all(load.metered for load in loads.values())
        loads[GRID_CONNECTION] = Load(total_kw, by_feeders_kw, everything.assumed_kw, unexplained_kw, every)
    return loads


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the devices at one place come to, grid-side kW."""

    committed_kw: float
    """Without a meter."""
    said_kw: float
    """By those that answer."""
    seen_kw: float
    """The most that those may draw under their setpoints."""
    silent_nodes_kw: float
    """Nodes that say nothing, as their jobs and the power limit have them."""
    assumed_kw: float
    """Racks that say nothing, as they count without a meter."""
    least_kw: float
    """Of those, what was asked up so lately that a meter need not show it."""

    @staticmethod
    def of(site: Site, snapshot: Snapshot, fleets: Iterable[FleetStatus], pools: Iterable[PoolStatus]) -> "_Parts":
        pue, lately = snapshot.pue, snapshot.at - site.controls.up_within
        committed = said = seen = silent_nodes = assumed = least = 0.0
        for fleet in fleets:
            committed += fleet.committed_kw
            said += fleet.counted_kw - fleet.silent_kw
            seen += fleet.committed_kw - fleet.silent_kw
            assumed += fleet.silent_kw
            if fleet.view.last_up_at > lately:
                rack_kw = (fleet.fleet.rack_kw(fleet.view.rack_modes[rack]) for rack in fleet.silent)
                least += min(sum(rack_kw), fleet.silent_kw)
        for pool in pools:
            unseen = len(pool.silent) / pool.pool.nodes
            committed += pool.committed_kw
            answered_kw = pool.counted_kw - pool.silent_kw
            said += answered_kw
            seen += max(answered_kw, pool.expected_kw * (1.0 - unseen))
            silent_nodes += min(pool.expected_kw * unseen, pool.silent_kw)
        sums = (committed, said, seen, silent_nodes, assumed, least)
        return _Parts(*(kw * pue for kw in sums))

    def silent_racks_kw(self, meter_kw: float) -> float:
        left_kw = meter_kw - self.said_kw - self.silent_nodes_kw
        return min(max(left_kw, self.least_kw), self.assumed_kw)

    def load(self, meter_kw: float | None, others_kw: float | None) -> Load:
        """With what a fresh meter there shows; `others_kw` is the most that meters elsewhere leave for silent racks."""
        if meter_kw is None and others_kw is None:
            return Load(self.committed_kw, self.assumed_kw, self.assumed_kw, 0.0, metered=False)
        racks_kw = self.assumed_kw if others_kw is None else min(max(others_kw, self.least_kw), self.assumed_kw)
        if meter_kw is not None:
            racks_kw = min(racks_kw, self.silent_racks_kw(meter_kw))
        asked_kw = self.seen_kw + self.silent_nodes_kw + racks_kw
        total_kw = asked_kw if meter_kw is None else max(asked_kw, meter_kw)
        return Load(total_kw, racks_kw, self.assumed_kw, total_kw - asked_kw, metered=True)
