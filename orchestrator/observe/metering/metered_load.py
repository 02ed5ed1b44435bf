"""What may be drawn at the grid connection and at feeders, where a fresh meter says what comes by there.

Without a meter a silent rack counts at the most that it was asked to draw (`fleet_status`). With one, the silent ones
together draw no more than what it shows beyond those that answer, so that is what they count at, between nothing and
what they count at else:

    silent racks = meter - devices that answer - silent nodes as their jobs and the power limit have them

and all together never count at less than the meter shows, whatever the devices say. What a fleet is known to draw
beyond its readings (its bias, once settled) counts with it, beside what was asked up and is not drawn yet. Silent racks
of a fleet that was just asked up count at their setpoint at least: the meter does not show yet what they will draw.

Silent racks of a feeder without a meter draw no more than the grid connection's shows beyond all that answers anywhere;
its silent nodes count as without one, since which of them draws it nobody knows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.observe.metering.bias import SETTLED_SPREAD


@dataclass(frozen=True, slots=True)
class Load:
    """At one place, grid-side kW."""

    total_kw: float
    """What may be drawn there under the accepted setpoints."""
    silent_racks_kw: float
    """Of that, by racks that say nothing."""
    assumed_kw: float
    """What those racks would count at without a meter."""
    beyond_kw: float
    """Of `total_kw`, what no device says: by the meter, or as its fleet's bias has it."""
    metered: bool
    """By a fresh meter there, or at every feeder behind: nothing of it is only assumed."""


def load_at(site: Site, snapshot: Snapshot) -> Mapping[Target, Load]:
    """At the grid connection and each feeder."""
    parts_of = _parts_by_feeder(site, snapshot)
    everything = _together(parts_of.values())
    grid_kw = snapshot.meters.kw(GRID_CONNECTION)
    left_kw = None if grid_kw is None else max(grid_kw - everything.answered_kw, 0.0)
    loads: dict[Target, Load] = {}
    for name, parts in parts_of.items():
        place = Target.feeder(name)
        shown_kw = snapshot.meters.kw(place)
        if shown_kw is not None:
            loads[place] = parts.metered(shown_kw, left_kw)
        else:
            loads[place] = parts.unmetered(left_kw)
    by_feeders_kw = sum(load.silent_racks_kw for load in loads.values())
    if grid_kw is not None:
        loads[GRID_CONNECTION] = everything.metered(grid_kw, by_feeders_kw)
    else:
        total_kw = sum(load.total_kw for load in loads.values())
        beyond_kw = sum(load.beyond_kw for load in loads.values())
        every = all(load.metered for load in loads.values())
        loads[GRID_CONNECTION] = Load(total_kw, by_feeders_kw, everything.assumed_kw, beyond_kw, every)
    return loads


class _Parts(NamedTuple):
    """What devices come to, kW: of a fleet or pool IT power, of a place at the grid side. They add up."""

    committed_kw: float = 0.0
    """Without a meter."""
    answered_kw: float = 0.0
    """By those that answer."""
    said_kw: float = 0.0
    """The same with racks on trust as they were last seen, and with each fleet's bias."""
    seen_kw: float = 0.0
    """The most that those may draw under their setpoints, by their readings."""
    drift_kw: float = 0.0
    """What they are known to draw more."""
    silent_nodes_kw: float = 0.0
    """Nodes that say nothing, as their jobs and the power limit have them."""
    assumed_kw: float = 0.0
    """Racks that say nothing, as they count without a meter."""
    least_kw: float = 0.0
    """Of those, what was asked up so lately that a meter need not show it."""

    def metered(self, meter_kw: float, others_kw: float | None) -> Load:
        """By a fresh meter there; `others_kw` is the most that meters elsewhere leave for its silent racks."""
        left_kw = meter_kw - self.said_kw - self.silent_nodes_kw
        racks_kw = self._racks_kw(left_kw if others_kw is None else min(left_kw, others_kw))
        asked_kw = self.seen_kw + self.silent_nodes_kw + racks_kw
        total_kw = max(asked_kw + self.drift_kw, meter_kw)
        return Load(total_kw, racks_kw, self.assumed_kw, total_kw - asked_kw, metered=True)

    def unmetered(self, others_kw: float | None) -> Load:
        racks_kw = self.assumed_kw if others_kw is None else self._racks_kw(others_kw)
        total_kw = self.committed_kw - self.assumed_kw + racks_kw + self.drift_kw
        return Load(total_kw, racks_kw, self.assumed_kw, self.drift_kw, metered=False)

    def _racks_kw(self, left_kw: float) -> float:
        return min(max(left_kw, self.least_kw), self.assumed_kw)


def _parts_by_feeder(site: Site, snapshot: Snapshot) -> Mapping[str, _Parts]:
    """In the order of the site file."""
    known = {bias.of.name: max(bias.share, 0.0) for bias in snapshot.meters.biases if bias.spread < SETTLED_SPREAD}
    lately = snapshot.at - site.controls.up_within
    found: dict[str, list[_Parts]] = {feeder.name: [] for feeder in site.feeders}
    for fleet in snapshot.fleets.values():
        rising = fleet.view.last_up_at > lately
        found[fleet.fleet.feeder].append(_of_fleet(fleet, known.get(fleet.fleet.name, 0.0), rising=rising))
    for pool in snapshot.pools.values():
        found[pool.pool.feeder].append(_of_pool(pool, known.get(pool.pool.name, 0.0)))
    return {name: _together(parts, snapshot.pue) for name, parts in found.items()}


def _together(parts: Iterable[_Parts], factor: float = 1.0) -> _Parts:
    return _Parts(*(sum(kw) * factor for kw in zip(*parts, strict=True)))


def _of_fleet(fleet: FleetStatus, bias: float, *, rising: bool) -> _Parts:
    said_kw, seen_kw = fleet.counted_kw - fleet.silent_kw, fleet.committed_kw - fleet.silent_kw
    least_kw = 0.0
    if rising:
        untold = fleet.silent - fleet.on_trust
        least_kw = min(sum(fleet.fleet.rack_kw(fleet.view.rack_modes[rack]) for rack in untold), fleet.silent_kw)
    return _Parts(
        committed_kw=fleet.committed_kw,
        answered_kw=said_kw if not fleet.on_trust else _read_kw(fleet),
        said_kw=said_kw * (1.0 + bias),
        seen_kw=seen_kw,
        # At rest a setpoint beyond what is said is what is drawn, of racks that say too little.
        drift_kw=said_kw * bias if rising else max(said_kw * (1.0 + bias) - seen_kw, 0.0),
        assumed_kw=fleet.silent_kw,
        least_kw=least_kw,
    )


def _of_pool(pool: PoolStatus, bias: float) -> _Parts:
    said_kw, nodes_kw = pool.counted_kw - pool.silent_kw, pool.silent_by_jobs_kw
    seen_kw = max(said_kw, max(pool.expected_kw, pool.most_kw) - nodes_kw)
    return _Parts(
        committed_kw=pool.committed_kw,
        answered_kw=said_kw,
        said_kw=said_kw * (1.0 + bias),
        seen_kw=seen_kw,
        drift_kw=max(said_kw * (1.0 + bias) - seen_kw, 0.0),
        silent_nodes_kw=nodes_kw,
    )


def _read_kw(fleet: FleetStatus) -> float:
    return sum(reading.value or 0.0 for reading in fleet.readings.values()) / 1000.0
