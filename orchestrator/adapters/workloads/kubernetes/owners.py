"""Who else moves an object: autoscalers, Kueue, an operator's hold."""

from dataclasses import dataclass
from datetime import datetime

from orchestrator.adapters.workloads.kubernetes.api import Document


@dataclass(frozen=True, slots=True)
class Scaler:
    """A HorizontalPodAutoscaler or a KEDA ScaledObject and what it scales."""

    title: str
    target_kind: str
    target_name: str


@dataclass(frozen=True, slots=True)
class QueuedWorkload:
    """Kueue's object for a Job."""

    name: str
    job_uid: str
    active: bool


def read_autoscaler(document: Document) -> Scaler:
    target = document["spec"]["scaleTargetRef"]
    return Scaler(f"HorizontalPodAutoscaler {document['metadata']['name']}", target["kind"], target["name"])


def read_scaled_object(document: Document) -> Scaler:
    target = document["spec"]["scaleTargetRef"]
    return Scaler(f"ScaledObject {document['metadata']['name']}", target.get("kind", "Deployment"), target["name"])


def read_queued_workload(document: Document) -> QueuedWorkload | None:
    """None for a Workload that belongs to no Job."""
    owners = document["metadata"].get("ownerReferences") or ()
    job_uid = next((owner["uid"] for owner in owners if owner["kind"] == "Job"), None)
    if job_uid is None:
        return None
    return QueuedWorkload(document["metadata"]["name"], job_uid, bool(document["spec"].get("active", True)))


def active_patch(*, active: bool) -> Document:
    return {"spec": {"active": active}}


def held(hold_until: datetime | None, now: datetime) -> str:
    """Why an operator's annotation keeps an object as it is; empty if none does, or its time is over."""
    if hold_until is None or hold_until <= now:
        return ""
    return f"held by an operator until {hold_until:%F %T} UTC"
