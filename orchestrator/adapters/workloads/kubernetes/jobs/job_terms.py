"""The terms of a tenant's Job: what its labels and annotations ask for, and what is wrong with them."""

import math
from collections.abc import Mapping
from datetime import timedelta

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import Document
from orchestrator.adapters.workloads.kubernetes.times import instant
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job

CHECKPOINT_EVERY = timedelta(minutes=10)
RESTART = timedelta(minutes=2)
"""Assumed of a Job that says nothing of them."""


def read_terms(document: Document, site: Site) -> Job:
    """The job's terms; ValueError says which label or annotation makes no sense and what is allowed."""
    metadata, spec = document["metadata"], document["spec"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    tenant_name = labels.get(keys.TENANT, "")
    tenant = next((tenant for tenant in site.tenants if tenant.name == tenant_name), None)
    if tenant is None:
        raise ValueError(f"label {keys.TENANT}: no tenant {tenant_name!r}; there is {_names(site.tenants)}")
    sla = annotations.get(keys.SLA_CLASS, tenant.sla.value)
    if sla != tenant.sla.value:
        raise ValueError(f"{keys.SLA_CLASS}: {sla!r}, but tenant {tenant.name} has {tenant.sla.value}")
    pools = site.pools
    pool_name = annotations.get(keys.POOL, pools[0].name if len(pools) == 1 else "")
    pool = next((pool for pool in pools if pool.name == pool_name), None)
    if pool is None:
        raise ValueError(f"{keys.POOL}: no pool {pool_name!r}; there is {_names(pools)}")
    gpus = _number(annotations, keys.GPUS, float(_gpu_limits(spec) * int(spec.get("parallelism", 1))))
    if gpus != int(gpus) or not 1 <= gpus <= pool.gpus:
        raise ValueError(f"{keys.GPUS}: {gpus:g}; pool {pool.name} has 1 to {pool.gpus}, and whole ones")
    min_gpus, gpu_step = _elasticity(annotations, spec, int(gpus), queued=keys.KUEUE_QUEUE in labels)
    work = _number(annotations, keys.GPU_SECONDS, math.nan)
    if math.isnan(work):
        raise ValueError(f"{keys.GPU_SECONDS} is missing: the job's work in GPU seconds")
    if work <= 0:
        raise ValueError(f"{keys.GPU_SECONDS}: {work:g}; a positive number is needed")
    deadline = annotations.get(keys.DEADLINE)
    try:
        due = instant(deadline) if deadline else None
    except ValueError:
        raise ValueError(f"{keys.DEADLINE}: {deadline!r} is no ISO 8601 time with an offset") from None
    return Job(
        name=metadata["name"],
        tenant=tenant.name,
        pool=pool.name,
        gpus=int(gpus),
        work_gpu_seconds=work,
        submitted_at=instant(metadata["creationTimestamp"]),
        deadline=due,
        checkpoint_every=_duration(annotations, keys.CHECKPOINT_EVERY, CHECKPOINT_EVERY),
        restart=_duration(annotations, keys.RESTART, RESTART),
        min_gpus=min_gpus,
        gpu_step=gpu_step,
    )


def _elasticity(
    annotations: Mapping[str, str], spec: Document, gpus: int, *, queued: bool
) -> tuple[int | None, int | None]:
    """The least number of GPUs and those of one pod; None for a job that is not elastic."""
    if keys.MIN_GPUS not in annotations or queued:
        return None, None  # the number of Kueue's pods is Kueue's
    least = _number(annotations, keys.MIN_GPUS, math.nan)
    step = _number(annotations, keys.GPUS_PER_POD, float(_gpu_limits(spec)))
    if step < 1 or step != int(step) or gpus % step:
        raise ValueError(f"{keys.GPUS_PER_POD}: {step:g}; an elastic job needs a whole part of its {gpus} GPUs a pod")
    if least < step or least > gpus or least % step:
        raise ValueError(f"{keys.MIN_GPUS}: {least:g}; {step:g} to {gpus} GPUs are allowed, in steps of {step:g}")
    return int(least), int(step)


def _gpu_limits(spec: Document) -> int:
    containers = spec["template"]["spec"].get("containers") or ()
    limits = [(container.get("resources") or {}).get("limits") or {} for container in containers]
    return sum(whole(str(limit.get(keys.GPU_RESOURCE, ""))) for limit in limits)


def _number(annotations: Mapping[str, str], key: str, default: float) -> float:
    text = annotations.get(key)
    try:
        value = float(text) if text is not None else default
    except ValueError:
        value = math.nan
    if text is not None and not math.isfinite(value):
        raise ValueError(f"{key}: {text!r} is no number")
    return value


def _duration(annotations: Mapping[str, str], key: str, default: timedelta) -> timedelta:
    seconds = _number(annotations, key, default.total_seconds())
    if not 0 <= seconds <= timedelta(days=30).total_seconds():
        raise ValueError(f"{key}: {seconds:g} s; 0 to 30 days are allowed")
    return timedelta(seconds=seconds)


def whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _names(items: object) -> str:
    assert isinstance(items, tuple)
    return ", ".join(item.name for item in items)
