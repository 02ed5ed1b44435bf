"""Moves of fleets: setpoints of racks and replicas of the object whose pods are their agents."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from orchestrator.adapters.workloads.kubernetes.api import PODS, STATEFUL_SETS, ApiError, ClusterApi
from orchestrator.adapters.workloads.kubernetes.events import Recorder
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_objects import (
    GOES_FIRST,
    UNASSIGNED_GOES_FIRST,
    FleetObject,
    deletion_cost_patch,
    note_patch,
    scale_patch,
)
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_watch import KIND_NAMES, FleetWatch
from orchestrator.adapters.workloads.kubernetes.setpoints.board import SetpointsBoard
from orchestrator.adapters.workloads.processes.fleet_note import FleetNote
from orchestrator.domain.decision import Ack, SetFleet
from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.refusals import fleet_refusal, held_refusal
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import FleetView

log = logging.getLogger(__name__)


class Fleets:
    """What was accepted for each fleet, and how it is changed."""

    def __init__(
        self, api: ClusterApi, site: Site, watch: FleetWatch, board: SetpointsBoard, recorder: Recorder
    ) -> None:
        self.by_name = {fleet.name: fleet for fleet in site.fleets}
        self.locks = {name: asyncio.Lock() for name in self.by_name}
        """Held while a fleet's objects are written: a move and the taking over of someone else's do not mix."""
        self.owed: dict[str, tuple[FleetNote, Mapping[str, str]]] = {}
        """Of fleets whose setpoints were accepted and whose object took no note: that note, and the modes before."""
        self.accounted: dict[str, int] = {}
        """By fleet, the replicas that we have set or taken over; others were set by someone else."""
        self._seen: dict[str, tuple[FleetNote, Mapping[str, str], FleetView]] = {}
        """By fleet its last view and what that was made from: while nobody moves it, it is the same."""
        self._api = api
        self._watch = watch
        self._board = board
        self._recorder = recorder

    def views(self, now: datetime) -> Mapping[str, FleetView]:
        modes = self._board.current.racks
        views = {}
        for name, fleet in self.by_name.items():
            item = self._watch.object(name)
            if item is not None:
                view, why = self._view(fleet, item.note, modes), self._watch.held(item, now)
                views[name] = replace(view, held=why) if why else view
        return views

    def _view(self, fleet: Fleet, note: FleetNote, modes: Mapping[str, str]) -> FleetView:
        seen = self._seen.get(fleet.name)
        if seen is None or seen[0] is not note or seen[1] is not modes:
            seen = self._seen[fleet.name] = (note, modes, note.view(fleet, modes))
        return seen[2]

    async def apply(self, move: SetFleet, reason: str, now: datetime) -> Ack:
        """Put the fleet's racks in the modes; refused with the reason. ApiError where the server does not take it."""
        if why := fleet_refusal(self.by_name.values(), move):
            return Ack(accepted=False, at=now, detail=why)
        fleet = self.by_name[move.fleet]
        async with self.locks[fleet.name]:
            return await self._set(fleet, move, reason, now)

    async def _set(self, fleet: Fleet, move: SetFleet, reason: str, now: datetime) -> Ack:
        item = self._watch.object(fleet.name)
        if item is None:
            return Ack(accepted=False, at=now, detail="; ".join(self._watch.problems()))
        if why := self._watch.held(item, now):
            self.tell(item, "Refuse", "MoveRefused", f"{why}. Refused: {reason}", warning=True)
            return Ack(accepted=False, at=now, detail=held_refusal(f"fleet {fleet.name}", why))
        before = self._board.current.racks
        modes = choose_racks(fleet, before, move.racks, self._sleep_first(item, move))
        if all(before[rack] == mode for rack, mode in modes.items()) and item.replicas == racks_in(fleet, modes).awake:
            return Ack(accepted=True, at=now)
        note = item.note.after(fleet, before, modes, reason, now)
        self.owed.pop(fleet.name, None)
        accepted, noted = await asyncio.gather(
            self._board.change(racks=modes),
            self._note_and_scale(fleet, item, note, before, modes, now),
            return_exceptions=True,
        )
        if isinstance(accepted, BaseException):
            raise accepted  # what the replicas may have become is put right by the upkeep
        detail = ""
        if isinstance(noted, ApiError):  # machines follow the setpoints all the same, so the move is made
            self.owed[fleet.name] = (note, before)
            detail = f"its object is still to be written: {noted}"
        elif isinstance(noted, BaseException):
            raise noted
        down = fleet.setpoint_kw(racks_in(fleet, modes)) < fleet.setpoint_kw(racks_in(fleet, before))
        self.tell(item, "Curtail" if down else "Raise", "PowerDown" if down else "PowerUp", reason)
        return Ack(accepted=True, at=now, detail=detail)

    async def write_owed(self, fleet: Fleet, item: FleetObject, now: datetime) -> None:
        """Try again to put on the object what a move left owing."""
        if fleet.name in self.owed:
            note, before = self.owed[fleet.name]
            modes = {rack: self._board.current.racks[rack] for rack in fleet.rack_names()}
            await self._note_and_scale(fleet, item, note, before, modes, now)
            del self.owed[fleet.name]

    async def note(
        self,
        fleet: Fleet,
        item: FleetObject,
        note: FleetNote,
        before: Mapping[str, str],
        now: datetime,
        *,
        replicas: int | None = None,
    ) -> None:
        """Put on the object why and when it is moved and, if power goes down, what it was; with it the `replicas`, if
        they are to change."""
        down = note.last_down_at > item.note.last_down_at
        body = note_patch(note, item.replicas, racks_in(fleet, before), down=down, now=now)
        if replicas is not None and replicas != item.replicas:
            body |= scale_patch(replicas)
        self._watch.take(item.kind, await self._api.patch(item.kind, item.name, body))
        if replicas is not None:
            self.accounted[fleet.name] = replicas

    async def scale(self, fleet: Fleet, replicas: int) -> None:
        """Set the replicas through the scale subresource."""
        item = self._watch.object(fleet.name)
        if item is None:
            raise ApiError(404, f"fleet {fleet.name}: its object is gone")
        scale = await self._api.patch(item.kind, item.name, scale_patch(replicas), part="scale")
        self.accounted[fleet.name] = replicas
        self._watch.amend(replace(item, replicas=replicas, version=int(scale["metadata"]["resourceVersion"])))

    def tell(self, item: FleetObject, action: str, reason: str, note: str, *, warning: bool = False) -> None:
        """An Event on the fleet's object."""
        regarding = {
            "apiVersion": "apps/v1",
            "kind": KIND_NAMES[item.kind],
            "namespace": self._api.namespace,
            "name": item.name,
            "uid": item.uid,
        }
        self._recorder.record(regarding, action, reason, note, warning=warning)

    async def _note_and_scale(
        self,
        fleet: Fleet,
        item: FleetObject,
        note: FleetNote,
        before: Mapping[str, str],
        modes: Mapping[str, str],
        now: datetime,
    ) -> None:
        """Note and replicas in one patch: nobody ever finds the two apart, and Kubernetes has one change to follow."""
        replicas = racks_in(fleet, modes).awake
        if 0 < replicas < item.replicas:
            await self._mark_leavers(fleet, modes)
        await self.note(fleet, item, note, before, now, replicas=replicas)

    async def _mark_leavers(self, fleet: Fleet, modes: Mapping[str, str]) -> None:
        """Give pods whose rack is to sleep a lower deletion cost than the others'."""
        agents = self._board.current.agents
        rack_of = {agents[rack]: rack for rack in modes if rack in agents}
        patches = []
        for pod in self._watch.living(fleet.name):
            rack = rack_of.get(pod.name)
            cost = UNASSIGNED_GOES_FIRST if rack is None else GOES_FIRST if modes.get(rack) == SLEEP else 0
            if pod.deletion_cost != cost:
                patches.append(self._api.patch(PODS, pod.name, deletion_cost_patch(cost)))
        for result in await asyncio.gather(*patches, return_exceptions=True):
            if isinstance(result, ApiError) and result.status != 404:  # gone already is as good
                log.warning("a deletion cost was not written, so another pod may go: %s", result)

    def _sleep_first(self, item: FleetObject, move: SetFleet) -> tuple[str, ...]:
        """A StatefulSet loses its highest ordinals whatever they do, so it is their racks that sleep."""
        if item.kind != STATEFUL_SETS:
            return move.sleep_first
        ordinal = {pod.name: pod.ordinal or 0 for pod in self._watch.living(item.fleet)}
        mine = [(ordinal[pod], rack) for rack, pod in self._board.current.agents.items() if pod in ordinal]
        return tuple(rack for _, rack in sorted(mine, reverse=True))


def racks_in(fleet: Fleet, modes: Mapping[str, str]) -> RackMix:
    """Racks of `fleet` by mode; `modes` are those of the whole site, by rack name."""
    return RackMix.counted(fleet, (modes[rack] for rack in fleet.rack_names()))
