"""What a fleet's object and its pods say, and what is written on them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import DEPLOYMENTS, STATEFUL_SETS, Document
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_objects import (
    deletion_cost_patch,
    note_patch,
    read_fleet,
    read_pod,
)
from orchestrator.adapters.workloads.kubernetes.owners import (
    held,
    read_autoscaler,
    read_queued_workload,
    read_scaled_object,
)
from orchestrator.adapters.workloads.processes.fleet_note import NEVER, FleetNote
from orchestrator.domain.rack_mix import RackMix

AT = datetime(2023, 9, 6, 20, 0, 0, 250, tzinfo=UTC)


def fleet_document(annotations: dict[str, str] | None = None, replicas: int | None = 2) -> Document:
    return {
        "metadata": {
            "name": "miners",
            "uid": "u1",
            "resourceVersion": "9",
            "labels": {keys.FLEET: "s21"},
            "annotations": annotations,
        },
        "spec": {} if replicas is None else {"replicas": replicas},
    }


def test_a_fleets_note_is_read_back_as_it_was_written() -> None:
    note = FleetNote(
        last_up_at=AT,
        last_down_at=AT - timedelta(minutes=1),
        last_wake_at=AT - timedelta(minutes=2),
        last_sleep_at=AT - timedelta(minutes=3),
        reason="cheap",
    )
    patch = note_patch(note, 3, RackMix({"sleep": 0, "normal": 3}), down=False, now=AT)
    assert keys.BEFORE not in patch["metadata"]["annotations"]
    item = read_fleet(STATEFUL_SETS, fleet_document(patch["metadata"]["annotations"]))
    assert (item.kind, item.name, item.fleet, item.replicas, item.version) == (STATEFUL_SETS, "miners", "s21", 2, 9)
    assert item.note == note


def test_before_a_power_down_what_was_is_put_on_record() -> None:
    patch = note_patch(FleetNote(reason="dear"), 3, RackMix({"sleep": 0, "eco": 1, "normal": 2}), down=True, now=AT)
    annotations = patch["metadata"]["annotations"]
    assert json.loads(annotations[keys.BEFORE]) == {"replicas": 3, "racks": {"eco": 1, "normal": 2}}
    assert annotations[keys.DECIDED_AT] == "2023-09-06T20:00:00.000250Z"


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {keys.LAST_UP_AT: "soon", keys.LAST_DOWN_AT: "", keys.HOLD_UNTIL: "2023-09-06T20:00:00"}],
)
def test_what_nobody_can_read_counts_as_never(annotations: dict[str, str] | None) -> None:
    item = read_fleet(DEPLOYMENTS, fleet_document(annotations, replicas=None))
    assert (item.note, item.hold_until, item.replicas) == (FleetNote(), None, 1)
    assert item.note.last_up_at == NEVER


def pod_document(
    phase: str | None = "Running", labels: dict[str, str] | None = None, cost: str | None = None, **metadata: str
) -> Document:
    return {
        "metadata": {
            "name": "p",
            "labels": {keys.FLEET: "s21", **(labels or {})},
            **({"annotations": {keys.DELETION_COST: cost}} if cost is not None else {}),
            **metadata,
        },
        **({"status": {"phase": phase}} if phase else {}),
    }


@pytest.mark.parametrize(
    ("document", "alive", "ordinal", "cost"),
    [
        (pod_document(), True, None, 0),
        (pod_document("Pending"), False, None, 0),
        (pod_document("Failed"), False, None, 0),
        (pod_document(None), False, None, 0),
        (pod_document(deletionTimestamp="2023-09-06T20:00:00Z"), False, None, 0),
        (pod_document(labels={"apps.kubernetes.io/pod-index": "11"}, cost="-1"), True, 11, -1),
        (pod_document(labels={"apps.kubernetes.io/pod-index": "x"}, cost="low"), True, None, 0),
    ],
)
def test_a_mining_pod(document: Document, alive: bool, ordinal: int | None, cost: int) -> None:
    pod = read_pod(document)
    assert (pod.fleet, pod.alive, pod.ordinal, pod.deletion_cost) == ("s21", alive, ordinal, cost)


def test_no_deletion_cost_is_no_annotation() -> None:
    assert deletion_cost_patch(-1) == {"metadata": {"annotations": {keys.DELETION_COST: "-1"}}}
    assert deletion_cost_patch(0) == {"metadata": {"annotations": {keys.DELETION_COST: None}}}


# Others that move an object


def test_scalers_name_themselves_and_their_target() -> None:
    target = {"kind": "StatefulSet", "name": "miners"}
    hpa = read_autoscaler({"metadata": {"name": "busy"}, "spec": {"scaleTargetRef": target}})
    assert (hpa.title, hpa.target_kind, hpa.target_name) == ("HorizontalPodAutoscaler busy", "StatefulSet", "miners")
    keda = read_scaled_object({"metadata": {"name": "s"}, "spec": {"scaleTargetRef": {"name": "miners"}}})
    assert (keda.title, keda.target_kind, keda.target_name) == ("ScaledObject s", "Deployment", "miners")


def test_a_workload_belongs_to_the_job_that_owns_it() -> None:
    def workload(owners: list[Document] | None, **spec: bool) -> Document:
        return {"metadata": {"name": "w", "ownerReferences": owners}, "spec": spec}

    owner = {"kind": "Job", "name": "train", "uid": "u1"}
    found = read_queued_workload(workload([owner]))
    assert found is not None
    assert (found.job_uid, found.active) == ("u1", True), "Kueue's default"
    found = read_queued_workload(workload([{"kind": "Other", "uid": "u2"}, owner], active=False))
    assert found is not None
    assert (found.job_uid, found.active) == ("u1", False)
    assert read_queued_workload(workload([{"kind": "RayJob", "uid": "u3"}])) is None
    assert read_queued_workload(workload(None)) is None


@pytest.mark.parametrize(
    ("until", "says"),
    [
        (None, ""),
        (AT, ""),
        (AT - timedelta(seconds=1), ""),
        (AT + timedelta(seconds=1), "held by an operator until 2023-09-06 20:00:01 UTC"),
    ],
)
def test_a_hold_ends_by_itself(until: datetime | None, says: str) -> None:
    assert held(until, AT) == says
