"""What should run: the tranches that are worth their power, as far as there is room for them."""

import numpy as np

from orchestrator.dispatch.kernels.choice import BlockLeft, Chosen, Room, walk
from orchestrator.dispatch.kernels.tranches import Tranches
from orchestrator.observe.columns import Flags, FleetColumns, JobColumns
from orchestrator.observe.phase import Phase

NO_BLOCK = BlockLeft(0.0, 0.0, 0.0)


def choose(
    tranches: Tranches,
    price_usd_per_mwh: float,
    room: Room,
    pue: float,
    fleets: FleetColumns,
    jobs: JobColumns,
    bought: BlockLeft = NO_BLOCK,
) -> Chosen:
    """The tranches that are worth their power at this price, as far as there is room; what is held stays as it is.

    Power that is `bought` ahead costs what it says, until it is used up.
    """
    at_step = np.where(fleets.held[:, None], fleets.at_step, 0)
    gpus = np.where(jobs.held & (jobs.phase == Phase.RUNNING), jobs.on_gpus, 0)
    return walk(tranches, float(price_usd_per_mwh), bought, room, pue, at_step, gpus)


def changed_fleets(chosen: Chosen, fleets: FleetColumns) -> Flags:
    """Fleets that should not stay as they are, by their racks that follow their setpoint."""
    return np.asarray((chosen.at_step != fleets.at_step).any(axis=1))


def changed_jobs(chosen: Chosen, jobs: JobColumns) -> Flags:
    """Jobs that should not stay as they are; one that is stopping is on its way."""
    holds = (jobs.phase == Phase.RUNNING) | (jobs.phase == Phase.STOPPING)
    return np.asarray(chosen.gpus != np.where(holds, jobs.on_gpus, 0))
