"""The site without dispatch, to compare with: every fleet in its default mode, every job as it comes, inside the same
caps, whatever power costs.

One rule for all who compare: the demo's run beside the real one, the backtest's strategy, and the yardstick of the
metrics. It is dispatch with values that no price is above; its sibling, the threshold, lets fleets sleep above one
market price.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from math import inf

import numpy as np

from orchestrator.accounting.mining_pace import Pace
from orchestrator.dispatch.decide import SiteColumns, decide
from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.inputs import by_fleet_name, pool_columns
from orchestrator.dispatch.kernels.choice import Room
from orchestrator.dispatch.kernels.rows import Moment, Switches
from orchestrator.domain.headroom import left_kw, margin_kw
from orchestrator.domain.limits import Limits
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.units import HASHES_PER_PH
from orchestrator.forecast.outlook import PlanValues, Switch
from orchestrator.observe.columns import FleetColumns, JobColumns, RackState, columns_at, columns_of, hull, most_steps

AT_ANY_PRICE = Switch(inf, inf)
NO_JOBS = columns_of(np.empty((0, len(fields(JobColumns)))))
LONG_AGO_S = 86_400.0
"""Racks of which nothing is known were moved so long before: no minimum time lasts any more."""


def default_modes(site: Site) -> Site:
    """The same site with each fleet in its default mode only: what one without dispatch knows."""
    return replace(
        site,
        fleets=tuple(replace(fleet, modes=(fleet.mode(fleet.default_mode),)) for fleet in site.fleets),
    )


def always_on(site: Site, snapshot: Snapshot) -> Desired:
    """What should run on a site of `default_modes` that is watched."""
    values = PlanValues(
        fleets=dict.fromkeys(snapshot.fleets, AT_ANY_PRICE), jobs=dict.fromkeys(snapshot.jobs, AT_ANY_PRICE)
    )
    return dispatch(replace(site, grid=replace(site.grid, charges=())), snapshot, values)


def threshold(usd_per_mwh: float, fleets: int, jobs: int) -> Switches:
    """Fleets asleep above one market price, jobs always on. At +inf nothing is switched off: always on."""
    of_fleets, of_jobs = np.full(fleets, usd_per_mwh), np.full(jobs, inf)
    return Switches(of_fleets, of_fleets, of_jobs, of_jobs)


def warm(site: Site, at_s: float) -> FleetColumns:
    """Every rack warm in its fleet's default mode, or in the next lower one that is worth using at some price."""
    count = len(site.fleets)
    steps = [hull(fleet) for fleet in site.fleets]
    at_step = np.zeros((count, most_steps(steps)), dtype=np.int64)
    for row, (fleet, of_fleet) in enumerate(zip(site.fleets, steps, strict=True)):
        for number, step in enumerate(of_fleet):
            if fleet.rack_kw(step.to_mode) <= fleet.rack_kw(fleet.default_mode):
                at_step[row, number] = fleet.racks
    moved_at = np.full(count, at_s - LONG_AGO_S)
    state = RackState(
        at_step=at_step,
        movable=np.array([fleet.racks for fleet in site.fleets], dtype=np.int64),
        held=np.zeros(count, dtype=np.bool_),
        dark=np.zeros(count, dtype=np.bool_),
        draw_share=np.ones(count),
        woken_at=moved_at,
        slept_at=moved_at.copy(),
    )
    return columns_at(site, site.fleets, steps, state)


def mining_beside(site: Site, fleets: FleetColumns, limits: Limits, hpc_kw: Mapping[str, float], pue: float) -> Pace:
    """What a site of `default_modes` mines, its `fleets` `warm`, under `limits` beside `hpc_kw`, IT power by feeder.

    A model, cheap enough for every observation: HPC is as it is, racks draw and hash as their nameplate says, and none
    warms up or fails. The demo and the backtest simulate the always-on site.
    """
    feeders = [feeder.name for feeder in site.feeders]
    fixed_kw = np.bincount(fleets.feeder, fleets.racks * fleets.asleep_kw, len(feeders))
    fixed_kw = fixed_kw + np.array([hpc_kw.get(feeder, 0.0) for feeder in feeders])
    caps = [limits.feeder(feeder) for feeder in feeders]
    room = Room(
        grid_kw=left_kw(limits.usable_kw(limits.grid), float(fixed_kw.sum()), pue),
        feeder_kw=left_kw(np.array([limits.usable_kw(cap) for cap in caps]), fixed_kw, pue),
        grid_margin_kw=margin_kw(limits.grid.limit_kw),
        feeder_margin_kw=np.array([margin_kw(cap.limit_kw) for cap in caps]),
        gpus=np.array([pool.gpus for pool in site.pools], dtype=np.int64),
    )
    moment = Moment(0.0, 0.0, pue, 1.0, np.zeros(len(site.tenants), dtype=np.int64))
    switches = threshold(inf, len(fleets), 0)
    places = by_fleet_name(site, 0)
    columns = SiteColumns(fleets, NO_JOBS, pool_columns(site))
    decided = decide(columns, moment, room, 0.0, switches=switches, places=places)
    at_step = decided.chosen.at_step
    return Pace(
        mining_kw=float((fleets.racks * fleets.asleep_kw).sum() + (at_step * fleets.rise_kw).sum()),
        hashrate_phs=float((at_step * fleets.rise_hs).sum()) / HASHES_PER_PH,
    )
