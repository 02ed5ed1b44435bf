"""From what should run to what may be moved now: power-downs at once, power-ups as far as measured room allows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import floor

from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.ramp import FREE, NO_RAMP, Bucket, Ramp, above_a_cap, fewer_racks, in_the_dark
from orchestrator.domain.decision import Direction, LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.headroom import left_beside_kw
from orchestrator.domain.limits import Cap
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, JobStatus, PoolStatus, Snapshot
from orchestrator.domain.target import Kind, Target
from orchestrator.domain.work import JobPhase
from orchestrator.observe.metering.metered_load import load_at


@dataclass(frozen=True, slots=True)
class PlannedMove:
    move: Move
    direction: Direction
    change_kw: float
    """Expected change of grid power."""


@dataclass(frozen=True, slots=True)
class Moves:
    now: tuple[PlannedMove, ...]
    """Power-downs, then the power-ups for which there is measured room, in merit order."""
    waiting: tuple[Target, ...]
    """Whose power-up waits for room to be measured or GPUs to be free."""


def plan_moves(site: Site, snapshot: Snapshot, desired: Desired, ramp: Ramp = NO_RAMP) -> Moves:
    """The moves to send now. A fleet that goes both down and up goes down first and up in a later round.

    No faster than `ramp`, but for what goes down because a cap is exceeded.
    """
    fleets = [target.name for target in desired.changes if target.kind is Kind.FLEET]
    jobs = [target.name for target in desired.changes if target.kind is Kind.JOB]
    downs = [
        *_fleet_downs(snapshot, desired, fleets),
        *_job_downs(snapshot, desired, jobs),
        *_limit_downs(snapshot, desired),
    ]
    going_down = {planned.move.target for planned in downs}
    if ramp.down is not FREE and not above_a_cap(snapshot):
        downs = list(_ramped(snapshot, downs, ramp.down))
    raised = any(desired.gpu_limit_w[name] > pool.gpu_limit_w for name, pool in snapshot.pools.items())
    if not desired.changes and not raised:
        return Moves(now=tuple(downs), waiting=())  # nothing goes up: no need to know the room for it
    room = MeasuredRoom.measured(site, snapshot)
    room.ramp = ramp.up
    ups: list[PlannedMove] = []
    held: list[Target] = []
    # Customers' throttled GPUs get the room before mining does.
    for target in (*(Target.pool(name) for name in snapshot.pools), *desired.order):
        if target in going_down or in_the_dark(snapshot, target):
            continue
        if target.kind is Kind.FLEET:
            planned, wanted = _fleet_up(snapshot, desired, target.name, room)
        elif target.kind is Kind.JOB:
            planned, wanted = _job_up(snapshot.jobs[target.name], snapshot, desired, room)
        else:
            planned, wanted = _limit_up(snapshot.pools[target.name], snapshot, desired, room)
        if planned is not None:
            ups.append(planned)
        if wanted:
            held.append(target)
    return Moves(now=(*downs, *ups), waiting=tuple(held))


@dataclass(slots=True)
class MeasuredRoom:
    """Grid-side kW between what is committed and the caps, and GPUs that nobody holds."""

    grid_kw: float
    feeder_kw: dict[str, float]
    gpus: dict[str, int]
    ramp: Bucket = FREE
    """Whose rate it is filled at; no cap."""

    @staticmethod
    def measured(site: Site, snapshot: Snapshot) -> "MeasuredRoom":
        limits, loads = snapshot.limits, load_at(site, snapshot)

        def left(cap: Cap) -> float:
            return left_beside_kw(limits.usable_kw(cap), loads[cap.at].total_kw)

        grid_kw = left(limits.grid)
        feeder_kw = {feeder.name: left(limits.feeder(feeder.name)) for feeder in site.feeders}
        gpus = {pool.name: pool.gpus for pool in site.pools}
        for job in snapshot.jobs.values():
            if job.view.phase.holds_gpus:
                gpus[job.job.pool] -= job.view.gpus
        return MeasuredRoom(grid_kw, feeder_kw, gpus)

    def units(self, feeder: str, unit_kw: float) -> int:
        if unit_kw <= 0:
            return 1 << 30
        units = max(floor(min(self.grid_kw, self.feeder_kw[feeder]) / unit_kw + 1e-9), 0)
        return min(units, self.ramp.units(unit_kw))

    def take(self, feeder: str, kw: float) -> None:
        self.grid_kw -= kw
        self.feeder_kw[feeder] -= kw
        self.ramp = self.ramp.less(kw)


def _ramped(snapshot: Snapshot, downs: Iterable[PlannedMove], bucket: Bucket) -> Iterator[PlannedMove]:
    """Those that the ramp lets go now, a fleet as far as it does."""
    for planned in downs:
        move = planned.move
        if not isinstance(move, SetFleet):
            if not bucket.units(-planned.change_kw):
                continue
            bucket = bucket.less(-planned.change_kw)
            yield planned
            continue
        status = snapshot.fleets[move.fleet]
        part = fewer_racks(status, move, bucket, snapshot.pue)
        if part is None:
            continue
        change_kw = (status.fleet.setpoint_kw(part.racks) - status.fleet.setpoint_kw(status.view.racks)) * snapshot.pue
        bucket = bucket.less(-change_kw)
        yield replace(planned, move=part, change_kw=change_kw)


def _fleet_downs(snapshot: Snapshot, desired: Desired, names: Iterable[str]) -> Iterator[PlannedMove]:
    for name in names:
        status = snapshot.fleets[name]
        fleet, current = status.fleet, status.view.racks
        racks = current.lowered(fleet, desired.racks[name])
        if racks != current:
            change_kw = (fleet.setpoint_kw(racks) - fleet.setpoint_kw(status.view.racks)) * snapshot.pue
            fewer = 0 < racks.awake < current.awake
            move = SetFleet(name, racks, _least_efficient_first(status) if fewer else ())
            yield PlannedMove(move, Direction.DOWN, change_kw)


def _least_efficient_first(status: FleetStatus) -> tuple[str, ...]:
    """Awake racks by measured J/TH against their mode's nameplate, in whole percents: less is no difference."""
    worse: dict[str, int] = {}
    for rack, efficiency_j_per_th in status.efficiency_j_per_th.items():
        mode = status.view.rack_modes[rack]
        if mode != SLEEP:
            worse[rack] = round((efficiency_j_per_th / status.fleet.mode(mode).efficiency_j_per_th - 1.0) * 100.0)
    return tuple(sorted(worse, key=lambda rack: -worse[rack])) if len(set(worse.values())) > 1 else ()


def _fleet_up(snapshot: Snapshot, desired: Desired, name: str, room: MeasuredRoom) -> tuple[PlannedMove | None, bool]:
    """As many racks up as there is room for, lowest steps first; True when some have to wait."""
    status = snapshot.fleets[name]
    fleet, current, target = status.fleet, status.view.racks, desired.racks[name]
    below = dict(zip((mode.name for mode in fleet.modes), (SLEEP, *(mode.name for mode in fleet.modes)), strict=False))

    def granted(mode: str, wanted: int) -> int:
        unit_kw = (fleet.rack_kw(mode) - fleet.rack_kw(below[mode])) * snapshot.pue
        units = min(wanted, room.units(fleet.feeder, unit_kw))
        room.take(fleet.feeder, units * unit_kw)
        return units

    racks = current.raised(fleet, target, granted)
    waits = racks != racks.raised(fleet, target, lambda mode, wanted: wanted)
    if racks == current:
        return None, waits
    change_kw = (fleet.setpoint_kw(racks) - fleet.setpoint_kw(status.view.racks)) * snapshot.pue
    return PlannedMove(SetFleet(name, racks), Direction.UP, change_kw), waits


def _job_downs(snapshot: Snapshot, desired: Desired, names: Iterable[str]) -> Iterator[PlannedMove]:
    """Jobs to pause, and elastic ones to go on with fewer GPUs."""
    for name in names:
        status = snapshot.jobs[name]
        if status.view.phase is not JobPhase.RUNNING:
            continue
        pool, gpus = snapshot.pools[status.job.pool], desired.jobs.get(name, 0)
        if gpus < status.view.gpus:
            move = RunJob(name, gpus) if gpus else PauseJob(name)
            change_kw = -pool.pool.rise_kw(status.view.gpus - gpus, pool.gpu_limit_w) * snapshot.pue
            yield PlannedMove(move, Direction.DOWN, change_kw)


def _job_up(
    status: JobStatus, snapshot: Snapshot, desired: Desired, room: MeasuredRoom
) -> tuple[PlannedMove | None, bool]:
    """The job on as many of its GPUs as there is room for; True when it has to wait for more."""
    job, view = status.job, status.view
    has = view.gpus if view.phase is JobPhase.RUNNING else 0
    more = desired.jobs.get(job.name, 0) - has
    if more <= 0 or not (has or view.phase.may_start):
        return None, False
    pool = snapshot.pools[job.pool]
    step = (job.gpu_step or job.gpus) if job.elastic else job.gpus
    unit_kw = pool.pool.rise_kw(step, desired.gpu_limit_w[job.pool]) * snapshot.pue
    units = min(more // step, room.gpus[job.pool] // step, room.units(pool.pool.feeder, unit_kw))
    gpus = has + units * step
    least = job.fewest_gpus
    if not units or gpus < least:
        return None, True
    room.gpus[job.pool] -= units * step
    room.take(pool.pool.feeder, units * unit_kw)
    move = RunJob(job.name, gpus if job.elastic else None)
    return PlannedMove(move, Direction.UP, units * unit_kw), gpus < desired.jobs[job.name]


def _limit_change_kw(status: PoolStatus, snapshot: Snapshot, gpu_limit_w: float) -> float:
    """Change of grid power when the jobs now running go to another GPU power limit."""
    return sum(
        status.pool.rise_kw(job.view.gpus, gpu_limit_w) * snapshot.pue
        - status.pool.rise_kw(job.view.gpus, status.gpu_limit_w) * snapshot.pue
        for job in snapshot.jobs.values()
        if job.job.pool == status.pool.name and job.view.phase.holds_gpus
    )


def _limit_downs(snapshot: Snapshot, desired: Desired) -> Iterator[PlannedMove]:
    for name, status in snapshot.pools.items():
        if desired.gpu_limit_w[name] < status.gpu_limit_w:
            limit_w = desired.gpu_limit_w[name]
            yield PlannedMove(LimitGpus(name, limit_w), Direction.DOWN, _limit_change_kw(status, snapshot, limit_w))


def _limit_up(
    status: PoolStatus, snapshot: Snapshot, desired: Desired, room: MeasuredRoom
) -> tuple[PlannedMove | None, bool]:
    limit_w = desired.gpu_limit_w[status.pool.name]
    if limit_w <= status.gpu_limit_w:
        return None, False
    change_kw = _limit_change_kw(status, snapshot, limit_w)
    room_kw = min(room.grid_kw, room.feeder_kw[status.pool.feeder], room.ramp.left_kw)
    if change_kw > max(room_kw, 0.0):  # as far up as there is room for; one that nobody draws by needs none
        raised_w = int((limit_w - status.gpu_limit_w) * max(room_kw, 0.0) / change_kw)
        if raised_w < 1:
            return None, True
        limit_w = status.gpu_limit_w + raised_w
        change_kw = _limit_change_kw(status, snapshot, limit_w)
    room.take(status.pool.feeder, change_kw)
    waits = limit_w < desired.gpu_limit_w[status.pool.name]
    return PlannedMove(LimitGpus(status.pool.name, limit_w), Direction.UP, change_kw), waits
