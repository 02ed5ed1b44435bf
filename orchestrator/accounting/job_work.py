"""How far jobs are: by the progress that they serve, and from there on, or where they serve none, by the GPUs that they
are given and the time that they run.

Kept up each round, as a value, from what the driver says of a job's time: a round that never came, or a restart of the
controller, is made up for by the next one. What goes on record at a settlement is where the next run goes on from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.domain.observation import Metric, Reading, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import JobPhase, JobView, Workloads


@dataclass(frozen=True, slots=True)
class JobWork:
    """Of one job, up to `elapsed` of its time running."""

    elapsed: timedelta
    """As its driver counts it, over all starts."""
    starts: int
    loading_s: float
    """Of the restart, what the run going on has still to wait before it gets further."""
    gpus: int
    """That it was given."""
    held_gpu_seconds: float
    """GPUs x the time that it surely held them, restarts included: the most that is billed."""
    estimated_gpu_seconds: float
    """Done since `measured_at`, or in all where it was never measured: GPUs given x time running, restarts not counted,
    at the speed that the pool's power limit leaves."""
    measured_gpu_seconds: float | None = None
    """As last read; None where it was never."""
    measured_at: datetime | None = None

    def done_gpu_seconds(self, view: JobView, max_age: timedelta) -> float:
        """As last read, and what is estimated since, up to the whole work. A job that has just begun may not have been
        read yet: for `max_age` after its restart nothing is estimated."""
        estimated = self.estimated_gpu_seconds
        begun = view.phase is JobPhase.RUNNING and self.elapsed <= view.job.restart + max_age
        if self.measured_gpu_seconds is None and begun:
            estimated = 0.0
        return min((self.measured_gpu_seconds or 0.0) + estimated, view.job.work_gpu_seconds)


NEVER_RUN = JobWork(timedelta(0), 0, 0.0, 0, 0.0, 0.0)

Works = Mapping[str, JobWork]
"""By job; of those that ran."""


def follow_jobs(site: Site, works: Works, on_record: Works, workloads: Workloads, telemetry: Telemetry) -> Works:
    """What jobs have done by what is seen now. `on_record` is where a job goes on from that was not followed yet."""
    progress = telemetry.readings(Metric.JOB_PROGRESS)
    speeds = {
        pool.name: pool.throughput(limit.gpu_limit_w)
        for pool in site.pools
        if (limit := workloads.pools.get(pool.name)) is not None
    }
    found: dict[str, JobWork] = {}
    for name, view in workloads.jobs.items():
        before = works.get(name) or on_record.get(name)
        reading = progress.get(name)
        if before is None and reading is None and not view.starts:
            continue
        speed = speeds.get(view.job.pool, 1.0)
        now = _timed(before, view, workloads.at, speed, followed=name in works)
        found[name] = now if reading is None else _measured(now, reading)
    return found


def _timed(before: JobWork | None, view: JobView, at: datetime, speed: float, *, followed: bool) -> JobWork:
    """With the time that the job has run since. Of a job seen to run for the first time it is all its time.

    `followed`: it was seen in the round before, so one thing at most has changed since. From what is on record on, or
    from nothing, it may have been moved any number of times: what can't be told then counts for as little as it can.
    """
    was = before or NEVER_RUN
    runs = view.phase.holds_gpus
    if view.elapsed == was.elapsed and view.starts == was.starts and view.gpus == was.gpus:
        return was if runs or not was.loading_s else replace(was, loading_s=0.0)  # the next run restarts anew
    span_s = max((view.elapsed - was.elapsed).total_seconds(), 0.0)
    least = view.gpus if before is None else min(was.gpus, view.gpus)
    # From `changed_at` on it has what it has now; before that, at least the fewest that it may have had.
    since_s = max((at - view.changed_at).total_seconds(), 0.0)
    recent_s = min(since_s, span_s) if runs else 0.0
    earlier_s = span_s - recent_s
    # Others give it GPUs too, and put no time to it.
    recent_gpus = least if view.starts == was.starts and since_s > span_s else view.gpus
    earlier_gpus = least if followed else min(least, view.job.fewest_gpus)
    restart_s = view.job.restart.total_seconds()
    begun = max(view.starts - was.starts, 0)
    before_s = was.loading_s + restart_s * (begun - 1 if begun and runs else begun)
    waited_s = min(before_s, earlier_s)
    left_s = restart_s if begun and runs else before_s - waited_s if runs else 0.0
    loaded_s = min(left_s, recent_s)
    worked = (earlier_s - waited_s) * earlier_gpus
    if view.phase is JobPhase.RUNNING:  # one that is stopping writes its checkpoint
        worked += (recent_s - loaded_s) * recent_gpus
    return replace(
        was,
        elapsed=view.elapsed,
        starts=view.starts,
        loading_s=left_s - loaded_s,
        gpus=view.gpus,
        held_gpu_seconds=was.held_gpu_seconds + earlier_s * earlier_gpus + recent_s * recent_gpus,
        estimated_gpu_seconds=was.estimated_gpu_seconds + worked * speed,
    )


def _measured(work: JobWork, reading: Reading) -> JobWork:
    """With what was read, where that is new: nothing is estimated beside it."""
    value, at = reading.believed, reading.at
    if value is None or at is None or (work.measured_at is not None and at <= work.measured_at):
        return work
    return replace(work, estimated_gpu_seconds=0.0, measured_gpu_seconds=max(value, 0.0), measured_at=at)
