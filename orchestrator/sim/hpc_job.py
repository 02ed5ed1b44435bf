"""Program: one simulated HPC job. Keeps its GPUs busy, makes progress, checkpoints, resumes (docs/mock-site.md).

Exits 0 when its work is done, 3 after SIGTERM with its checkpoint written.
"""

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.sim.agent import Agent, log, write_atomically
from orchestrator.sim.job_model import JobModel

STOPPED = 3
"""Exit code after SIGTERM."""
BEAT_S = 0.5
"""Between heartbeats, on the wall."""
TTL_S = 3.0
"""On the wall: GPUs without a heartbeat for this long are taken back."""


@dataclass(frozen=True, slots=True)
class Spec:
    tenant: str
    gpus: int
    work_gpu_seconds: float
    checkpoint_every_s: float
    restart_s: float
    placement: Mapping[str, list[int]]


def read_spec(path: Path) -> Spec:
    document: dict[str, Any] = json.loads(path.read_text())
    return Spec(
        tenant=str(document["tenant"]),
        gpus=int(document["gpus"]),
        work_gpu_seconds=float(document["work_gpu_seconds"]),
        checkpoint_every_s=float(document["checkpoint_every_s"]),
        restart_s=float(document["restart_s"]),
        placement={str(node): [int(gpu) for gpu in gpus] for node, gpus in document["placement"].items()},
    )


def read_checkpoint(path: Path) -> float:
    """GPU seconds done; 0 if there is no checkpoint."""
    try:
        return float(json.loads(path.read_text())["done_gpu_seconds"])
    except FileNotFoundError:
        return 0.0


class JobProgram(Collector):
    """The job's process: model, heartbeats, checkpoint file, metrics."""

    def __init__(self, agent: Agent, run: Path, job: str) -> None:
        self._agent = agent
        self._job = job
        self._endpoints = run / "endpoints"
        self._checkpoint_file = run / "jobs" / job / "checkpoint.json"
        self._spec = read_spec(run / "jobs" / job / "spec.json")
        self.model = JobModel(
            gpus=self._spec.gpus,
            work_gpu_seconds=self._spec.work_gpu_seconds,
            checkpoint_every_s=self._spec.checkpoint_every_s,
            restart_s=self._spec.restart_s,
            checkpoint_gpu_seconds=read_checkpoint(self._checkpoint_file),
            at=agent.now().timestamp(),
        )
        self._on_disk_gpu_seconds = self.model.checkpoint_gpu_seconds
        self._throughput = 0.0
        self._beat_wall = time.time()
        """The last heartbeat that all nodes took."""
        self._told: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        with self._agent.lock:
            self._advance()
            done, kept = self.model.done_gpu_seconds, self._on_disk_gpu_seconds
        for name, value, text in (
            ("hpc_job_progress_gpu_seconds", done, "Work done."),
            ("hpc_job_checkpoint_gpu_seconds", kept, "Work that the last checkpoint holds."),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["job", "tenant"])
            gauge.add_metric([self._job, self._spec.tenant], value)
            yield gauge

    def step(self) -> float:
        """Go on until now and beat; returns seconds on the wall until the next step."""
        with self._agent.lock:
            self._advance()
            utilisation = self.model.utilisation
        if self.model.finished_at is None:
            throughput = self._beat(utilisation)
            with self._agent.lock:
                self._advance()
                self._throughput = throughput
        if self.model.finished_at is not None or self.model.checkpoint_gpu_seconds != self._on_disk_gpu_seconds:
            self.write_checkpoint()
        left_s = self.model.changes_at(self._throughput) - self._agent.now().timestamp()
        return min(BEAT_S, max(left_s / self._agent.clock.speed, 0.01)) if math.isfinite(left_s) else BEAT_S

    def stop(self) -> None:
        """Checkpoint what is done until now."""
        with self._agent.lock:
            self._advance()
            self.model.checkpoint()
        self.write_checkpoint()

    def write_checkpoint(self) -> None:
        with self._agent.lock:
            kept, at, finished = (
                self.model.checkpoint_gpu_seconds,
                self.model.checkpoint_at,
                self.model.finished_at is not None,
            )
        document = {
            "done_gpu_seconds": kept,
            "at": datetime.fromtimestamp(at, UTC).isoformat(),
            "finished": finished,
        }
        write_atomically(self._checkpoint_file, json.dumps(document))
        self._on_disk_gpu_seconds = kept  # only now may the metric say so

    def release(self) -> None:
        """Give the GPUs back."""
        for url in self._told:
            self._request(url, "DELETE", None)

    def _advance(self) -> None:
        """To now; without a heartbeat the GPUs were ours for the time to live only."""
        ours_until = self._agent.clock.at(self._beat_wall + TTL_S)
        now = self._agent.now()
        self.model.advance(min(now, ours_until).timestamp(), self._throughput)
        self.model.advance(now.timestamp(), 0.0)

    def _beat(self, utilisation: float) -> float:
        """Claim the GPUs from every exporter; returns the throughput they give, 0 if one of them does not."""
        claims: dict[str, dict[str, list[int]]] = {}
        for node, gpus in self._spec.placement.items():
            try:
                claims.setdefault((self._endpoints / node).read_text().strip(), {})[node] = gpus
            except FileNotFoundError:
                return 0.0  # its exporter is not up yet
        throughput = 1.0
        for url, nodes in claims.items():
            body = {"gpus": nodes, "tenant": self._spec.tenant, "utilisation": utilisation, "ttl_s": TTL_S}
            answer = self._request(url, "PUT", body)
            self._told.add(url)
            throughput = min(throughput, float(answer["throughput"])) if answer else 0.0
        if throughput > 0.0:
            self._beat_wall = time.time()
        return throughput

    def _request(self, url: str, method: str, body: object) -> dict[str, Any] | None:
        """The exporter's answer; None if it refuses or does not answer."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=2.0)
        try:
            connection.request(method, f"/jobs/{self._job}", json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            text = response.read()
            if response.status == 200:
                answer: dict[str, Any] = json.loads(text)
                return answer
            if response.status != 204:
                log.warning("job %s: %s answers %d %s", self._job, url, response.status, text.decode(errors="replace"))
        except (OSError, HTTPException, ValueError) as error:
            log.warning("job %s: %s does not answer: %s", self._job, url, error)
        finally:
            connection.close()
        return None


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
    program = JobProgram(agent, run, job)
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
