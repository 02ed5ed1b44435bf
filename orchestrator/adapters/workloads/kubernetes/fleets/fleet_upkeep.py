"""Keeping fleets' objects, setpoints and pods in step: with each other, and with whoever else writes them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime

from orchestrator.adapters.workloads.kubernetes.api import ApiError
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_moves import Fleets, racks_in
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_objects import FleetObject
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_watch import FleetWatch
from orchestrator.adapters.workloads.kubernetes.setpoints.board import SetpointsBoard
from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.site.machines import SLEEP, Fleet

log = logging.getLogger(__name__)


async def settle_start(fleets: Fleets, watch: FleetWatch, board: SetpointsBoard, now: datetime) -> None:
    """Once, when a controller takes over: what the one before began is finished, towards less power.

    Without setpoints on record (a first start on a site that runs, or nobody can read them) the replicas are taken over
    as they are, and so are those of a fleet that is not ours to move. A fleet whose object takes no write is left to
    the upkeep.
    """
    first = bool(board.damaged)

    async def settle(fleet: Fleet) -> None:
        async with fleets.locks[fleet.name]:
            item = watch.object(fleet.name)
            if item is None:
                return
            racks_awake = racks_in(fleet, board.current.racks).awake
            if item.replicas > racks_awake and not (first or watch.held(item, now)):
                fleets.accounted[fleet.name] = item.replicas
                await _finish(fleets, board, fleet, item, racks_awake, now)
            elif min(item.replicas, fleet.racks) != racks_awake:
                await _take_over(fleets, watch, board, fleet, item, now)
            else:
                fleets.accounted[fleet.name] = item.replicas

    await _each(fleets.by_name.values(), settle)
    await board.change()  # so that there is an object to watch, and it can be read


async def keep_in_step(
    names: Iterable[str], fleets: Fleets, watch: FleetWatch, board: SetpointsBoard, now: datetime
) -> set[str]:
    """For fleets that have changed: take over replicas set by someone else, finish what failed half-way, and give
    racks that have lost their agent to free pods.

    Returns the fleets whose object did not take a write; ApiError when the setpoints do not.
    """

    async def keep(fleet: Fleet) -> None:
        async with fleets.locks[fleet.name]:
            item = watch.object(fleet.name)
            if item is None:
                return
            await fleets.write_owed(fleet, item, now)
            item = watch.object(fleet.name) or item
            racks_awake = racks_in(fleet, board.current.racks).awake
            apart = min(item.replicas, fleet.racks) != racks_awake
            if item.replicas != fleets.accounted.get(fleet.name, racks_awake) or (apart and watch.held(item, now)):
                await _take_over(fleets, watch, board, fleet, item, now)
            elif item.replicas != racks_awake and not watch.held(item, now):
                await _finish(fleets, board, fleet, item, racks_awake, now)
            fleets.accounted.setdefault(fleet.name, item.replicas)

    present = [fleets.by_name[name] for name in names if name in fleets.by_name]
    failed = await _each(present, keep)
    agents: dict[str, str | None] = {}
    for fleet in present:
        agents.update(_agents(fleet, watch, board))
    if any(board.current.agents.get(rack) != pod for rack, pod in agents.items()):
        await board.change(agents=agents)
    return failed


async def _each(fleets: Iterable[Fleet], do: Callable[[Fleet], Awaitable[None]]) -> set[str]:
    """Do it for all at once; returns those for which the server did not take a write."""
    chosen = list(fleets)
    failed: set[str] = set()
    for fleet, result in zip(chosen, await asyncio.gather(*map(do, chosen), return_exceptions=True), strict=True):
        if isinstance(result, ApiError):
            log.warning("fleet %s: %s; tried again", fleet.name, result)
            failed.add(fleet.name)
        elif isinstance(result, BaseException):
            raise result
    return failed


async def _take_over(
    fleets: Fleets, watch: FleetWatch, board: SetpointsBoard, fleet: Fleet, item: FleetObject, now: datetime
) -> None:
    """Someone else set the replicas: the racks follow. Racks that have lost their pod sleep first."""
    before = board.current.racks
    was, wanted = racks_in(fleet, before).awake, min(item.replicas, fleet.racks)
    counts = racks_in(fleet, before).by_mode(fleet)
    counts[SLEEP] = fleet.racks - wanted
    counts[fleet.default_mode] += max(wanted - was, 0)
    leaving = max(was - wanted, 0)
    for mode in fleet.modes:
        taken = min(counts[mode.name], leaving)
        counts[mode.name] -= taken
        leaving -= taken
    living = {pod.name for pod in watch.living(fleet.name)}
    agents = board.current.agents
    orphans = [rack for rack in fleet.rack_names() if before[rack] != SLEEP and agents.get(rack) not in living]
    modes = choose_racks(fleet, before, RackMix(counts), tuple(reversed(orphans)))
    reason = f"{item.replicas} replicas were set by someone else; {was} racks were awake"
    await fleets.note(fleet, item, item.note.after(fleet, before, modes, reason, now), before, now)
    await board.change(racks=modes)
    fleets.accounted[fleet.name] = item.replicas
    fleets.tell(item, "TakeOver", "ScaledByOther", reason)
    log.warning("fleet %s: %s", fleet.name, reason)


async def _finish(
    fleets: Fleets, board: SetpointsBoard, fleet: Fleet, item: FleetObject, replicas: int, now: datetime
) -> None:
    """The setpoints were accepted and the replicas were not: the pods follow."""
    reason = f"finished what was begun: {replicas} racks are to be awake and there were {item.replicas} replicas"
    lower = replicas < min(item.replicas, fleet.racks)
    if item.replicas > fleet.racks == replicas:
        reason = f"the fleet has {fleet.racks} racks and there were {item.replicas} replicas"
    note = replace(item.note, reason=reason)
    if lower:
        note = replace(note, last_down_at=now, last_sleep_at=now)
    await fleets.note(fleet, item, note, board.current.racks, now)
    await fleets.scale(fleet, replicas)
    why = "PowerDown" if lower else "PowerUp" if replicas > item.replicas else "TooManyReplicas"
    fleets.tell(item, "Finish", why, reason)


def _agents(fleet: Fleet, watch: FleetWatch, board: SetpointsBoard) -> dict[str, str | None]:
    """Every rack's pod: those that live stay, awake racks without one get one that has no rack or a sleeping one."""
    modes, agents = board.current.racks, board.current.agents
    living = {pod.name for pod in watch.living(fleet.name)}
    kept = {rack: pod for rack in fleet.rack_names() if (pod := agents.get(rack)) in living}
    tending = {rack: pod for rack, pod in kept.items() if modes[rack] != SLEEP}
    resting = {pod: rack for rack, pod in kept.items() if modes[rack] == SLEEP}
    free = sorted(living - set(kept.values())) + sorted(resting)
    for rack in fleet.rack_names():
        if modes[rack] != SLEEP and rack not in tending and free:
            tending[rack] = free.pop(0)
    for pod in free:
        if pod in resting:
            tending[resting[pod]] = pod
    return {rack: tending.get(rack) for rack in fleet.rack_names()}
