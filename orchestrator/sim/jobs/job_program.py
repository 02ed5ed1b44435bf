"""A simulated HPC job as a process: keeps its GPUs busy, makes progress, checkpoints, resumes (docs/mock-site.md)."""

import json
import logging
import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.clock import SiteClock
from orchestrator.sim.atomic_file import write_atomically
from orchestrator.sim.jobs.job_model import JobModel

STOPPED = 3
"""Exit code after SIGTERM: not done, checkpoint written."""
BEAT_S = 0.5
"""Between heartbeats, on the wall."""
TTL_S = 3.0
"""On the wall: GPUs without a heartbeat for this long are taken back."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spec:
    tenant: str
    gpus: int
    work_gpu_seconds: float
    checkpoint_every_s: float
    restart_s: float


class Gpus(Protocol):
    """Where a job has its GPUs from."""

    def beat(self, utilisation: float) -> float:
        """Claim them, or keep them for TTL_S more; the throughput they give, 0 if they are not all ours."""

    def release(self) -> None:
        """Give them back."""


def read_checkpoint(path: Path) -> tuple[float, bool]:
    """GPU seconds done, and whether that is all; 0 if there is no checkpoint. ValueError if it is none."""
    try:
        document = json.loads(path.read_text())
        return float(document["done_gpu_seconds"]), bool(document["finished"])
    except FileNotFoundError:
        return 0.0, False
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not a checkpoint: {error!r}") from error


class JobProgram(Collector):
    """The job's process: model, heartbeats, checkpoint file, metrics."""

    def __init__(self, clock: SiteClock, job: str, spec: Spec, gpus: Gpus, checkpoint_file: Path) -> None:
        self._clock = clock
        self._job = job
        self._spec = spec
        self._gpus = gpus
        self._checkpoint_file = checkpoint_file
        self._lock = threading.Lock()
        """Held by whoever reads or moves the model: the metrics server has its own threads."""
        self.model = JobModel(
            gpus=spec.gpus,
            work_gpu_seconds=spec.work_gpu_seconds,
            checkpoint_every_s=spec.checkpoint_every_s,
            restart_s=spec.restart_s,
            checkpoint_gpu_seconds=read_checkpoint(checkpoint_file)[0],
            at=self._now().timestamp(),
        )
        self._on_disk_gpu_seconds = self.model.checkpoint_gpu_seconds
        self._throughput = 0.0
        self._beat_wall = time.time()
        """The last heartbeat that all nodes took."""

    def collect(self) -> Iterable[Metric]:
        with self._lock:
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
        with self._lock:
            self._advance()
            utilisation = self.model.utilisation
        if self.model.finished_at is None:
            throughput = self._gpus.beat(utilisation)
            if throughput > 0.0:
                self._beat_wall = time.time()
            with self._lock:
                self._advance()
                self._throughput = throughput
        if self.model.finished_at is not None or self.model.checkpoint_gpu_seconds != self._on_disk_gpu_seconds:
            self.write_checkpoint()
        left_s = self.model.changes_at(self._throughput) - self._now().timestamp()
        return min(BEAT_S, max(left_s / self._clock.speed, 0.01)) if math.isfinite(left_s) else BEAT_S

    def stop(self) -> None:
        """Checkpoint what is done until now."""
        with self._lock:
            self._advance()
            self.model.checkpoint()
        self.write_checkpoint()

    def write_checkpoint(self) -> None:
        with self._lock:
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
        self._gpus.release()

    def _now(self) -> datetime:
        return self._clock.at(time.time())

    def _advance(self) -> None:
        """To now; without a heartbeat the GPUs were ours for the time to live only."""
        ours_until = self._clock.at(self._beat_wall + TTL_S)
        now = self._now()
        self.model.advance(min(now, ours_until).timestamp(), self._throughput)
        self.model.advance(now.timestamp(), 0.0)


def ask_nodes(url: str, job: str, method: str, body: object) -> dict[str, Any] | None:
    """What the GPU nodes at `url` answer a job; None if they refuse or do not answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=2.0)
    try:
        connection.request(method, f"/jobs/{job}", json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        text = response.read()
        if response.status == 200:
            answer: dict[str, Any] = json.loads(text)
            return answer
        if response.status != 204:
            log.warning("job %s: %s answers %d %s", job, url, response.status, text.decode(errors="replace"))
    except (OSError, HTTPException, ValueError) as error:
        log.warning("job %s: %s does not answer: %s", job, url, error)
    finally:
        connection.close()
    return None
