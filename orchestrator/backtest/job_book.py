"""The jobs of a backtest: what each has done, earned and lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from orchestrator.domain.site import Site
from orchestrator.domain.units import SECONDS_PER_HOUR
from orchestrator.planning.columns import Flags, Floats, Ints, JobColumns, Phase, Sla

DONE_S = 1e-6
"""GPU-seconds that are no work left, by rounding."""


@dataclass(frozen=True, slots=True)
class Workload:
    """All jobs of the period, in order of submission. Times are unix seconds, work GPU-seconds."""

    names: Sequence[str]
    pool: Ints
    tenant: Ints
    """Row of the tenant in the site file."""
    sla: Ints
    gpus: Ints
    least_gpus: Ints
    step_gpus: Ints
    work_s: Floats
    submitted_at: Floats
    deadline: Floats
    """+inf where there is none."""
    until: Floats
    """When the tenant withdraws the job, whatever has become of it."""
    restart_s: Floats
    usd_per_gpu_h: Floats
    credit_share: Floats

    def __len__(self) -> int:
        return len(self.pool)


class Outcome(IntEnum):
    """What became of a job's promise."""

    OPEN = 0
    ON_TIME = 1
    LATE = 2
    WITHDRAWN = 3


@dataclass(frozen=True, slots=True)
class JobsSettled:
    """What the jobs did in one interval; arrays have a row for each job that ran or was credited."""

    rows: Ints
    """Rows of the workload."""
    gpus: Ints
    it_kw: Floats
    """Mean over the interval, above idle."""
    gpu_hours: Floats
    revenue_usd: Floats
    credit_usd: Floats


class JobBook:
    """Jobs start and stop at the starts of intervals; one that ends in between frees its GPUs for the next."""

    def __init__(self, site: Site, workload: Workload) -> None:
        count = len(workload)
        self.workload = workload
        self.phase = np.full(count, Phase.WAITING, dtype=np.int64)
        self.on_gpus = workload.gpus.copy()
        self.done_s = np.zeros(count)
        self.restart_left_s = np.zeros(count)
        self.changed_at = workload.submitted_at.copy()
        self.interrupted_at = np.full(count, -np.inf)
        self.starts = np.zeros(count, dtype=np.int64)
        self.interruptions = np.zeros(count, dtype=np.int64)
        self.outcome = np.full(count, Outcome.OPEN, dtype=np.int64)
        self.credited_usd = np.zeros(count)
        self.open = np.empty(0, dtype=np.int64)
        """Rows of the jobs that are submitted and have not ended."""
        self._rise_kw = np.array([(pool.gpu_power_w - pool.gpu_idle_w) / 1000.0 for pool in site.pools])
        """Of one GPU, by pool."""
        self._submitted = 0

    def begin(self, at_s: float) -> bool:
        """Jobs submitted by `at_s` come in, those withdrawn by then go; whether any came."""
        workload = self.workload
        until = int(np.searchsorted(workload.submitted_at, at_s, side="right"))
        came = np.arange(self._submitted, until)
        self._submitted = until
        if len(came):
            self.open = np.concatenate([self.open, came])
        gone = workload.until[self.open] <= at_s
        if gone.any():
            rows = self.open[gone]
            undone = rows[self.outcome[rows] == Outcome.OPEN]
            self.outcome[undone] = Outcome.WITHDRAWN
            self.open = self.open[~gone]
        return bool(len(came))

    def columns(self) -> JobColumns:
        """Of the open jobs, in the order of `open`."""
        workload, rows = self.workload, self.open
        return JobColumns(
            pool=workload.pool[rows],
            tenant=workload.tenant[rows],
            sla=workload.sla[rows],
            phase=self.phase[rows],
            held=np.zeros(len(rows), dtype=np.bool_),
            gpus=workload.gpus[rows],
            least_gpus=workload.least_gpus[rows],
            step_gpus=workload.step_gpus[rows],
            on_gpus=self.on_gpus[rows],
            work_s=workload.work_s[rows],
            left_s=workload.work_s[rows] - self.done_s[rows],
            submitted_at=workload.submitted_at[rows],
            changed_at=self.changed_at[rows],
            deadline=workload.deadline[rows],
            restart_s=workload.restart_s[rows],
            interrupted_at=self.interrupted_at[rows],
            usd_per_gpu_h=workload.usd_per_gpu_h[rows],
            credit_share=workload.credit_share[rows],
        )

    def move(self, gpus: Ints, at_s: float) -> tuple[int, Floats]:
        """Let the open jobs run on `gpus` GPUs each, 0 for none.

        Returns how many running jobs were stopped, and the credit in USD, by open job, for guaranteed ones among them.
        """
        rows, workload = self.open, self.workload
        running = self.phase[rows] == Phase.RUNNING
        stop, start = running & (gpus == 0), ~running & (gpus > 0)
        resized = running & (gpus > 0) & (gpus != self.on_gpus[rows])
        stopped, started, changed = rows[stop], rows[start], rows[resized]
        self.phase[stopped] = Phase.PAUSED
        self.interruptions[stopped] += 1
        self.interrupted_at[stopped] = at_s
        self.phase[started] = Phase.RUNNING
        self.starts[started] += 1
        again = np.concatenate([started, changed])
        self.restart_left_s[again] = workload.restart_s[again]
        self.on_gpus[again] = np.concatenate([gpus[start], gpus[resized]])
        self.changed_at[np.concatenate([stopped, again])] = at_s
        credit = np.zeros(len(rows))
        broken = stop & (workload.sla[rows] == Sla.GUARANTEED)
        if broken.any():
            whole = workload.credit_share * workload.usd_per_gpu_h * workload.work_s / SECONDS_PER_HOUR
            credit[broken] = whole[rows[broken]] - self.credited_usd[rows[broken]]
            self.credited_usd[rows[broken]] += credit[broken]
        return len(stopped), credit

    def settle(self, at_s: float, interval_s: float, credit_usd: Floats) -> JobsSettled:
        """Let an interval go by; `credit_usd`, by open job, is what stopping at its start was credited."""
        rows, workload = self.open, self.workload
        running = self.phase[rows] == Phase.RUNNING
        gpus = np.where(running, self.on_gpus[rows], 0)
        left_s = workload.work_s[rows] - self.done_s[rows]
        restart_s = np.minimum(self.restart_left_s[rows], interval_s)
        need_s = np.where(running, left_s / np.maximum(gpus, 1), 0.0)
        run_s = np.where(running, np.minimum(interval_s - restart_s, need_s), 0.0)
        ended = running & (need_s <= interval_s - restart_s + DONE_S)
        active_s = np.where(ended, restart_s + run_s, np.where(running, interval_s, 0.0))
        done_s = run_s * gpus
        self.done_s[rows] += done_s
        self.restart_left_s[rows] = np.where(running, self.restart_left_s[rows] - restart_s, 0.0)
        credit_usd = credit_usd + self._late(rows, at_s, interval_s, restart_s, run_s, gpus, left_s)
        self._end(rows[ended], at_s + active_s[ended])
        self.open = rows[~ended]
        shown = running | (credit_usd > 0.0)
        return JobsSettled(
            rows=rows[shown],
            gpus=gpus[shown],
            it_kw=(gpus * self._rise_kw[workload.pool[rows]] * active_s / interval_s)[shown],
            gpu_hours=done_s[shown] / SECONDS_PER_HOUR,
            revenue_usd=(done_s * workload.usd_per_gpu_h[rows])[shown] / SECONDS_PER_HOUR,
            credit_usd=credit_usd[shown],
        )

    def _late(
        self,
        rows: Ints,
        at_s: float,
        interval_s: float,
        restart_s: Floats,
        run_s: Floats,
        gpus: Ints,
        left_s: Floats,
    ) -> Floats:
        """Credits, by open job, for deadlines that pass in the interval: pro rata to the work not done by then."""
        workload = self.workload
        deadline = workload.deadline[rows]
        due: Flags = (deadline > at_s) & (deadline <= at_s + interval_s) & (self.outcome[rows] == Outcome.OPEN)
        if not due.any():
            return np.zeros(len(rows))
        before_s = np.clip(deadline - at_s - restart_s, 0.0, run_s)
        undone_s = np.where(due, left_s - before_s * gpus, 0.0)
        late = due & (undone_s > DONE_S)
        self.outcome[rows[late]] = Outcome.LATE
        most = workload.credit_share[rows] * workload.usd_per_gpu_h[rows] * workload.work_s[rows] / SECONDS_PER_HOUR
        usd = workload.credit_share[rows] * workload.usd_per_gpu_h[rows] * undone_s / SECONDS_PER_HOUR
        credit = np.where(late, np.minimum(usd, most - self.credited_usd[rows]), 0.0)
        self.credited_usd[rows] += credit
        return credit

    def _end(self, rows: Ints, at_s: Floats) -> None:
        in_time = self.outcome[rows] == Outcome.OPEN
        self.outcome[rows[in_time]] = Outcome.ON_TIME
        self.done_s[rows] = self.workload.work_s[rows]
        self.changed_at[rows] = at_s
