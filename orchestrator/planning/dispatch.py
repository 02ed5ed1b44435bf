"""Dispatch: which racks in which mode and which jobs, at the price now, inside every cap.

Everything that could run is a block with a value in USD per MWh at the grid. Blocks that must run come first, the
rest in merit order of value less price; each takes what is left under the connection's and its feeder's cap.
Precedence: safety limits > grid orders > SLA > profit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import floor

from orchestrator.domain.limits import GRID_CONNECTION
from orchestrator.domain.site import SLEEP, Site
from orchestrator.domain.snapshot import FleetStatus, Snapshot
from orchestrator.planning.blocks import Block, Rank, fleet_blocks, job_blocks
from orchestrator.planning.gpu_limits import throttle
from orchestrator.planning.reasons import fleet_reason, job_reason, pool_reason

NEW_BLOCK_MARGIN = 0.003
"""Share of a cap left free when something new is switched on, so that a small rise does not switch it off again."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What should run. `racks` counts every rack of each fleet by mode, silent and stuck ones included."""

    racks: Mapping[str, Mapping[str, int]]
    jobs: frozenset[str]
    """Open jobs that should run."""
    gpu_limit_w: Mapping[str, float]
    reasons: Mapping[str, str]
    """Why, by target: `fleet/<name>`, `job/<name>`, `pool/<name>`."""
    binding: tuple[str, ...]
    """Caps that kept a worthwhile block from running."""
    gains: Mapping[str, float]
    """USD per hour gained by the change to each target; only targets that change."""
    shortfall_kw: float
    """Power above the grid cap that only an interruption of guaranteed jobs could shed."""
    order: tuple[str, ...]
    """Targets in merit order."""


@dataclass(slots=True)
class _Room:
    """Power left under the caps while blocks are taken, grid-side kW."""

    grid_kw: float
    feeder_kw: dict[str, float]
    grid_margin_kw: float
    feeder_margin_kw: dict[str, float]
    binding: dict[str, None] = field(default_factory=dict)

    @property
    def over_kw(self) -> float:
        """How far the blocks taken exceed the tightest cap."""
        return max(-self.grid_kw, *(-left for left in self.feeder_kw.values()), 0.0)

    def units(self, block: Block, units: int, pue: float) -> int:
        """How many of `units` units of the block fit; names the cap that stops the rest."""
        if block.unit_kw <= 0:
            return units
        unit_kw = block.unit_kw * pue
        new = 0.0 if block.running else 1.0
        grid = (self.grid_kw - new * self.grid_margin_kw) / unit_kw
        feeder = (self.feeder_kw[block.feeder] - new * self.feeder_margin_kw[block.feeder]) / unit_kw
        fits = max(min(units, floor(min(grid, feeder) + 1e-9)), 0)
        if fits < units:
            self.binding[f"feeder {block.feeder}" if feeder < grid else "grid"] = None
        return fits

    def take(self, block: Block, units: int, pue: float) -> None:
        self.grid_kw -= units * block.unit_kw * pue
        self.feeder_kw[block.feeder] -= units * block.unit_kw * pue


def dispatch(site: Site, snapshot: Snapshot) -> Desired:
    """The best state at the price now; pure, the same snapshot gives the same answer."""
    price = snapshot.price.usd_per_mwh
    room = _room(site, snapshot)
    jobs = job_blocks(site, snapshot)
    blocks: list[Block] = [*jobs.blocks]
    for status in snapshot.fleets.values():
        blocks.extend(fleet_blocks(status, snapshot, site.controls.outlook))
    blocks.sort(key=lambda block: block.order)

    taken: dict[str, list[tuple[Block, int]]] = {}
    reached: dict[tuple[str, int], int] = {}
    for block in blocks:
        if block.rank is Rank.WORTH and not block.worth(price):
            continue
        units = room.units(block, min(block.units, _below(block, reached)), snapshot.pue)
        if block.rank is Rank.GUARANTEED and block.running:
            units = block.units  # kept even above a cap: throttled first, then reported short
        if units:
            room.take(block, units, snapshot.pue)
            taken.setdefault(block.target, []).append((block, units))
            reached[block.target, block.level] = reached.get((block.target, block.level), 0) + units
    gpu_limit_w, shortfall_kw = throttle(snapshot, room.over_kw, taken)
    if shortfall_kw > 0 and snapshot.limits.grid.source == GRID_CONNECTION:
        shortfall_kw = _give_up(taken, shortfall_kw, snapshot.pue)

    racks = {name: _racks(status, taken.get(f"fleet/{name}", [])) for name, status in snapshot.fleets.items()}
    running = frozenset(block.name for block in jobs.blocks if f"job/{block.name}" in taken)
    binding = tuple(snapshot.limits.grid.source if cap == "grid" else cap for cap in room.binding)
    reasons: dict[str, str] = {}
    gains: dict[str, float] = {}
    for name, status in snapshot.fleets.items():
        reasons[f"fleet/{name}"], gain = fleet_reason(site, status, racks[name], snapshot, binding)
        if racks[name] != {mode: count for mode, count in status.view.racks.items() if count}:
            gains[f"fleet/{name}"] = gain
    for name, job in snapshot.jobs.items():
        reasons[f"job/{name}"], gain = job_reason(
            job, name in running, snapshot, jobs.held_back.get(name), binding, site.controls.outlook
        )
        if (name in running) != job.view.phase.holds_gpus:
            gains[f"job/{name}"] = gain
    for name, pool in snapshot.pools.items():
        reasons[f"pool/{name}"] = pool_reason(pool, gpu_limit_w[name], snapshot)
    return Desired(
        racks=racks,
        jobs=running,
        gpu_limit_w=gpu_limit_w,
        reasons=reasons,
        binding=binding,
        gains=gains,
        shortfall_kw=shortfall_kw,
        order=tuple(dict.fromkeys(block.target for block in blocks)),
    )


def _below(block: Block, reached: Mapping[tuple[str, int], int]) -> int:
    """Racks that have taken the step below and not this one yet; any number for a first step or a job."""
    if block.level == 0:
        return block.units
    return reached.get((block.target, block.level - 1), 0) - reached.get((block.target, block.level), 0)


def _room(site: Site, snapshot: Snapshot) -> _Room:
    """What is left under the caps once everything that cannot be switched off has drawn its share."""
    limits, pue = snapshot.limits, snapshot.pue
    grid_kw = limits.usable_kw(limits.grid)
    feeder_kw = {name: limits.usable_kw(cap) for name, cap in limits.feeders.items()}
    for feeder, fixed_kw in _fixed(site, snapshot):
        grid_kw -= fixed_kw * pue
        feeder_kw[feeder] -= fixed_kw * pue
    return _Room(
        grid_kw=grid_kw,
        feeder_kw=feeder_kw,
        grid_margin_kw=limits.grid.limit_kw * NEW_BLOCK_MARGIN,
        feeder_margin_kw={name: cap.limit_kw * NEW_BLOCK_MARGIN for name, cap in limits.feeders.items()},
    )


def _fixed(site: Site, snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    """IT power by feeder that dispatch cannot move: sleeping machines, idle GPUs, racks that do not follow."""
    for status in snapshot.fleets.values():
        fleet = status.fleet
        unmoved = status.silent | status.stuck
        asleep_kw = fleet.rack_kw(SLEEP)
        yield fleet.feeder, asleep_kw * (fleet.racks - len(unmoved))
        if unmoved:
            strongest_kw = fleet.rack_kw(fleet.modes[-1].name)
            yield fleet.feeder, strongest_kw * len(unmoved)
    for pool_status in snapshot.pools.values():
        pool = pool_status.pool
        silent = len(pool_status.silent)
        yield pool.feeder, (pool.nodes - silent) * pool.node_idle_kw + silent * pool.node_nameplate_kw


def _give_up(taken: dict[str, list[tuple[Block, int]]], shortfall_kw: float, pue: float) -> float:
    """Stop guaranteed jobs, the least worth first, until the site's own limit holds; returns what is still short."""
    guaranteed = sorted(
        (blocks[0][0] for blocks in taken.values() if blocks[0][0].rank is Rank.GUARANTEED),
        key=lambda block: block.value_usd_per_mwh,
    )
    for block in guaranteed:
        if shortfall_kw <= 0:
            break
        del taken[block.target]
        shortfall_kw -= block.unit_kw * pue
    return max(shortfall_kw, 0.0)


def _racks(status: FleetStatus, taken: list[tuple[Block, int]]) -> Mapping[str, int]:
    """Counts by mode from the steps taken; racks that do not follow go with the rest of the fleet."""
    fleet = status.fleet
    unmoved = len(status.silent | status.stuck)
    by_step: dict[tuple[str, str], int] = {}
    for block, units in taken:
        assert block.step is not None, "fleet blocks carry their step"
        key = (block.step.from_mode, block.step.to_mode)
        by_step[key] = by_step.get(key, 0) + units
    counts = {SLEEP: fleet.racks - unmoved}
    for (low, high), units in sorted(by_step.items(), key=lambda item: fleet.rack_kw(item[0][0])):
        moved = min(units, counts.get(low, 0))
        counts[low] = counts.get(low, 0) - moved
        counts[high] = counts.get(high, 0) + moved
    if unmoved:
        awake = [mode for mode, count in counts.items() if mode != SLEEP and count]
        with_rest = min(awake, key=fleet.rack_kw) if awake else SLEEP
        counts[with_rest] = counts.get(with_rest, 0) + unmoved
    return {mode: count for mode, count in counts.items() if count}
