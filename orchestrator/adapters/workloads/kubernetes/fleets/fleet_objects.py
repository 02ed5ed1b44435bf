"""A fleet's Deployment or StatefulSet and its pods: what is read of them, and the patches that move them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import Document, Kind
from orchestrator.adapters.workloads.kubernetes.times import instant, instant_or_none, stamp
from orchestrator.adapters.workloads.processes.fleet_note import NEVER, FleetNote
from orchestrator.domain.rack_mix import RackMix

GOES_FIRST = -1
UNASSIGNED_GOES_FIRST = -2


@dataclass(frozen=True, slots=True)
class FleetObject:
    """The object that a fleet's mining pods belong to."""

    kind: Kind
    name: str
    uid: str
    version: int
    fleet: str
    replicas: int
    note: FleetNote
    hold_until: datetime | None


@dataclass(frozen=True, slots=True)
class MiningPod:
    """A pod that can be, or is, the agent of a rack."""

    name: str
    fleet: str
    alive: bool
    """It runs and is not asked to end."""
    ordinal: int | None
    """Of a StatefulSet's pod."""
    deletion_cost: int


def read_fleet(kind: Kind, document: Document) -> FleetObject:
    metadata = document["metadata"]
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    return FleetObject(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        fleet=metadata["labels"][keys.FLEET],
        replicas=int(document["spec"].get("replicas", 1)),
        note=_read_note(annotations),
        hold_until=instant_or_none(annotations.get(keys.HOLD_UNTIL)),
    )


def read_pod(document: Document) -> MiningPod:
    metadata = document["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    ordinal = labels.get("apps.kubernetes.io/pod-index", "")
    cost = annotations.get(keys.DELETION_COST, "0")
    return MiningPod(
        name=metadata["name"],
        fleet=labels[keys.FLEET],
        alive=document.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in metadata,
        ordinal=int(ordinal) if ordinal.isdigit() else None,
        deletion_cost=int(cost) if cost.lstrip("-").isdigit() else 0,
    )


def note_patch(note: FleetNote, replicas: int, racks: RackMix, *, down: bool, now: datetime) -> Document:
    """The annotations of a move that is about to be made; `replicas` and `racks` are those before it."""
    annotations = {
        keys.LAST_UP_AT: stamp(note.last_up_at),
        keys.LAST_DOWN_AT: stamp(note.last_down_at),
        keys.LAST_WAKE_AT: stamp(note.last_wake_at),
        keys.LAST_SLEEP_AT: stamp(note.last_sleep_at),
        keys.REASON: note.reason,
        keys.DECIDED_AT: stamp(now),
    }
    if down:
        annotations[keys.BEFORE] = json.dumps({"replicas": replicas, "racks": dict(racks)})
    return {"metadata": {"annotations": annotations}}


def scale_patch(replicas: int) -> Document:
    return {"spec": {"replicas": replicas}}


def deletion_cost_patch(cost: int) -> Document:
    return {"metadata": {"annotations": {keys.DELETION_COST: str(cost) if cost else None}}}


def _read_note(annotations: Mapping[str, str]) -> FleetNote:
    """Times that nobody can read count as never: they are ours, and somebody has edited them."""
    return FleetNote(
        last_up_at=_time(annotations, keys.LAST_UP_AT),
        last_down_at=_time(annotations, keys.LAST_DOWN_AT),
        last_wake_at=_time(annotations, keys.LAST_WAKE_AT),
        last_sleep_at=_time(annotations, keys.LAST_SLEEP_AT),
        reason=annotations.get(keys.REASON, ""),
    )


def _time(annotations: Mapping[str, str], key: str) -> datetime:
    try:
        return instant(annotations[key])
    except (KeyError, ValueError):
        return NEVER
