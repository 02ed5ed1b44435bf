"""From columns to what should run: the same for a site that is watched and for one that is only computed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from orchestrator.dispatch.allocate import NO_BLOCK, choose
from orchestrator.dispatch.inputs import as_they_are, no_plan
from orchestrator.dispatch.kernels.choice import BlockLeft, Chosen, Room
from orchestrator.dispatch.kernels.rows import Moment, PoolColumns, Switches
from orchestrator.dispatch.kernels.tranches import Places, Tranches
from orchestrator.dispatch.merit_order import lay_out
from orchestrator.dispatch.relief import Excused, relieve
from orchestrator.observe.columns import FleetColumns, Floats, Ints, JobColumns
from orchestrator.observe.phase import Phase


class Decided(NamedTuple):
    tranches: Tranches
    chosen: Chosen
    gpu_limit_w: Floats
    """By pool."""


class SiteColumns(NamedTuple):
    """All of a site that is decided on."""

    fleets: FleetColumns
    jobs: JobColumns
    pools: PoolColumns


def decide(
    columns: SiteColumns,
    moment: Moment,
    room: Room,
    price_usd_per_mwh: float,
    *,
    switches: Switches | None = None,
    places: Places | None = None,
    excused: Excused | None = None,
    bought: BlockLeft = NO_BLOCK,
) -> Decided:
    """What should run at this price; pure, and nothing given is changed.

    Without `bought` all power is at this price, without `switches` there is no plan, without `places` the first of
    equal rows goes first, and without `excused` no power is.
    """
    fleets, jobs, pools = columns
    switches = switches or no_plan(len(fleets), len(jobs))
    places = places or as_they_are(len(fleets), len(jobs))

    def choice(let_go: Ints) -> tuple[Tranches, Chosen]:
        tranches = lay_out(fleets, jobs, pools, moment._replace(interruptions_left=let_go), switches, places)
        return tranches, choose(tranches, price_usd_per_mwh, room, moment.pue, fleets, jobs, bought)

    tranches, chosen = _within_budgets(choice, jobs, np.maximum(moment.interruptions_left, 0))
    excused = excused or Excused(0.0, *np.zeros((2, len(room.feeder_kw))))
    chosen, gpu_limit_w = relieve(tranches, chosen, pools, moment.pue, excused, places)
    return Decided(tranches, chosen, gpu_limit_w)


def _within_budgets(
    choice: Callable[[Ints], tuple[Tranches, Chosen]], jobs: JobColumns, left: Ints
) -> tuple[Tranches, Chosen]:
    """Of choices by how many jobs of each tenant may be let go, the one that interrupts the fewest beyond the budgets
    `left`; of equals the one that lets most go.

    Caps and starts of guaranteed jobs stop others besides, and which is not known beforehand: where both together are
    beyond a budget, fewer are let go.
    """
    let_go, fewer, best, best_over = left, 1, None, 0
    while True:
        tranches, chosen = choice(let_go)
        over = np.maximum(_stopped(chosen, jobs, len(left)) - left, 0)
        if best is None or over.sum() < best_over:
            best, best_over = (tranches, chosen), int(over.sum())
        beyond = (over > 0) & (let_go > 0)
        if not beyond.any():
            return best
        let_go = np.where(beyond, np.maximum(let_go - fewer, 0), let_go)
        fewer *= 2


def _stopped(chosen: Chosen, jobs: JobColumns, tenants: int) -> Ints:
    """(tenants,) jobs that run and would not."""
    return np.bincount(jobs.tenant[(jobs.phase == Phase.RUNNING) & (chosen.gpus == 0)], minlength=tenants)
