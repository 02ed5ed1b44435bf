"""Dispatch: which racks in which mode and which jobs, at the price now, inside every cap.

Everything that could run is a tranche of power with a value in USD per MWh at the grid. Tranches that must run come
first, the rest in merit order of value less price; each takes what is left under the connection's and its feeder's cap.
Who goes first, and what may be stopped for which cap, is the list in `precedence.py`.
"""

from collections.abc import Sequence
from itertools import compress

import numpy as np

from orchestrator.accounting.economics import ModeStep, mode_steps, sleep_threshold_usd_per_mwh
from orchestrator.dispatch.allocate import changed_fleets, changed_jobs
from orchestrator.dispatch.decide import Decided, SiteColumns, decide
from orchestrator.dispatch.desired import Desired, FiguresByTarget
from orchestrator.dispatch.kernels.choice import Chosen
from orchestrator.dispatch.kernels.rows import Moment
from orchestrator.dispatch.live_columns import FleetRows, JobRows, LiveColumns, places
from orchestrator.dispatch.power_price import PowerPrices, charge_figures, power_prices
from orchestrator.dispatch.precedence import caps_that_hold, shaped_by
from orchestrator.dispatch.relief import short, shortfalls_kw
from orchestrator.dispatch.room_left import block_left, room_left
from orchestrator.domain.limits import Cap
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, Snapshot
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.forecast.outlook import PlanValues, Switch
from orchestrator.observe.columns import Flags


def dispatch(
    site: Site, snapshot: Snapshot, values: PlanValues | None = None, live: LiveColumns | None = None
) -> Desired:
    """The best state at the price now; pure, the same snapshot and values give the same answer.

    `live` is the caller's memory of the snapshot before, which saves reading what has not changed.
    """
    live = live or LiveColumns()
    fleets, jobs, pools = live.of(site, snapshot)
    room, excused, fixed_kw = room_left(site, snapshot, fleets, jobs, pools)
    charges, begun, market = site.grid.charges, snapshot.price.interval_start, snapshot.price.usd_per_mwh
    prices = power_prices(charges, begun, market)
    decided = decide(
        SiteColumns(fleets.columns, jobs.columns, pools),
        moment_of(site, snapshot),
        room,
        prices.beyond.usd_per_mwh,
        switches=live.switches(values, fleets, jobs) if values is not None else None,
        places=places(fleets, jobs),
        excused=excused,
        bought=block_left(prices.block_kw, fixed_kw, prices.left.usd_per_mwh),
    )
    chosen = decided.chosen
    racks, fleet_changes = _racks(site, snapshot, values, fleets, decided, prices)
    job_changes = changed_jobs(chosen, jobs.columns)
    runs = chosen.gpus > 0
    running = dict(zip(compress(jobs.names, runs.tolist()), chosen.gpus[runs].tolist(), strict=True))
    gpu_limit_w = {pool.name: limit_w for pool, limit_w in zip(site.pools, decided.gpu_limit_w.tolist(), strict=True)}
    held = caps_that_hold(snapshot.limits)
    caps = (held[GRID_CONNECTION], *(held[Target.feeder(feeder.name)] for feeder in site.feeders))
    binding = _binding(caps, chosen)
    changed = (
        *compress(fleets.targets, fleet_changes),
        *compress(jobs.targets, job_changes.tolist()),
    )
    return Desired(
        racks=racks,
        jobs=running,
        gpu_limit_w=gpu_limit_w,
        binding=binding,
        changes=changed,
        shortfalls_kw={
            cap: over_kw for cap, over_kw in zip(caps, shortfalls_kw(chosen).tolist(), strict=True) if over_kw
        },
        order=_order(fleets, jobs, decided, np.array(fleet_changes, dtype=np.bool_), job_changes) if changed else (),
        figures=FiguresByTarget(fleets, jobs, decided, values, prices),
        rules=tuple(rule.name for rule in shaped_by(binding, decided.tranches, chosen, prices.beyond.usd_per_mwh)),
        charges={charge.name: charge_figures(charge, begun, market, round(chosen.block_kw, 1)) for charge in charges},
    )


def moment_of(site: Site, snapshot: Snapshot) -> Moment:
    """What the table of tranches needs to know of the whole site."""
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    spent = snapshot.interruptions_last_hour
    return Moment(
        at=snapshot.at.timestamp(),
        hashprice_usd_per_ph_day=float(hashprice),
        pue=float(snapshot.pue),
        price_persistence_s=site.controls.price_persistence.total_seconds(),
        interruptions_left=np.array(
            [tenant.interruptions_per_hour - spent.get(tenant.name, 0) for tenant in site.tenants], dtype=np.int64
        ),
    )


def _racks(
    site: Site,
    snapshot: Snapshot,
    values: PlanValues | None,
    fleets: FleetRows,
    decided: Decided,
    prices: PowerPrices,
) -> tuple[dict[str, RackMix], list[bool]]:
    """Racks by mode of each fleet, and which fleets change. Only those that change, or may, are counted anew."""
    racks = {name: status.view.racks for name, status in zip(fleets.names, fleets.statuses, strict=True)}
    changes = changed_fleets(decided.chosen, fleets.columns) & ~fleets.columns.held
    above_cap = short(decided.chosen)
    price = prices.next_kw(decided.chosen.block_kw).usd_per_mwh
    rows = np.flatnonzero(changes | ~(fleets.plain | fleets.columns.held)).tolist()
    changed = [False] * len(fleets.names)
    for row in rows:
        status = fleets.statuses[row]
        planned = values.fleets.get(status.fleet.name) if values is not None else None
        metered = snapshot.meters.bound(Target.feeder(status.fleet.feeder))
        blind = fleets.unmoved[row] == status.fleet.racks or (metered and bool(status.silent))
        target = _target_mix(
            status,
            fleets.steps[row],
            decided.chosen.at_step[row].tolist(),
            metered=metered,
            stays=blind and not above_cap and _pays(site, status, snapshot, planned, price),
        )
        changed[row] = target != status.view.racks
        racks[fleets.names[row]] = target
    return racks, changed


def _target_mix(
    status: FleetStatus, steps: Sequence[ModeStep], at_step: Sequence[int], *, metered: bool, stays: bool
) -> RackMix:
    """How the racks of a fleet that may be moved should be.

    `at_step` holds for each of `steps` the racks that should have taken it. Racks that do not follow go down with the
    rest of the fleet and never up: which rack is woken is not ours to say, and another one woken in the place of a
    silent one would draw power that nothing was kept free for. A fleet all of which is such, and the silent racks of
    one behind a fresh meter (`metered`), stay as they are where `stays` says that being awake pays and no cap is
    exceeded: a meter that fails is no reason to stop earning.
    """
    fleet, view = status.fleet, status.view
    unmoved = status.unmoved
    if len(unmoved) == fleet.racks and stays:
        return view.racks
    mix = RackMix.of_steps(fleet.racks - len(unmoved), [step.to_mode for step in steps], at_step)
    if not unmoved:
        return mix
    with_rest = min((mode for mode in mix if mode != SLEEP), key=fleet.rack_kw, default=SLEEP)
    kept = status.silent if metered and stays else frozenset()
    return mix.with_racks(
        fleet,
        (
            view.rack_modes[rack] if rack in kept else min(view.rack_modes[rack], with_rest, key=fleet.rack_kw)
            for rack in unmoved
        ),
    )


def _pays(site: Site, status: FleetStatus, snapshot: Snapshot, planned: Switch | None, price: float) -> bool:
    """An awake rack of the fleet is worth its power at `price`, the cost of going to sleep counted in."""
    if planned is not None:
        return planned.stay_usd_per_mwh > price
    hashprice = snapshot.hashprice.value
    assert hashprice is not None, "the stale policy gives a hashprice"
    first = mode_steps(status.fleet, hashprice, snapshot.pue)[:1]
    warm_up, away = status.fleet.warm_up, site.controls.price_persistence
    return any(sleep_threshold_usd_per_mwh(step.value_usd_per_mwh, warm_up, away) > price for step in first)


def _binding(caps: Sequence[Cap], chosen: Chosen) -> tuple[Cap, ...]:
    """Those of `caps`, the connection's and each feeder's, that bound, in the order in which they did."""
    bound = chosen.bound.tolist()
    return tuple(caps[row] for row in sorted(range(len(bound)), key=bound.__getitem__) if bound[row])


def _order(
    fleets: FleetRows, jobs: JobRows, decided: Decided, fleet_changes: Flags, job_changes: Flags
) -> tuple[Target, ...]:
    of_fleet, of_job = decided.tranches.fleet, decided.tranches.job
    changes = np.zeros(len(of_fleet), dtype=np.bool_)
    changes[of_fleet >= 0] = fleet_changes[of_fleet[of_fleet >= 0]]
    changes[of_job >= 0] = job_changes[of_job[of_job >= 0]]
    targets = (
        fleets.targets[fleet] if fleet >= 0 else jobs.targets[job]
        for fleet, job in zip(of_fleet[changes].tolist(), of_job[changes].tolist(), strict=True)
    )
    return tuple(dict.fromkeys(targets))
