"""Program: a row of simulated GPU nodes of one pool. Exports DCGM's and Kepler's metrics and takes the jobs' load.

A job claims its GPUs by `PUT /jobs/<job>` and keeps them by repeating it before `ttl_s` (wall) is over; `DELETE`
gives them back. A job that was killed stops beating, so its GPUs fall to idle (docs/mock-site.md).
"""

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.domain.economics import throughput_at_limit
from orchestrator.domain.site import GpuPool
from orchestrator.sim.agent import Agent, write_atomically
from orchestrator.sim.gpu_node import NodeModel

DCGM_LABELS = ("gpu", "UUID", "modelName", "Hostname", "namespace", "pod", "container")
MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Claim:
    tenant: str
    gpus: Mapping[str, Sequence[int]]
    utilisation: float
    ttl_s: float


class Refused(Exception):  # noqa: N818  an answer, not a fault
    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class NodeRow(Collector):
    """The nodes of one exporter and the jobs that hold GPUs on them."""

    def __init__(self, agent: Agent, pool: GpuPool, hosts: Sequence[str]) -> None:
        self._agent = agent
        self._pool = pool
        at = agent.now().timestamp()
        self._nodes = {host: NodeModel(host, pool, at) for host in hosts}
        self._limit_w = pool.gpu_power_w
        self._tenants: dict[str, str] = {}
        self._expires_wall: dict[str, float] = {}

    def set_limit(self, gpu_limit_w: float) -> None:
        with self._agent.lock:
            at = self._agent.now().timestamp()
            for node in self._nodes.values():
                node.set_limit(gpu_limit_w, at)
                self._limit_w = node.limit_w

    def claim(self, job: str, claim: Claim) -> dict[str, float]:
        """Give the job its GPUs, or keep them for it; Refused if they are another's or none of ours."""
        with self._agent.lock:
            for host, gpus in claim.gpus.items():
                if host not in self._nodes:
                    raise Refused("404 Not Found", f"no node {host} here; there is {', '.join(self._nodes)}")
                if not set(gpus) <= set(range(self._pool.gpus_per_node)):
                    raise Refused("404 Not Found", f"{host} has GPUs 0 to {self._pool.gpus_per_node - 1}, not {gpus}")
                holder = self._nodes[host].holder(gpus, besides=job)
                if holder is not None:
                    raise Refused("409 Conflict", f"GPUs of {host} are held by job {holder}")
            at = self._agent.now().timestamp()
            for host, node in self._nodes.items():
                if claim.gpus.get(host):
                    node.run(job, claim.gpus[host], claim.utilisation, at)
                else:
                    node.free(job, at)
            self._tenants[job] = claim.tenant
            self._expires_wall[job] = time.time() + claim.ttl_s
            return {"gpu_limit_w": self._limit_w, "throughput": throughput_at_limit(self._limit_w, self._pool)}

    def release(self, job: str) -> None:
        with self._agent.lock:
            self._release(job)

    def expire(self) -> None:
        """Take back the GPUs of jobs whose heartbeat has lapsed."""
        with self._agent.lock:
            for job in [job for job, wall in self._expires_wall.items() if wall < time.time()]:
                self._release(job)

    def _release(self, job: str) -> None:
        self._expires_wall.pop(job, None)
        self._tenants.pop(job, None)
        for node in self._nodes.values():
            node.free(job, self._agent.now().timestamp())

    def collect(self) -> Iterable[Metric]:
        power = _dcgm("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", "gauge")
        # DCGM's name has no _total, which prometheus_client would put on a counter: hence untyped.
        energy = _dcgm("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the exporter started (in mJ).", "unknown")
        busy = _dcgm("DCGM_FI_DEV_GPU_UTIL", "GPU utilisation (in %).", "gauge")
        heat = _dcgm("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", "gauge")
        limit = _dcgm("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit (in W).", "gauge")
        watts = GaugeMetricFamily("kepler_platform_watts", "Power of the node.", labels=["Hostname", "pool"])
        joules = CounterMetricFamily("kepler_node_platform_joules", "Energy of the node.", labels=["Hostname", "pool"])
        with self._agent.lock:
            at = self._agent.now().timestamp()
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


def jobs_app(row: NodeRow, metrics: WSGIApplication) -> WSGIApplication:
    """`PUT` and `DELETE /jobs/<job>`; everything else is the metrics'."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if not path.startswith("/jobs/"):
            return metrics(environ, start_response)
        job = path.removeprefix("/jobs/")
        status, answer = "200 OK", b""
        try:
            if method == "PUT":
                length = min(int(environ.get("CONTENT_LENGTH") or 0), MAX_BODY_BYTES)
                answer = json.dumps(row.claim(job, _parse_claim(environ["wsgi.input"].read(length)))).encode()
            elif method == "DELETE":
                row.release(job)
                status = "204 No Content"
            else:
                status = "405 Method Not Allowed"
        except Refused as refusal:
            status, answer = refusal.status, json.dumps({"detail": str(refusal)}).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]

    return app


def _parse_claim(body: bytes) -> Claim:
    try:
        document: dict[str, Any] = json.loads(body)
        claim = Claim(
            tenant=str(document["tenant"]),
            gpus={str(host): [int(gpu) for gpu in gpus] for host, gpus in document["gpus"].items()},
            utilisation=float(document["utilisation"]),
            ttl_s=float(document["ttl_s"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("400 Bad Request", f"needs gpus, tenant, utilisation, ttl_s: {error!r}") from error
    if not 0.0 <= claim.utilisation <= 1.0 or not 0.0 < claim.ttl_s < math.inf:
        raise Refused("400 Bad Request", "utilisation is 0 to 1, ttl_s a positive number of seconds")
    return claim


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gpu_exporter", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--nodes", required=True, help="host names, comma separated")
    parser.add_argument("--gpus-per-node", type=int, required=True)
    parser.add_argument("--gpu-model", required=True)
    parser.add_argument("--gpu-power-w", type=float, required=True)
    parser.add_argument("--gpu-min-power-w", type=float, required=True)
    parser.add_argument("--gpu-idle-w", type=float, required=True)
    parser.add_argument("--node-overhead-w", type=float, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)

    hosts = options.nodes.split(",")
    pool = GpuPool(
        name=options.pool,
        gpu_model=options.gpu_model,
        feeder="",
        nodes=len(hosts),
        gpus_per_node=options.gpus_per_node,
        gpu_power_w=options.gpu_power_w,
        gpu_min_power_w=options.gpu_min_power_w,
        gpu_idle_w=options.gpu_idle_w,
        node_overhead_w=options.node_overhead_w,
    )
    agent = Agent(options.run, hosts[0], "gpu")
    row = NodeRow(agent, pool, hosts)
    port = agent.serve(row, options.port, partial(jobs_app, row))
    endpoints = [options.run / "endpoints" / host for host in hosts]
    for endpoint in endpoints:
        write_atomically(endpoint, f"http://127.0.0.1:{port}")
    while agent.alive():
        row.expire()
        if agent.setpoints is not None:
            # A lapsed lease changes nothing here: guaranteed jobs run on at the last power limit.
            row.set_limit(agent.setpoints.gpu_limit_w.get(pool.name, pool.gpu_power_w))
    for endpoint in endpoints:
        endpoint.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
