"""The benchmark's site: fleets of one rack, one GPU pool, and the objects that it has on a cluster."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.domain.market import PricePolicy
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.site.machines import Fleet, Mode
from orchestrator.domain.site.policies import Controls, StalePolicies
from orchestrator.domain.site.pue import Cooling
from orchestrator.domain.site.site import Feeder, Grid, Site, Tenant
from orchestrator.domain.sla import SlaClass

CHEAP, DEAR = 20.0, 4000.0
"""USD/MWh: everything runs, and only guaranteed jobs do."""
RUNNING_SHARE = 0.2
"""Of the jobs, as many as there are GPUs for; half of these are guaranteed. The others wait for a GPU."""
GPUS_PER_NODE = 8
HASHPRICE_USD_PER_PH_DAY = 61.8
OUTDOOR_C = 20.0
POOL = "h100"
MODE = "normal"


@dataclass(frozen=True, slots=True)
class Size:
    """How many Deployments and Jobs."""

    fleets: int
    jobs: int

    @property
    def gpus(self) -> int:
        """A whole number of nodes; each job takes one GPU."""
        return max(round(self.jobs * RUNNING_SHARE / GPUS_PER_NODE), 1) * GPUS_PER_NODE

    @property
    def guaranteed(self) -> int:
        return min(self.gpus // 2, self.jobs)

    @property
    def running(self) -> int:
        """Jobs that run while power is cheap."""
        return min(self.gpus, self.jobs)


def make_site(size: Size) -> Site:
    """Caps that never bind and no minimum times: the price alone moves everything."""
    fleets = tuple(
        Fleet(
            name=f"fleet-{number:04}",
            model="S21",
            feeder="feeder",
            racks=1,
            machines_per_rack=250,
            modes=(Mode(MODE, 3500.0, 200.0),),
            default_mode=MODE,
            sleep_w=15.0,
            warm_up=timedelta(minutes=1),
            min_on=timedelta(0),
            min_off=timedelta(0),
        )
        for number in range(size.fleets)
    )
    pool = GpuPool(POOL, "H100", "feeder", size.gpus // GPUS_PER_NODE, GPUS_PER_NODE, 700.0, 200.0, 70.0, 3000.0)
    limit_kw = 3.0 * (sum(fleet.nameplate_kw for fleet in fleets) + pool.nameplate_kw)
    return Site(
        name="bench",
        timezone="UTC",
        grid=Grid(limit_kw, 0.01),
        feeders=(Feeder("feeder", limit_kw),),
        cooling=Cooling(((OUTDOOR_C, 1.08),)),
        fleets=fleets,
        pools=(pool,),
        tenants=(
            Tenant("bank", SlaClass.GUARANTEED, 2.9, 1.0, 0),
            Tenant("lab", SlaClass.BEST_EFFORT, 0.3, 0.0, 10**9),
        ),
        stale=StalePolicies(
            price=PricePolicy(timedelta(hours=12), 100.0),
            telemetry_max_age=timedelta(minutes=1),
            temperature_max_age=timedelta(days=1),
            temperature_assume_c=OUTDOOR_C,
            hashprice_max_age=timedelta(days=2),
            hashprice_assume_usd_per_ph_day=HASHPRICE_USD_PER_PH_DAY,
        ),
        controls=Controls(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=1)),
    )


def deployments(site: Site, namespace: str, replicas: int) -> Iterator[dict[str, Any]]:
    """A Deployment a fleet, with as much in its template as an agent's has."""
    for fleet in site.fleets:
        labels = {"app.kubernetes.io/name": "mining-agent", keys.FLEET: fleet.name}
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": fleet.name, "namespace": namespace, "labels": labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod("agent", ["agent", "--fleet", fleet.name])},
            },
        }


def jobs(size: Size, namespace: str) -> Iterator[dict[str, Any]]:
    """The guaranteed and as many best-effort ones as there are GPUs for run; the others are suspended."""
    for number in range(size.jobs):
        tenant = "bank" if number < size.guaranteed else "lab"
        labels = {"app.kubernetes.io/name": "training", keys.TENANT: tenant}
        terms = {keys.POOL: POOL, keys.GPUS: "1", keys.GPU_SECONDS: "100000000", keys.CHECKPOINT_EVERY: "600"}
        yield {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": job_name(number),
                "namespace": namespace,
                "labels": labels,
                "annotations": terms,
            },
            "spec": {
                "suspend": number >= size.running,
                "backoffLimit": 1000,
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {**_pod("train", ["job", "--gpus", "1"]), "restartPolicy": "Never"},
                },
            },
        }


def job_name(number: int) -> str:
    return f"job-{number:05}"


def nodes(count: int) -> Iterator[dict[str, Any]]:
    """Nodes for KWOK, on which nothing but the benchmark's pods is put."""
    for number in range(count):
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"fake-{number}",
                "labels": {"type": "fake"},
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        }


def _pod(container: str, arguments: list[str]) -> dict[str, Any]:
    return {
        "containers": [
            {
                "name": container,
                "image": "wattshift:bench",
                "args": arguments,
                "env": [{"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
            }
        ],
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {"type": "fake"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
    }
