"""Why a move cannot be made, in the same words whichever driver is asked: empty where it can be made.

What one driver alone can say (a server that does not take it, a process that does not start, an owner that is not ours
to move) stays with that driver.
"""

from collections.abc import Iterable
from typing import Protocol

from orchestrator.domain.decision import LimitGpus, SetFleet
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def fleet_refusal(fleets: Iterable[Fleet], move: SetFleet) -> str:
    """No such fleet, no such mode of it, or counts that do not add up to its racks."""
    fleet = next((fleet for fleet in fleets if fleet.name == move.fleet), None)
    if fleet is None:
        return f"no fleet {move.fleet}; there is {names(fleets)}"
    known = [SLEEP, *(mode.name for mode in fleet.modes)]
    unknown = [mode for mode in move.racks if mode not in known]
    if unknown:
        return f"fleet {fleet.name} has no mode {', '.join(unknown)}; it has {', '.join(known)}"
    if any(count < 0 for count in move.racks.values()) or sum(move.racks.values()) != fleet.racks:
        return f"fleet {fleet.name} has {fleet.racks} racks; {dict(move.racks)} does not add up to them"
    return ""


def limit_refusal(pools: Iterable[GpuPool], move: LimitGpus) -> str:
    """No such pool, or a power limit that its GPUs do not take."""
    pool = next((pool for pool in pools if pool.name == move.pool), None)
    if pool is None:
        return f"no pool {move.pool}; there is {names(pools)}"
    low, high = pool.gpu_min_power_w, pool.gpu_power_w
    if not low <= move.gpu_limit_w <= high:
        return f"pool {pool.name}: a GPU takes a limit of {low:g} to {high:g} W, not {move.gpu_limit_w:g}"
    return ""


def unknown_job(name: str) -> str:
    return f"no job {name}"


def ended_job(name: str, phase: JobPhase, detail: str = "") -> str:
    """Of a job that has ended; `detail` is what its driver saw of its end."""
    return f"job {name} has {phase.value}{f': {detail}' if detail else ''}"


def run_refusal(job: Job, phase: JobPhase, gpus: int, free_gpus: int, *, resizable: bool = False) -> str:
    """Why a job that is there and open can't run on `gpus` GPUs now: it is stopping, does not run on so many, or too
    few of its pool are free, its own not counted as taken. `resizable`: the driver can give a job fewer than all."""
    if phase is JobPhase.STOPPING:
        return f"job {job.name} is still writing its checkpoint"
    if gpus != job.gpus:
        if not resizable or not job.elastic or job.gpu_step is None or job.min_gpus is None:
            return f"job {job.name} is not elastic: it runs on {job.gpus} GPUs, not on {gpus}"
        if not job.min_gpus <= gpus <= job.gpus or gpus % job.gpu_step:
            return f"job {job.name} runs on {job.min_gpus} to {job.gpus} GPUs in steps of {job.gpu_step}, not on {gpus}"
    return "" if gpus <= free_gpus else f"job {job.name} needs {gpus} GPUs of pool {job.pool}; {free_gpus} are free"


def held_refusal(subject: str, why: str) -> str:
    """Of what an operator, or an owner of its object, keeps as it is."""
    return f"{subject}: {why}"


def submission_refusal(site: Site, job: Job) -> str:
    """Why a job that is handed in could never run here: no such pool or tenant, or more GPUs than the pool has."""
    pool = next((pool for pool in site.pools if pool.name == job.pool), None)
    if pool is None:
        return f"job {job.name}: no pool {job.pool}; there is {names(site.pools)}"
    if all(tenant.name != job.tenant for tenant in site.tenants):
        return f"job {job.name}: no tenant {job.tenant}; there is {names(site.tenants)}"
    if not 0 < job.gpus <= pool.gpus:
        return f"job {job.name}: {job.gpus} GPUs of pool {pool.name}, which has {pool.gpus}"
    return ""


def names(items: Iterable[_Named]) -> str:
    return ", ".join(item.name for item in items)
