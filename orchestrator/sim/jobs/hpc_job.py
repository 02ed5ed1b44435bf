"""Program: one simulated HPC job of a run directory (docs/mock-site.md).

Exits 0 when its work is done, 3 after SIGTERM with its checkpoint written.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.sim.agent import Agent
from orchestrator.sim.jobs.job_program import STOPPED, TTL_S, JobProgram, Spec, ask_nodes


class PlacedGpus:
    """The GPUs that the job's spec names, from the exporters of their nodes."""

    def __init__(self, endpoints: Path, job: str, tenant: str, placement: Mapping[str, list[int]]) -> None:
        self._endpoints = endpoints
        self._job = job
        self._tenant = tenant
        self._placement = placement
        self._told: set[str] = set()

    def beat(self, utilisation: float) -> float:
        claims: dict[str, dict[str, list[int]]] = {}
        for node, gpus in self._placement.items():
            try:
                claims.setdefault((self._endpoints / node).read_text().strip(), {})[node] = gpus
            except FileNotFoundError:
                return 0.0  # its exporter is not up yet
        throughput = 1.0
        for url, nodes in claims.items():
            body = {"gpus": nodes, "tenant": self._tenant, "utilisation": utilisation, "ttl_s": TTL_S}
            answer = ask_nodes(url, self._job, "PUT", body)
            self._told.add(url)
            throughput = min(throughput, float(answer["throughput"])) if answer else 0.0
        return throughput

    def release(self) -> None:
        for url in self._told:
            ask_nodes(url, self._job, "DELETE", None)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hpc_job", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)

    try:
        return _run(Agent(options.run, options.job, "hpc"), options.run, options.job, options.port)
    except FileNotFoundError:
        if options.run.exists():
            raise
        return STOPPED  # the whole site is gone


def _run(agent: Agent, run: Path, job: str, port: int) -> int:
    folder = run / "jobs" / job
    document: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    spec = Spec(
        tenant=str(document["tenant"]),
        gpus=int(document["gpus"]),
        work_gpu_seconds=float(document["work_gpu_seconds"]),
        checkpoint_every_s=float(document["checkpoint_every_s"]),
        restart_s=float(document["restart_s"]),
    )
    placement = {str(node): [int(gpu) for gpu in gpus] for node, gpus in document["placement"].items()}
    gpus = PlacedGpus(run / "endpoints", job, spec.tenant, placement)
    program = JobProgram(agent.clock, job, spec, gpus, folder / "checkpoint.json")
    agent.serve(program, port)
    wait_s = 0.0
    while agent.alive(wait_s):
        wait_s = program.step()
        if program.model.finished_at is not None:
            program.release()
            agent.leave()
            return 0
    program.stop()
    program.release()
    return 0 if program.model.finished_at is not None else STOPPED


if __name__ == "__main__":
    raise SystemExit(main())
