"""The ConfigMap that all agents watch, and the Lease that says until when it holds."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.adapters.workloads.kubernetes.api import Document
from orchestrator.adapters.workloads.kubernetes.times import instant, stamp
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site

KEY = "setpoints.json"
LABELS = {"app.kubernetes.io/name": "wattshift", "app.kubernetes.io/managed-by": "wattshift"}


@dataclass(frozen=True, slots=True)
class ClusterSetpoints:
    """What was accepted. `racks` holds the mode of every rack of the site, `agents` the pod of each that has one."""

    generation: int
    racks: Mapping[str, str]
    agents: Mapping[str, str] = field(default_factory=dict)
    gpu_limit_w: Mapping[str, float] = field(default_factory=dict)

    def same(self, other: "ClusterSetpoints") -> bool:
        """The same but for the generation."""
        return replace(self, generation=0) == replace(other, generation=0)


def asleep(site: Site) -> ClusterSetpoints:
    """A site that was never asked anything: every rack asleep, every GPU at its full power limit."""
    return ClusterSetpoints(
        generation=0,
        racks={rack: SLEEP for _, rack in site.racks()},
        gpu_limit_w={pool.name: pool.gpu_power_w for pool in site.pools},
    )


def read_setpoints(document: Document, site: Site) -> ClusterSetpoints:
    """Those of a ConfigMap; ValueError if it holds none.

    Racks and pools that the site has and the document lacks are asleep and at full limit; those it no longer has, and
    modes a fleet no longer knows, are dropped.
    """
    try:
        content = json.loads(document["data"][KEY])
        racks, limits, agents = content["racks"], content["gpu_limit_w"], content.get("agents", {})
        known = {fleet.name: {SLEEP, *(mode.name for mode in fleet.modes)} for fleet in site.fleets}
        fresh = asleep(site)
        modes = {
            rack: mode if (mode := str(racks.get(rack, SLEEP))) in known[fleet.name] else SLEEP
            for fleet, rack in site.racks()
        }
        gpu_limit_w = {pool: float(limits.get(pool, full)) for pool, full in fresh.gpu_limit_w.items()}
        if not all(math.isfinite(limit) and limit > 0.0 for limit in gpu_limit_w.values()):
            raise ValueError("gpu_limit_w: a power limit is a positive number of watts")
        return ClusterSetpoints(
            generation=int(content["generation"]),
            racks=modes,
            agents={rack: str(pod) for rack, pod in agents.items() if rack in modes},
            gpu_limit_w=gpu_limit_w,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"ConfigMap {document['metadata']['name']} holds no setpoints: {error!r}") from error


def setpoints_object(
    name: str, setpoints: ClusterSetpoints, version: int | None = None, *, lapse_over: timedelta = timedelta(0)
) -> Document:
    """The whole object; with `version`, refused by the server if it has changed since.

    Once the lease is out racks fall asleep over `lapse_over`.
    """
    content = {
        "generation": setpoints.generation,
        "racks": dict(setpoints.racks),
        "agents": dict(setpoints.agents),
        "gpu_limit_w": dict(setpoints.gpu_limit_w),
    }
    if lapse_over:
        content["lapse_over_s"] = lapse_over.total_seconds()
    metadata: Document = {"name": name, "labels": LABELS}
    if version is not None:
        metadata["resourceVersion"] = str(version)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {KEY: json.dumps(content, separators=(",", ":"))},
    }


def lease_end(lease: Document) -> datetime | None:
    """When the lease on the setpoints runs out; None where it does not say."""
    try:
        spec = lease["spec"]
        return instant(spec["renewTime"]) + timedelta(seconds=int(spec["leaseDurationSeconds"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def lease_object(name: str, holder: str, until: datetime, now: datetime) -> Document:
    """The lease on the setpoints: `leaseDurationSeconds` are whole, so `renewTime` takes up the rest."""
    seconds = max(math.ceil((until - now).total_seconds()), 1)
    renewed = until - timedelta(seconds=seconds)
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": LABELS},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": stamp(renewed)},
    }
