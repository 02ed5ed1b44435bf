"""What runs, as the workload driver sees it: racks of fleets, jobs, power limits of pools."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.gpus import GpuPool


@dataclass(frozen=True, slots=True)
class Job:
    """A tenant's job: `gpus` GPUs of one pool until `work_gpu_seconds` are done."""

    name: str
    tenant: str
    pool: str
    gpus: int
    work_gpu_seconds: float
    submitted_at: datetime
    deadline: datetime | None
    checkpoint_every: timedelta
    restart: timedelta
    """From start to progress: pulling, loading the checkpoint."""
    min_gpus: int | None = None
    """An elastic job also runs on fewer GPUs, down to this many; None: on all or none."""
    gpu_step: int | None = None
    """By how many GPUs an elastic job grows and shrinks: those of one of its pods."""

    @property
    def elastic(self) -> bool:
        return self.min_gpus is not None and self.gpu_step is not None and self.min_gpus < self.gpus

    @property
    def fewest_gpus(self) -> int:
        """That it runs on."""
        return self.min_gpus if self.min_gpus is not None and self.elastic else self.gpus

    @property
    def run_time(self) -> timedelta:
        """Time at full power, without restarts."""
        return timedelta(seconds=self.work_gpu_seconds / self.gpus)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a job asked for when it came, known when it is gone too: jobs to come are told from those that came."""

    pool: str
    gpus: int
    run_s: float
    """Time at full power, without restarts."""
    submitted_at: datetime
    seen_at: datetime
    """When it was first seen here. Of jobs that had come before jobs were kept, only those still open are known."""

    @staticmethod
    def of(job: Job, seen_at: datetime) -> "Arrival":
        return Arrival(job.pool, job.gpus, job.run_time.total_seconds(), job.submitted_at, seen_at)


class JobPhase(StrEnum):
    WAITING = "waiting"
    """Submitted, never started."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Asked to stop, writing its checkpoint; its GPUs are still taken."""
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in _ENDED

    @property
    def holds_gpus(self) -> bool:
        return self in _HOLDS_GPUS

    @property
    def may_start(self) -> bool:
        """For the first time, or again."""
        return self in _MAY_START


_ENDED = (JobPhase.SUCCEEDED, JobPhase.FAILED)
_HOLDS_GPUS = (JobPhase.RUNNING, JobPhase.STOPPING)
_MAY_START = (JobPhase.WAITING, JobPhase.PAUSED)


@dataclass(frozen=True, slots=True)
class JobView:
    job: Job
    phase: JobPhase
    changed_at: datetime
    """When `phase` was entered, or the number of its GPUs changed."""
    starts: int
    """How often it was started; the first start included."""
    elapsed: timedelta
    """Real time spent running so far, over all starts."""
    held: str = ""
    """Why it must stay as it is, whatever is decided; empty if it may be moved."""
    given_gpus: int | None = None
    """GPUs that an elastic job was last let run on; None: all."""

    @property
    def gpus(self) -> int:
        """GPUs that it holds while it runs."""
        return self.job.gpus if self.given_gpus is None else self.given_gpus


@dataclass(frozen=True, slots=True)
class FleetView:
    """The accepted setpoint of a fleet. `racks` are those of `rack_modes`, counted."""

    fleet: str
    racks: RackMix
    rack_modes: Mapping[str, str]
    """Each rack's accepted setpoint, by rack name `fleet/rack-n`."""
    last_up_at: datetime
    """When power was last raised."""
    last_down_at: datetime
    """When power was last lowered."""
    last_wake_at: datetime
    """When a rack was last woken: minimum on times count from here, whatever its modes since."""
    last_sleep_at: datetime
    """When a rack was last put to sleep: minimum off times count from here."""
    held: str = ""
    """Why it must stay as it is, whatever is decided; empty if it may be moved."""


@dataclass(frozen=True, slots=True)
class PoolView:
    pool: str
    gpu_limit_w: float
    """The power limit that is set on every GPU of the pool."""


@dataclass(frozen=True, slots=True)
class Workloads:
    """The driver's whole view at one moment. An unsynced view must not be acted on."""

    at: datetime
    synced: bool
    fleets: Mapping[str, FleetView] = field(default_factory=dict)
    jobs: Mapping[str, JobView] = field(default_factory=dict)
    pools: Mapping[str, PoolView] = field(default_factory=dict)
    lapsed_at: datetime | None = None
    """When the lease on the setpoints ran out that nobody has renewed since: agents have put their racks to sleep,
    whatever the setpoints say. None while it holds."""


Placement = Mapping[str, Sequence[int]]
"""GPU indexes by node."""


def free_gpus(pool: GpuPool, taken: Mapping[str, AbstractSet[int]]) -> int:
    """How many GPUs of the pool are in nobody's hands."""
    return sum(map(len, _free(pool, taken).values()))


def place(pool: GpuPool, gpus: int, taken: Mapping[str, AbstractSet[int]]) -> Placement | None:
    """`gpus` free GPUs on as few nodes as first fit finds, emptiest nodes first; None if too few are free."""
    free = _free(pool, taken)
    placement: dict[str, Sequence[int]] = {}
    left = gpus
    for node in sorted(free, key=lambda name: -len(free[name])):
        if left == 0:
            break
        if free[node]:
            placement[node] = free[node][:left]
            left -= len(placement[node])
    return placement if left == 0 else None


def _free(pool: GpuPool, taken: Mapping[str, AbstractSet[int]]) -> dict[str, list[int]]:
    return {
        node: [gpu for gpu in range(pool.gpus_per_node) if gpu not in taken.get(node, frozenset())]
        for node in pool.node_names()
    }
