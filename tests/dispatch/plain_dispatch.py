"""Dispatch written out plainly, object by object: what the compiled walk on columns is held against."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import floor
from typing import NamedTuple

from orchestrator.accounting.charges.block import Ppa
from orchestrator.accounting.economics import mode_steps, sleep_threshold_usd_per_mwh
from orchestrator.dispatch.kernels.tranches import Rank
from orchestrator.dispatch.relief import ROUNDING_KW
from orchestrator.domain.headroom import START_MARGIN
from orchestrator.domain.limits import Cap, own_caps
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import FleetStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.work import JobPhase
from orchestrator.forecast.outlook import PlanValues
from tests.dispatch.plain_tranches import Tranche, fleet_tranches, job_tranches


@dataclass(slots=True)
class CapRoom:
    """Power left under the caps while tranches are taken, grid-side kW."""

    grid_kw: float
    feeder_kw: dict[str, float]
    grid_margin_kw: float
    feeder_margin_kw: dict[str, float]
    gpus: dict[str, int]
    """By pool, those that no job holds which is stopping or must stay as it is."""
    block_kw: float = 0.0
    """Of the power block."""
    binding: dict[Target, None] = field(default_factory=dict)

    def units(self, tranche: Tranche, units: int, pue: float) -> int:
        """How many of `units` units of the tranche fit; names the cap that stops the rest."""
        if tranche.unit_kw <= 0:
            return units
        unit_kw = tranche.unit_kw * pue
        new = 0.0 if tranche.running else 1.0
        grid = (self.grid_kw - new * self.grid_margin_kw) / unit_kw
        feeder = (self.feeder_kw[tranche.feeder] - new * self.feeder_margin_kw[tranche.feeder]) / unit_kw
        fits = max(min(units, floor(min(grid, feeder) + 1e-9)), 0)
        if fits < units:
            self.binding[Target.feeder(tranche.feeder) if feeder < grid else GRID_CONNECTION] = None
        return fits

    def paid_ahead(self, tranche: Tranche, ppa: Ppa, price: float, pue: float) -> int:
        """Units that are worth what they cost, one after the other: first what unused power brings, then the price."""
        left_kw = self.block_kw - (0.0 if tranche.running else ppa.block_kw * START_MARGIN)
        unit_kw, unused = tranche.unit_kw * pue, ppa.unused_usd_per_mwh(price)
        for units in range(tranche.units):
            within_kw = min(max(left_kw - units * unit_kw, 0.0), unit_kw)
            whole = within_kw >= unit_kw * (1.0 - 1e-9)
            mean = unused if whole else (within_kw * unused + (unit_kw - within_kw) * price) / unit_kw
            if not tranche.worth(mean):
                return units
        return tranche.units

    def take(self, tranche: Tranche, units: int, pue: float) -> None:
        self.grid_kw -= units * tranche.unit_kw * pue
        self.block_kw -= units * tranche.unit_kw * pue
        self.feeder_kw[tranche.feeder] -= units * tranche.unit_kw * pue
        if tranche.gpus:
            self.gpus[tranche.pool] -= tranche.gpus * units


class Wanted(NamedTuple):
    racks: dict[str, Mapping[str, int]]
    jobs: dict[str, int]
    gpu_limit_w: dict[str, float]
    binding: tuple[Cap, ...]
    shortfall_kw: float
    changed: set[Target]
    order: tuple[Target, ...]
    """In merit order."""


def walk(site: Site, snapshot: Snapshot, values: PlanValues | None) -> Wanted:
    """What should run: of all walks that let go fewer and fewer, the one with the fewest beyond budgets."""
    tenants = [tenant for tenant in site.tenants if tenant.sla is not SlaClass.GUARANTEED]
    spent = snapshot.interruptions_last_hour
    left = {tenant.name: max(tenant.interruptions_per_hour - spent.get(tenant.name, 0), 0) for tenant in tenants}
    let_go, fewer = dict(left), 1
    found: list[tuple[int, Wanted]] = []
    while True:
        counted = {tenant.name: tenant.interruptions_per_hour - let_go[tenant.name] for tenant in tenants}
        wanted = _walk(site, replace(snapshot, interruptions_last_hour=counted), values)
        over = {name: max(_stopped(snapshot, wanted, name) - left[name], 0) for name in left}
        found.append((sum(over.values()), wanted))
        beyond = [name for name in left if over[name] and let_go[name]]
        if not beyond:
            return min(found, key=lambda pair: pair[0])[1]
        let_go.update((name, max(let_go[name] - fewer, 0)) for name in beyond)
        fewer *= 2


def _stopped(snapshot: Snapshot, wanted: Wanted, tenant: str) -> int:
    return sum(
        job.tenant.name == tenant and job.view.phase is JobPhase.RUNNING and name not in wanted.jobs
        for name, job in snapshot.jobs.items()
    )


def _walk(site: Site, snapshot: Snapshot, values: PlanValues | None) -> Wanted:
    price, ppa = snapshot.price.usd_per_mwh, _ppa(site)
    room = _room(site, snapshot)
    jobs = job_tranches(site, snapshot, values)
    tranches: list[Tranche] = [*jobs]
    for status in snapshot.fleets.values():
        tranches.extend(fleet_tranches(status, snapshot, site.controls.price_persistence, values))
    tranches.sort(key=lambda tranche: tranche.order)

    taken: dict[Target, list[tuple[Tranche, int]]] = {}
    reached: dict[tuple[Target, int], int] = {}
    for tranche in tranches:
        worth = tranche.rank is not Rank.WORTH or tranche.worth(price)
        if not worth and (ppa is None or room.block_kw <= 0.0 or not tranche.worth(ppa.unused_usd_per_mwh(price))):
            continue
        offered = min(tranche.units, _below(tranche, reached))
        if tranche.gpus:
            offered = min(offered, room.gpus.get(tranche.pool, 0) // tranche.gpus)
            if offered < tranche.least_units:
                continue
        if not worth and ppa is not None and tranche.unit_kw > 0.0:
            offered = min(offered, room.paid_ahead(tranche, ppa, price, snapshot.pue))
        units = room.units(tranche, offered, snapshot.pue)
        if units < tranche.least_units:
            units = 0
        if tranche.rank is Rank.GUARANTEED and tranche.running:
            units = tranche.units  # kept even above a cap: throttled first, then reported short
        if units:
            room.take(tranche, units, snapshot.pue)
            taken.setdefault(tranche.target, []).append((tranche, units))
            reached[tranche.target, tranche.level] = reached.get((tranche.target, tranche.level), 0) + units
    gpu_limit_w = _make_room(site, snapshot, room, taken)

    marginal = ppa.unused_usd_per_mwh(price) if ppa is not None and room.block_kw > 0.0 else price
    short = min(room.grid_kw, *room.feeder_kw.values()) < -ROUNDING_KW
    racks = {
        name: _racks(site, status, taken.get(Target.fleet(name), []), snapshot, values, marginal, short=short)
        for name, status in snapshot.fleets.items()
    }
    running = {
        name: job.view.gpus
        for name, job in snapshot.jobs.items()
        if job.view.held and job.view.phase is JobPhase.RUNNING
    }
    for tranche in jobs:
        if tranche.target in taken and tranche.name not in running:
            running[tranche.name] = sum(other.gpus * units for other, units in taken[tranche.target])
    limits = snapshot.limits
    binding = tuple(limits.tightest[at] for at in room.binding)

    changed = {
        *(
            Target.fleet(name)
            for name, status in snapshot.fleets.items()
            if racks[name] != {mode: count for mode, count in status.view.racks.items() if count}
        ),
        *(
            Target.job(name)
            for name, job in snapshot.jobs.items()
            if running.get(name, 0) != (job.view.gpus if job.view.phase.holds_gpus else 0)
        ),
    }
    over_kw = max(-room.grid_kw, *(-left for left in room.feeder_kw.values()), 0.0)
    return Wanted(
        racks=racks,
        jobs=running,
        gpu_limit_w=gpu_limit_w,
        binding=binding,
        shortfall_kw=over_kw,
        changed=changed,
        order=tuple(dict.fromkeys(tranche.target for tranche in tranches)),
    )


def _below(tranche: Tranche, reached: Mapping[tuple[Target, int], int]) -> int:
    """Racks that have taken the step below and not this one yet; any number for a first step or a job."""
    if tranche.level == 0:
        return tranche.units
    return reached.get((tranche.target, tranche.level - 1), 0) - reached.get((tranche.target, tranche.level), 0)


def _ppa(site: Site) -> Ppa | None:
    return next((charge for charge in site.grid.charges if isinstance(charge, Ppa)), None)


def _room(site: Site, snapshot: Snapshot) -> CapRoom:
    """What is left under the caps once everything that cannot be switched off has drawn its share."""
    limits, pue = snapshot.limits, snapshot.pue
    grid_kw = limits.usable_kw(limits.grid)
    feeder_kw = {feeder.name: limits.usable_kw(limits.feeder(feeder.name)) for feeder in site.feeders}
    gpus = {name: status.pool.gpus for name, status in snapshot.pools.items()}
    for status in snapshot.jobs.values():
        stuck = snapshot.at - status.view.changed_at > site.controls.verify_within
        stopping = status.view.phase is JobPhase.STOPPING and stuck
        if stopping or (status.view.held and status.view.phase is JobPhase.RUNNING):
            gpus[status.job.pool] -= status.view.gpus
    ppa = _ppa(site)
    block_kw = ppa.block_kw if ppa is not None else 0.0
    for feeder, fixed_kw in _fixed(snapshot):
        grid_kw -= fixed_kw * pue
        block_kw -= fixed_kw * pue
        feeder_kw[feeder] -= fixed_kw * pue
    return CapRoom(
        grid_kw=grid_kw,
        feeder_kw=feeder_kw,
        grid_margin_kw=limits.grid.limit_kw * START_MARGIN,
        feeder_margin_kw={name: limits.feeder(name).limit_kw * START_MARGIN for name in feeder_kw},
        gpus=gpus,
        block_kw=block_kw,
    )


def _fixed(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    """IT power by feeder that dispatch cannot move: sleeping machines, idle GPUs, what is held or does not follow."""
    for status in snapshot.fleets.values():
        fleet = status.fleet
        if status.view.held:
            yield fleet.feeder, status.committed_kw
            continue
        asleep_kw = fleet.rack_kw(SLEEP)
        yield fleet.feeder, asleep_kw * (fleet.racks - len(status.unmoved))
        yield fleet.feeder, status.unmoved_kw + status.excess_kw
    for pool_status in snapshot.pools.values():
        pool = pool_status.pool
        unknown = len(pool_status.unknown)
        idle_kw = (pool.nodes - unknown) * pool.node_idle_kw
        yield pool.feeder, idle_kw + unknown * pool.node_nameplate_kw + pool_status.excess_kw
    for job in snapshot.jobs.values():
        if job.view.held and job.view.phase is JobPhase.RUNNING:
            job_pool = snapshot.pools[job.job.pool]
            yield job_pool.pool.feeder, job_pool.pool.rise_kw(job.view.gpus, job_pool.gpu_limit_w)


def _make_room(
    site: Site, snapshot: Snapshot, room: CapRoom, taken: dict[Target, list[tuple[Tranche, int]]]
) -> dict[str, float]:
    """Where guaranteed jobs exceed a cap: GPU power limits first, then, for safety limits alone, jobs given up.

    Leaves in `room` what is left after both, and returns the power limits.
    """
    job_units = [(tranche, units) for tranches in taken.values() for tranche, units in tranches if tranche.step is None]
    jobs = [tranche for tranche, _ in job_units]
    pool_of = {tranche.target: snapshot.jobs[tranche.name].job.pool for tranche in jobs}
    running_kw = dict.fromkeys(snapshot.pools, 0.0)
    for tranche, units in job_units:
        running_kw[pool_of[tranche.target]] += tranche.unit_kw * units * snapshot.pue
    limits_w = throttle(
        snapshot, running_kw, -room.grid_kw, {feeder: -left for feeder, left in room.feeder_kw.items() if left < 0}
    )
    drawn_share: dict[str, float] = {}
    for name, status in snapshot.pools.items():
        pool = status.pool
        drawn_share[name] = (limits_w[name] - pool.gpu_idle_w) / (pool.gpu_power_w - pool.gpu_idle_w)
        room.grid_kw += running_kw[name] * (1.0 - drawn_share[name])
        room.feeder_kw[pool.feeder] += running_kw[name] * (1.0 - drawn_share[name])

    # A customer is not interrupted for power that is only assumed, nor for an order.
    assumed_kw = dict.fromkeys(room.feeder_kw, 0.0)
    for feeder, kw in _assumed(snapshot):
        assumed_kw[feeder] += kw * snapshot.pue
    limits = snapshot.limits
    kept_kw = {own.at: limits.usable_kw(own) - limits.usable_kw(limits.tightest[own.at]) for own in own_caps(site)}
    spare_kw = kept_kw[GRID_CONNECTION] + sum(assumed_kw.values())
    guaranteed = [tranche for tranche in jobs if tranche.rank is Rank.GUARANTEED]
    for tranche in sorted(guaranteed, key=_given_up_first):
        excused_kw = assumed_kw[tranche.feeder] + kept_kw[Target.feeder(tranche.feeder)]
        feeder_left_kw = room.feeder_kw[tranche.feeder] + excused_kw
        if room.grid_kw + spare_kw >= -ROUNDING_KW and feeder_left_kw >= -ROUNDING_KW:
            continue
        drawn_kw = tranche.unit_kw * snapshot.pue * drawn_share[pool_of[tranche.target]]
        del taken[tranche.target]
        room.grid_kw += drawn_kw
        room.feeder_kw[tranche.feeder] += drawn_kw
    return limits_w


def _given_up_first(tranche: Tranche) -> tuple[bool, float, Target]:
    """A job that waits before one that runs, then by what an hour of it earns."""
    return (tranche.running, tranche.value_usd_per_mwh * tranche.unit_kw, tranche.target)


def _assumed(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    """IT power by feeder that is counted for racks and nodes only because nobody measures them."""
    for status in snapshot.fleets.values():
        yield status.fleet.feeder, status.assumed_kw
    for pool_status in snapshot.pools.values():
        pool = pool_status.pool
        yield pool.feeder, (pool.node_nameplate_kw - pool.node_idle_kw) * len(pool_status.unknown)


def _pays(site: Site, status: FleetStatus, snapshot: Snapshot, values: PlanValues | None, price: float) -> bool:
    """An awake rack of the fleet is worth its power now, the cost of going to sleep counted in."""
    if values is not None and status.fleet.name in values.fleets:
        return values.fleets[status.fleet.name].stay_usd_per_mwh > price
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    first = mode_steps(status.fleet, hashprice, snapshot.pue)[:1]
    away = site.controls.price_persistence
    return any(
        sleep_threshold_usd_per_mwh(step.value_usd_per_mwh, status.fleet.warm_up, away) > price for step in first
    )


def _racks(
    site: Site,
    status: FleetStatus,
    taken: list[tuple[Tranche, int]],
    snapshot: Snapshot,
    values: PlanValues | None,
    price: float,
    *,
    short: bool,
) -> Mapping[str, int]:
    """Counts by mode from the steps taken.

    Racks that do not follow go down with the rest of the fleet and never up: which rack is woken is not ours to say,
    and another one woken in the place of a silent one would draw power that nothing was kept free for. Where the
    whole fleet is such, it stays as it is while that pays and no cap is `short`: a meter that fails is no reason to
    stop earning.
    """
    fleet = status.fleet
    if status.view.held:
        return {mode: count for mode, count in status.view.racks.items() if count}
    unmoved = status.unmoved
    by_step: dict[tuple[str, str], int] = {}
    for tranche, units in taken:
        assert tranche.step is not None, "fleet tranches carry their step"
        key = (tranche.step.from_mode, tranche.step.to_mode)
        by_step[key] = by_step.get(key, 0) + units
    counts = {SLEEP: fleet.racks - len(unmoved)}
    for (low, high), units in sorted(by_step.items(), key=lambda item: fleet.rack_kw(item[0][0])):
        moved = min(units, counts.get(low, 0))
        counts[low] = counts.get(low, 0) - moved
        counts[high] = counts.get(high, 0) + moved
    if len(unmoved) == fleet.racks and not short and _pays(site, status, snapshot, values, price):
        return {mode: count for mode, count in status.view.racks.items() if count}
    awake = [mode for mode, count in counts.items() if mode != SLEEP and count]
    with_rest = min(awake, key=fleet.rack_kw) if awake else SLEEP
    for rack in unmoved:
        mode = min(status.view.rack_modes[rack], with_rest, key=fleet.rack_kw)
        counts[mode] = counts.get(mode, 0) + 1
    return {mode: count for mode, count in counts.items() if count}


def throttle(
    snapshot: Snapshot, running_kw: Mapping[str, float], grid_over_kw: float, feeder_over_kw: Mapping[str, float]
) -> dict[str, float]:
    """Power limits in W by pool that bring grid and feeders down by what they are over, as far as limits can.

    `running_kw` is what each pool's jobs draw above idle at full power, at the grid. Pools under one cap give the
    same share of it, each down to its lowest limit.
    """
    drawn_kw = dict(running_kw)
    floor_kw: dict[str, float] = {}
    for name, status in snapshot.pools.items():
        pool = status.pool
        span_w = pool.gpu_power_w - pool.gpu_idle_w
        floor_kw[name] = running_kw[name] * (pool.gpu_min_power_w - pool.gpu_idle_w) / span_w
    for feeder, over_kw in feeder_over_kw.items():
        on_feeder = [name for name, status in snapshot.pools.items() if status.pool.feeder == feeder]
        _lower(drawn_kw, floor_kw, on_feeder, over_kw)
    _lower(drawn_kw, floor_kw, list(drawn_kw), grid_over_kw - (sum(running_kw.values()) - sum(drawn_kw.values())))
    limits_w: dict[str, float] = {}
    for name, status in snapshot.pools.items():
        pool, full_kw = status.pool, running_kw[name]
        limits_w[name] = pool.gpu_power_w
        if drawn_kw[name] < full_kw:
            share = drawn_kw[name] / full_kw
            limit_w = float(int(pool.gpu_idle_w + (pool.gpu_power_w - pool.gpu_idle_w) * share + 1e-9))
            limits_w[name] = max(limit_w, pool.gpu_min_power_w)
    return limits_w


def _lower(drawn_kw: dict[str, float], floor_kw: Mapping[str, float], pools: list[str], over_kw: float) -> None:
    """Take `over_kw` from `pools`, the same share from each that is above its floor."""
    while over_kw > 1e-6 and (lowerable := [name for name in pools if drawn_kw[name] > floor_kw[name]]):
        share = max(1.0 - over_kw / sum(drawn_kw[name] for name in lowerable), 0.0)
        for name in lowerable:
            lower_kw = max(drawn_kw[name] * share, floor_kw[name])
            over_kw -= drawn_kw[name] - lower_kw
            drawn_kw[name] = lower_kw
