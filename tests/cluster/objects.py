"""Objects as an operator and tenants put them on the cluster."""

from pathlib import Path

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import Document
from orchestrator.domain.work import Job
from tests.cluster.kind_cluster import IMAGE

WORK = Path(__file__).with_name("tenant_work.py").read_text()


def deployment(fleet: str, replicas: int = 0) -> Document:
    """A fleet's, whose pods only stay there."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": fleet, "labels": {keys.FLEET: fleet}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {keys.FLEET: fleet}},
            "template": _mining_pod(fleet),
        },
    }


def stateful_set(fleet: str, replicas: int = 0) -> Document:
    body = deployment(fleet, replicas)
    spec = {**body["spec"], "serviceName": fleet, "podManagementPolicy": "Parallel"}
    return {**body, "kind": "StatefulSet", "spec": spec}


def tenants_job(job: Job, *, suspend: bool = True) -> Document:
    """One that works as `tenant_work.py` does."""
    figures = (job.gpus, job.work_gpu_seconds, job.checkpoint_every.total_seconds(), job.restart.total_seconds())
    annotations = {
        keys.POOL: job.pool,
        keys.GPUS: str(job.gpus),
        keys.GPU_SECONDS: repr(job.work_gpu_seconds),
        keys.CHECKPOINT_EVERY: repr(job.checkpoint_every.total_seconds()),
        keys.RESTART: repr(job.restart.total_seconds()),
    }
    if job.deadline is not None:
        annotations[keys.DEADLINE] = job.deadline.isoformat()
    container = {
        "name": "work",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", WORK, job.name, *(repr(figure) for figure in figures)],
    }
    pod = {"restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 20, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "labels": {keys.TENANT: job.tenant}, "annotations": annotations},
        "spec": {"suspend": suspend, "template": {"spec": pod}},
    }


def checkpoint(job: str) -> Document:
    """The ConfigMap that the job's work keeps its checkpoint in."""
    return {"metadata": {"name": f"checkpoint-{job}"}, "data": {"gpu-seconds": "0.0"}}


def crd(group: str, version: str, kind: str, plural: str) -> Document:
    """A kind that takes anything: for what would be Kueue's and KEDA's."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [served],
        },
    }


def _mining_pod(fleet: str) -> Document:
    container = {
        "name": "agent",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap exit TERM; while :; do sleep 60 & wait; done"],
    }
    return {
        "metadata": {"labels": {keys.FLEET: fleet}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "containers": [container],
        },
    }
