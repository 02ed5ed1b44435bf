"""A row of simulated GPU nodes of one pool: DCGM's and Kepler's metrics, and the jobs' claims of GPUs.

A job claims its GPUs by `PUT /jobs/<job>` and keeps them by repeating it before `ttl_s` (wall) is over; `DELETE`
gives them back. A job that was killed stops beating, so its GPUs fall to idle (docs/mock-site.md).
"""

import argparse
import json
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIEnvironment

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.clock import SiteClock
from orchestrator.domain.site.gpus import GpuPool
from orchestrator.domain.work import Placement, place
from orchestrator.sim.gpus.gpu_node import NodeModel
from orchestrator.sim.metrics_server import Refused, body_of, refuse_method

DCGM_LABELS = ("gpu", "UUID", "modelName", "Hostname", "namespace", "pod", "container")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a job asks for: named GPUs, or a number of them that the row places by itself."""

    tenant: str
    gpus: Placement | int
    utilisation: float
    ttl_s: float


class NodeRow(Collector):
    """The nodes of one exporter and the jobs that hold GPUs on them."""

    def __init__(self, clock: SiteClock, pool: GpuPool, hosts: Sequence[str]) -> None:
        self._clock = clock
        self._pool = pool
        self._lock = threading.Lock()
        at = self._at()
        self._nodes = {host: NodeModel(host, pool, at) for host in hosts}
        self._limit_w = pool.gpu_power_w
        self._tenants: dict[str, str] = {}
        self._held: dict[str, Placement] = {}
        self._expires_wall: dict[str, float] = {}

    def set_limit(self, gpu_limit_w: float) -> None:
        with self._lock:
            at = self._at()
            for node in self._nodes.values():
                node.set_limit(gpu_limit_w, at)
                self._limit_w = node.limit_w

    def claim(self, job: str, claim: Claim) -> dict[str, object]:
        """Give the job its GPUs, or keep them for it; Refused if they are another's, none of ours, or too many."""
        with self._lock:
            gpus = self._place(job, claim.gpus) if isinstance(claim.gpus, int) else claim.gpus
            self._check(job, gpus)
            at = self._at()
            for host, node in self._nodes.items():
                if gpus.get(host):
                    node.run(job, gpus[host], claim.utilisation, at)
                else:
                    node.free(job, at)
            self._tenants[job] = claim.tenant
            self._held[job] = gpus
            self._expires_wall[job] = time.time() + claim.ttl_s
            answer: dict[str, object] = {
                "gpu_limit_w": self._limit_w,
                "throughput": self._pool.throughput(self._limit_w),
            }
            return answer | ({"gpus": gpus} if isinstance(claim.gpus, int) else {})

    def _check(self, job: str, claimed: Placement) -> None:
        for host, gpus in claimed.items():
            if host not in self._nodes:
                raise Refused("404 Not Found", f"no node {host} here; there is {', '.join(self._nodes)}")
            if not set(gpus) <= set(range(self._pool.gpus_per_node)):
                raise Refused("404 Not Found", f"{host} has GPUs 0 to {self._pool.gpus_per_node - 1}, not {gpus}")
            holder = self._nodes[host].holder(gpus, besides=job)
            if holder is not None:
                raise Refused("409 Conflict", f"GPUs of {host} are held by job {holder}")

    def _place(self, job: str, count: int) -> Placement:
        """The GPUs that the job has already, or `count` free ones."""
        held = self._held.get(job)
        if held is not None and sum(len(gpus) for gpus in held.values()) == count:
            return held
        taken: dict[str, set[int]] = {}
        for other, placement in self._held.items():
            for host, gpus in placement.items() if other != job else ():
                taken.setdefault(host, set()).update(gpus)
        placed = place(self._pool, count, taken)
        if placed is None:
            total, name = self._pool.gpus, self._pool.name
            free = total - sum(len(gpus) for gpus in taken.values())
            raise Refused("409 Conflict", f"job {job} needs {count} GPUs; {free} of {total} of pool {name} are free")
        return placed

    def release(self, job: str) -> None:
        with self._lock:
            self._release(job)

    def expire(self) -> None:
        """Take back the GPUs of jobs whose heartbeat has lapsed."""
        with self._lock:
            for job in [job for job, wall in self._expires_wall.items() if wall < time.time()]:
                self._release(job)

    def drawn(self) -> tuple[float, float]:
        """Power of all nodes together now, W, and their energy so far, J."""
        with self._lock:
            nodes, at = self._nodes.values(), self._at()
            return sum(node.power_w for node in nodes), sum(node.energy_j(at) for node in nodes)

    def _release(self, job: str) -> None:
        self._expires_wall.pop(job, None)
        self._tenants.pop(job, None)
        self._held.pop(job, None)
        for node in self._nodes.values():
            node.free(job, self._at())

    def _at(self) -> float:
        return self._clock.at(time.time()).timestamp()

    def collect(self) -> Iterable[Metric]:
        power = _dcgm("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", "gauge")
        # DCGM's name has no _total, which prometheus_client would put on a counter: hence untyped.
        energy = _dcgm("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the exporter started (in mJ).", "unknown")
        busy = _dcgm("DCGM_FI_DEV_GPU_UTIL", "GPU utilisation (in %).", "gauge")
        heat = _dcgm("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", "gauge")
        limit = _dcgm("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit (in W).", "gauge")
        watts = GaugeMetricFamily("kepler_platform_watts", "Power of the node.", labels=["Hostname", "pool"])
        joules = CounterMetricFamily("kepler_node_platform_joules", "Energy of the node.", labels=["Hostname", "pool"])
        with self._lock:
            at = self._at()
            tenants = dict(self._tenants)
            rows = [(node, node.power_w, node.energy_j(at), node.gpus(at)) for node in self._nodes.values()]
        for node, power_w, energy_j, gpus in rows:
            watts.add_metric([node.host, self._pool.name], power_w)
            joules.add_metric([node.host, self._pool.name], energy_j)
            for number, gpu in enumerate(gpus):
                job = gpu.job or ""
                labels = dict(
                    zip(
                        DCGM_LABELS,
                        (
                            str(number),
                            f"GPU-{node.host}-{number}",
                            self._pool.gpu_model,
                            node.host,
                            tenants.get(job, ""),
                            job,
                            "main" if job else "",
                        ),
                        strict=True,
                    )
                )
                power.add_sample(power.name, labels, gpu.power_w)
                energy.add_sample(energy.name, labels, round(gpu.energy_j * 1000.0))
                busy.add_sample(busy.name, labels, round(gpu.utilisation * 100.0))
                heat.add_sample(heat.name, labels, round(gpu.temperature_c))
                limit.add_sample(limit.name, labels, node.limit_w)
        yield from (power, energy, busy, heat, limit, watts, joules)


def _dcgm(name: str, text: str, kind: str) -> Metric:
    return Metric(name, text, kind)


def answer_job(row: NodeRow, environ: WSGIEnvironment) -> object:
    """`PUT` and `DELETE /jobs/<job>`."""
    job = str(environ.get("PATH_INFO", "")).removeprefix("/jobs").strip("/")
    if not job:
        raise Refused("404 Not Found", "needs the job's name: /jobs/<job>")
    if environ["REQUEST_METHOD"] == "PUT":
        return row.claim(job, _parse_claim(body_of(environ)))
    if environ["REQUEST_METHOD"] != "DELETE":
        refuse_method(environ, "PUT, DELETE")
    row.release(job)
    return None


def _parse_claim(body: bytes) -> Claim:
    try:
        document: dict[str, Any] = json.loads(body)
        by_number = "count" in document
        claim = Claim(
            tenant=str(document["tenant"]),
            gpus=int(document["count"]) if by_number else _placement(document["gpus"]),
            utilisation=float(document["utilisation"]),
            ttl_s=float(document["ttl_s"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("400 Bad Request", f"needs gpus or count, tenant, utilisation, ttl_s: {error!r}") from error
    if not 0.0 <= claim.utilisation <= 1.0 or not 0.0 < claim.ttl_s < math.inf:
        raise Refused("400 Bad Request", "utilisation is 0 to 1, ttl_s a positive number of seconds")
    if isinstance(claim.gpus, int) and claim.gpus < 1:
        raise Refused("400 Bad Request", f"count is a number of GPUs, 1 or more, not {claim.gpus}")
    return claim


def _placement(gpus: Mapping[object, Iterable[Any]]) -> Placement:
    return {str(host): [int(gpu) for gpu in indexes] for host, indexes in gpus.items()}


def add_pool_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pool", required=True)
    parser.add_argument("--gpus-per-node", type=int, required=True)
    parser.add_argument("--gpu-model", required=True)
    parser.add_argument("--gpu-power-w", type=float, required=True)
    parser.add_argument("--gpu-min-power-w", type=float, required=True)
    parser.add_argument("--gpu-idle-w", type=float, required=True)
    parser.add_argument("--node-overhead-w", type=float, required=True)


def pool_of(options: argparse.Namespace, nodes: int) -> GpuPool:
    """The pool that the options describe, as far as it is here."""
    return GpuPool(
        name=options.pool,
        gpu_model=options.gpu_model,
        feeder="",
        nodes=nodes,
        gpus_per_node=options.gpus_per_node,
        gpu_power_w=options.gpu_power_w,
        gpu_min_power_w=options.gpu_min_power_w,
        gpu_idle_w=options.gpu_idle_w,
        node_overhead_w=options.node_overhead_w,
    )
