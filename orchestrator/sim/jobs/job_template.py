"""The Job that a simulated tenant creates: an operator's template with one job's figures put into it."""

import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from orchestrator.domain.work import Job

PREFIX = "wattshift.dev/"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "wattshift-tenants"
POD_START = timedelta(seconds=60)
"""Real time that a deadline allows for the scheduler and the start of a pod, which no time-lapse shortens."""

Document = dict[str, Any]


class TemplateError(ValueError):
    """A file that is no usable Job; the text names file, key and what is needed."""


def read_template(path: Path) -> Document:
    """The Job in a YAML or JSON file; TemplateError if a part that is filled in is not there."""
    try:
        document = YAML(typ="safe").load(path.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise TemplateError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != ("batch/v1", "Job"):
        raise TemplateError(f"{path}: needs apiVersion: batch/v1 and kind: Job")
    try:
        spec = document["spec"]
        containers, ttl_s = spec["template"]["spec"]["containers"], spec.get("ttlSecondsAfterFinished")
        first = containers[0]["name"]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TemplateError(f"{path}: spec.template.spec.containers needs a named container: {error!r}") from error
    if not isinstance(ttl_s, int):
        raise TemplateError(f"{path}: spec.ttlSecondsAfterFinished needs seconds, or finished Jobs would never go")
    if not isinstance(containers[0].get("args", []), list):
        raise TemplateError(f"{path}: args of container {first} needs a list")
    return document


def time_lapsed(job: Job, speed: float) -> Job:
    """The job with every span of time `speed` times as short, from its submission on."""
    return Job(
        name=job.name,
        tenant=job.tenant,
        pool=job.pool,
        gpus=job.gpus,
        work_gpu_seconds=job.work_gpu_seconds / speed,
        submitted_at=job.submitted_at,
        deadline=job.submitted_at + (job.deadline - job.submitted_at) / speed if job.deadline is not None else None,
        checkpoint_every=max(job.checkpoint_every / speed, timedelta(seconds=1)),
        restart=max(job.restart / speed, timedelta(seconds=1)),
    )


def filled(template: Document, job: Job, sla_class: str, created_at: datetime) -> Document:
    """A suspended Job of `job`'s name. `{pool}` in an argument of the template is the pool's name."""
    document: Document = copy.deepcopy(template)
    annotations = {
        "pool": job.pool,
        "gpus": str(job.gpus),
        "gpu-seconds": f"{job.work_gpu_seconds:.0f}",
        "checkpoint-every": f"{job.checkpoint_every.total_seconds():.0f}",
        "restart": f"{job.restart.total_seconds():.0f}",
        "sla-class": sla_class,
    }
    if job.deadline is not None:
        deadline = created_at + (job.deadline - job.submitted_at) + POD_START
        annotations["deadline"] = f"{deadline:%Y-%m-%dT%H:%M:%SZ}"
    metadata = document.setdefault("metadata", {})
    metadata["name"] = job.name
    labels = {f"{PREFIX}tenant": job.tenant, MANAGED_BY: MANAGER}
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    prefixed = {f"{PREFIX}{key}": value for key, value in annotations.items()}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **prefixed}
    document["spec"]["suspend"] = True
    container = document["spec"]["template"]["spec"]["containers"][0]
    figures = {
        "--job": job.name,
        "--tenant": job.tenant,
        "--gpus": str(job.gpus),
        "--work-gpu-seconds": annotations["gpu-seconds"],
        "--checkpoint-every-s": annotations["checkpoint-every"],
        "--restart-s": annotations["restart"],
    }
    given = [str(argument).replace("{pool}", job.pool) for argument in container.get("args") or []]
    container["args"] = [*given, *(text for option in figures.items() for text in option)]
    return document


def unfinished(job: Document) -> bool:
    """Whether the Job of the cluster may still run."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return not any(entry["type"] in ("Complete", "Failed") and entry["status"] == "True" for entry in conditions)
