"""The one figure of power at a place, and what of it is measured, assumed, or claimed by readings that can't be true.

Power at the grid connection and at a feeder is what its meter shows where that is fresh. Else it is counted: fresh
readings of devices, and for each other device what stands in for it (`Basis`), times PUE. Behind a fresh meter, there
or at the grid connection, those others have together no more than it leaves beside the readings: nodes first, as their
jobs and the power limit have them, racks the rest in proportion. So

    power = measured + assumed

everywhere, where `measured` is what fresh readings say, and at a fresh meter also its residual: what it shows beyond
readings and assumptions. What a suspect reading claims is in neither.

This is what is drawn now. What may be drawn, which caps are kept by, is `metered_load`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.domain.snapshot import FleetStatus, PoolStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.unread import NOTHING_UNREAD, Basis, Unread

Status = FleetStatus | PoolStatus
Assumed = Mapping[Basis, Unread]


@dataclass(frozen=True, slots=True)
class Share:
    """Of a place, grid-side kW; of a fleet or pool, IT kW."""

    kw: float
    """What is drawn."""
    assumed: Assumed
    """Of that what no fresh reading has measured, by what stands in for it."""
    silent_racks: int
    silent_nodes: int
    claimed_kw: Mapping[str, float]
    """By device, what its reading says and can't be true, before cooling; not in `kw`."""
    metered: bool = False
    """`kw` is what a fresh meter shows."""

    @property
    def assumed_kw(self) -> float:
        return sum(of.kw for of in self.assumed.values())

    @property
    def measured_kw(self) -> float:
        return self.kw - self.assumed_kw


@dataclass(frozen=True, slots=True)
class PowerShares:
    """Of a whole site at one moment."""

    grid: Share
    feeders: Mapping[str, Share]
    fleets: Mapping[str, Share]
    pools: Mapping[str, Share]
    mining_kw: float
    """IT power of all fleets."""
    hpc_kw: float
    """IT power of all pools."""
    overhead_kw: float
    """Cooling and distribution of these, by PUE."""
    residual_kw: float
    """What the meter shows beyond these three, or short of them; 0 without a fresh meter."""

    def at(self, place: Target) -> Share:
        """At the grid connection or a feeder."""
        return self.grid if place == GRID_CONNECTION else self.feeders[place.name]


def power_shares(snapshot: Snapshot) -> PowerShares:
    """Of the moment of the snapshot."""
    pue, counted, meters = snapshot.pue, snapshot.power, snapshot.meters
    behind = _behind(snapshot)
    assumed = _assumed(snapshot, behind)
    more_kw = {target: _sum_kw(of) - _unread_kw(behind.status[target]) for target, of in assumed.items()}
    feeders = {}
    for name, targets in behind.feeders.items():
        kw = counted.feeders_kw[name] + sum(more_kw[target] for target in targets) * pue
        feeders[name] = _share(behind, targets, assumed, pue, kw, meters.kw(Target.feeder(name)))
    kw = counted.grid_kw + sum(share.kw - counted.feeders_kw[name] for name, share in feeders.items())
    grid = _share(behind, list(assumed), assumed, pue, kw, meters.kw(GRID_CONNECTION))
    mining_kw = counted.mining_kw + sum(more_kw[Target.fleet(name)] for name in snapshot.fleets)
    hpc_kw = counted.hpc_kw + sum(more_kw[Target.pool(name)] for name in snapshot.pools)
    devices = {
        target: _share(behind, [target], assumed, 1.0, status.counted_kw + more_kw[target])
        for target, status in behind.status.items()
    }
    return PowerShares(
        grid=grid,
        feeders=feeders,
        fleets={name: devices[Target.fleet(name)] for name in snapshot.fleets},
        pools={name: devices[Target.pool(name)] for name in snapshot.pools},
        mining_kw=mining_kw,
        hpc_kw=hpc_kw,
        overhead_kw=(mining_kw + hpc_kw) * (pue - 1.0),
        residual_kw=grid.kw - (mining_kw + hpc_kw) * pue,
    )


@dataclass(frozen=True, slots=True)
class _Behind:
    """What is behind what."""

    status: Mapping[Target, Status]
    feeders: Mapping[str, list[Target]]

    def statuses(self, targets: Iterable[Target]) -> list[Status]:
        return [self.status[target] for target in targets]


def _behind(snapshot: Snapshot) -> _Behind:
    feeders: dict[str, list[Target]] = {name: [] for name in snapshot.power.feeders_kw}
    status: dict[Target, Status] = {}
    for fleet in snapshot.fleets.values():
        feeders[fleet.fleet.feeder].append(Target.fleet(fleet.fleet.name))
        status[Target.fleet(fleet.fleet.name)] = fleet
    for pool in snapshot.pools.values():
        feeders[pool.pool.feeder].append(Target.pool(pool.pool.name))
        status[Target.pool(pool.pool.name)] = pool
    return _Behind(status, feeders)


def _assumed(snapshot: Snapshot, behind: _Behind) -> Mapping[Target, Assumed]:
    """Of each fleet and pool, IT power, within what fresh meters leave for it."""
    found: dict[Target, Assumed] = {target: status.unread for target, status in behind.status.items()}
    read_kw = {
        name: snapshot.power.feeders_kw[name] - sum(map(_unread_kw, behind.statuses(targets))) * snapshot.pue
        for name, targets in behind.feeders.items()
    }
    left_kw = snapshot.meters.kw(GRID_CONNECTION)
    others: list[Target] = []
    for name, targets in behind.feeders.items():
        meter_kw = snapshot.meters.kw(Target.feeder(name))
        if meter_kw is not None:
            found |= _within(behind, targets, (meter_kw - read_kw[name]) / snapshot.pue)
        else:
            others += targets
        if left_kw is not None:
            left_kw -= read_kw[name] if meter_kw is None else meter_kw
    return found if left_kw is None else {**found, **_within(behind, others, left_kw / snapshot.pue)}


def _within(behind: _Behind, targets: Iterable[Target], left_kw: float) -> Mapping[Target, Assumed]:
    """What is assumed of these where a meter leaves so much for all of them, IT power."""
    by_jobs, others = {}, {}
    for target in targets:
        status = behind.status[target]
        if isinstance(status, PoolStatus):
            parts = status.unread.get(Basis.PARTS, NOTHING_UNREAD)
            by_jobs[target] = min(status.silent_by_jobs_kw + parts.kw, _unread_kw(status))
        else:
            others[target] = _unread_kw(status)
    left_kw = max(left_kw, 0.0)
    nodes_kw = min(sum(by_jobs.values()), left_kw)
    bounded_kw = {**_part(by_jobs, nodes_kw), **_part(others, left_kw - nodes_kw)}
    found: dict[Target, Assumed] = {}
    for target, kw in bounded_kw.items():
        unread = behind.status[target].unread
        bound = kw < _sum_kw(unread)
        found[target] = {Basis.METER: Unread(sum(of.devices for of in unread.values()), kw)} if bound else unread
    return found


def _part(wanted_kw: Mapping[Target, float], most_kw: float) -> Mapping[Target, float]:
    """`wanted_kw` in proportion, together `most_kw` at most."""
    all_kw = sum(wanted_kw.values())
    if all_kw <= most_kw:
        return wanted_kw
    return {target: kw / all_kw * most_kw for target, kw in wanted_kw.items()}


def _share(
    behind: _Behind,
    targets: Iterable[Target],
    assumed: Mapping[Target, Assumed],
    factor: float,
    counted_kw: float,
    meter_kw: float | None = None,
) -> Share:
    """Of these together; `factor` is what their power is multiplied by."""
    kw = counted_kw if meter_kw is None else meter_kw
    together: dict[Basis, Unread] = {}
    for target in targets:
        for basis, of in assumed[target].items():
            together[basis] = together.get(basis, NOTHING_UNREAD) + Unread(of.devices, of.kw * factor)
    if (assumed_kw := _sum_kw(together)) > kw:  # feeders' meters may show more together than that of the connection
        together = {basis: Unread(of.devices, of.kw / assumed_kw * kw) for basis, of in together.items()}
    racks = nodes = 0
    claimed_kw: dict[str, float] = {}
    for status in behind.statuses(targets):
        claimed_kw |= status.claimed_kw
        if isinstance(status, FleetStatus):
            racks += len(status.silent)
        else:
            nodes += len(status.silent)
    return Share(kw, together, racks, nodes, claimed_kw, metered=meter_kw is not None)


def _sum_kw(unread: Assumed) -> float:
    return sum(of.kw for of in unread.values())


def _unread_kw(status: Status) -> float:
    return _sum_kw(status.unread)
