"""A simulated GPU node: power of its GPUs by the jobs on them and the power limit, advanced by explicit time.

GPUs settle in milliseconds, so power is constant between two changes and counters are kept in closed form: only a
change costs anything, and only as much as the node has GPUs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from orchestrator.domain.site.gpus import GpuPool
from orchestrator.sim.spread import Spread

GPU_IDLE_C = 32.0
GPU_LOAD_RISE_C = 42.0
"""A GPU's temperature idle, and its rise at full power."""


@dataclass(frozen=True, slots=True)
class GpuReport:
    power_w: float
    energy_j: float
    utilisation: float
    """0 to 1."""
    temperature_c: float
    job: str | None


class NodeModel:
    """One node of `pool` from `at` (unix seconds of site time) on, idle, at the full power limit."""

    def __init__(self, host: str, pool: GpuPool, at: float, spread: Spread | None = None) -> None:
        self.host = host
        self.limit_w = pool.gpu_power_w
        self.gpu_power_w = 0.0
        """Sum over the node's GPUs."""
        self._pool = pool
        self._at = at
        low, high = (spread or Spread()).gpu_power
        self._share = [
            low + (high - low) * crc32(f"{host}:{gpu}".encode()) / 0xFFFFFFFF for gpu in range(pool.gpus_per_node)
        ]
        self._jobs: dict[str, tuple[tuple[int, ...], float]] = {}
        self._job_on: list[str | None] = [None] * pool.gpus_per_node
        self._power_w = [pool.gpu_idle_w] * pool.gpus_per_node
        self._energy_j = [0.0] * pool.gpus_per_node
        self._node_j = 0.0
        self._settle(at)

    @property
    def power_w(self) -> float:
        """The whole node: GPUs and everything else in it."""
        return self._pool.node_overhead_w + self.gpu_power_w

    def energy_j(self, at: float) -> float:
        """Drawn by the whole node until `at`, which is not before the last change."""
        return self._node_j + self.power_w * max(at - self._at, 0.0)

    def set_limit(self, gpu_limit_w: float, at: float) -> None:
        """Power limit of every GPU, kept to what the GPU accepts."""
        limit_w = min(max(gpu_limit_w, self._pool.gpu_min_power_w), self._pool.gpu_power_w)
        if limit_w != self.limit_w:
            self._count(at)
            self.limit_w = limit_w
            self._settle(at)

    def holder(self, gpus: Sequence[int], besides: str) -> str | None:
        """A job other than `besides` that holds one of `gpus`."""
        return next((job for gpu in gpus if (job := self._job_on[gpu]) not in (None, besides)), None)

    def run(self, job: str, gpus: Sequence[int], utilisation: float, at: float) -> None:
        """Let `job` keep `gpus` busy from `at` on; replaces what it held here before."""
        claim = (tuple(gpus), utilisation)
        if self._jobs.get(job) == claim:
            return
        self._count(at)
        self._jobs[job] = claim
        self._settle(at)

    def free(self, job: str, at: float) -> None:
        """Take `job` off the node."""
        if job in self._jobs:
            self._count(at)
            del self._jobs[job]
            self._settle(at)

    def gpus(self, at: float) -> list[GpuReport]:
        """Every GPU at `at`, by index."""
        since_s = max(at - self._at, 0.0)
        return [
            GpuReport(
                power_w=self._power_w[gpu],
                energy_j=self._energy_j[gpu] + self._power_w[gpu] * since_s,
                utilisation=self._jobs[job][1] if job is not None else 0.0,
                temperature_c=GPU_IDLE_C + GPU_LOAD_RISE_C * self._power_w[gpu] / self._pool.gpu_power_w,
                job=job,
            )
            for gpu, job in enumerate(self._job_on)
        ]

    def _count(self, at: float) -> None:
        """Add what was drawn until `at` to the counters."""
        since_s = max(at - self._at, 0.0)
        self._node_j += self.power_w * since_s
        for gpu, power_w in enumerate(self._power_w):
            self._energy_j[gpu] += power_w * since_s

    def _settle(self, at: float) -> None:
        """Work out power from the jobs and the limit."""
        idle_w = self._pool.gpu_idle_w
        self._power_w = [idle_w] * len(self._power_w)
        self._job_on = [None] * len(self._job_on)
        for job, (gpus, utilisation) in self._jobs.items():
            for gpu in gpus:
                self._power_w[gpu] = idle_w + max(self.limit_w * self._share[gpu] - idle_w, 0.0) * utilisation
                self._job_on[gpu] = job
        self.gpu_power_w = sum(self._power_w)
        self._at = max(at, self._at)
