"""The jobs of a backtest: what each has done, earned and lost."""

from dataclasses import dataclass

import numpy as np

from orchestrator.accounting.sla_credits import billed_usd, credited_usd, late_credit_usd, most_credit_usd
from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.records.batch import NONE, JobEnd
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import SECONDS_PER_HOUR
from orchestrator.observe.columns import Flags, Floats, Ints, JobColumns, by_class
from orchestrator.observe.phase import Phase

DONE_S = 1e-6
"""GPU-seconds that are no work left, by rounding."""


@dataclass(frozen=True, slots=True)
class JobsSettled:
    """What the jobs did in one interval: a row for each that held GPUs, was credited or interrupted, or was settled."""

    rows: Ints
    """Rows of the workload."""
    gpus: Floats
    """Mean over the interval."""
    it_kw: Floats
    """Mean over the interval, above idle."""
    gpu_hours: Floats
    revenue_usd: Floats
    credit_usd: Floats
    starts: Ints
    interruptions: Ints
    outcome: Ints
    """As `JobEnd` in the interval in which the job was settled, else NONE."""


class JobBook:
    """Jobs start and stop at the starts of intervals; one that ends in between frees its GPUs for the next."""

    def __init__(self, site: Site, workload: SubmittedJobs) -> None:
        count = len(workload)
        self.workload = workload
        self.usd_per_gpu_h = np.array([tenant.usd_per_gpu_h for tenant in site.tenants])[workload.tenant]
        self.credit_share = np.array([tenant.credit_share for tenant in site.tenants])[workload.tenant]
        self.phase = np.full(count, Phase.WAITING, dtype=np.int64)
        self.on_gpus = workload.gpus.copy()
        self.done_s = np.zeros(count)
        self.restart_left_s = np.zeros(count)
        self.changed_at = workload.submitted_at.copy()
        self.interrupted_at = np.full(count, -np.inf)
        self.outcome = np.full(count, NONE, dtype=np.int64)
        """As `JobEnd`, once the job is settled."""
        self.credited_usd = np.zeros(count)
        self.open = np.empty(0, dtype=np.int64)
        """Rows of the jobs that are submitted and have not ended."""
        self._rise_kw = np.array([pool.gpu_rise_kw for pool in site.pools])
        """Of one GPU, by pool."""
        self._submitted = 0
        self._started = self._stopped = np.empty(0, dtype=np.int64)
        self._withdrawn = np.empty(0, dtype=np.int64)
        self._owed_usd = np.zeros(count)
        """Credits that fell due since the last settlement."""

    def begin(self, at_s: float) -> bool:
        """Jobs submitted by `at_s` come in, those withdrawn by then go; whether any came."""
        workload = self.workload
        until = int(np.searchsorted(workload.submitted_at, at_s, side="right"))
        came = np.arange(self._submitted, until)
        self._submitted = until
        if len(came):
            self.open = np.concatenate([self.open, came])
        gone = workload.until[self.open] <= at_s
        self._withdrawn = self.open[gone]
        self._withdrawn = self._withdrawn[self.outcome[self._withdrawn] == NONE]
        self.outcome[self._withdrawn] = JobEnd.WITHDRAWN
        if gone.any():
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
            least_gpus=workload.gpus[rows],
            step_gpus=workload.gpus[rows],
            on_gpus=self.on_gpus[rows],
            work_s=workload.work_gpu_seconds[rows],
            left_s=workload.work_gpu_seconds[rows] - self.done_s[rows],
            submitted_at=workload.submitted_at[rows],
            changed_at=self.changed_at[rows],
            deadline=workload.deadline[rows],
            restart_s=workload.restart_s[rows],
            interrupted_at=self.interrupted_at[rows],
            usd_per_gpu_h=self.usd_per_gpu_h[rows],
            credit_share=self.credit_share[rows],
        )

    def move(self, gpus: Ints, at_s: float) -> None:
        """Let the open jobs run on `gpus` GPUs each, 0 for none."""
        rows, workload = self.open, self.workload
        running = self.phase[rows] == Phase.RUNNING
        stop, start = running & (gpus == 0), ~running & (gpus > 0)
        resized = running & (gpus > 0) & (gpus != self.on_gpus[rows])
        self._stopped, self._started = rows[stop], rows[start]
        self.phase[self._stopped] = Phase.PAUSED
        self.interrupted_at[self._stopped] = at_s
        self.phase[self._started] = Phase.RUNNING
        again = np.concatenate([self._started, rows[resized]])
        self.restart_left_s[again] = workload.restart_s[again]
        self.on_gpus[again] = np.concatenate([gpus[start], gpus[resized]])
        self.changed_at[np.concatenate([self._stopped, again])] = at_s
        broken = self._stopped[by_class(workload.sla[self._stopped], lambda rules: rules.interruption_credited)]
        self._credit(broken, self._most_usd(broken))

    def settle(self, at_s: float, interval_s: float) -> JobsSettled:
        """Let an interval go by after `begin` and `move`."""
        rows, workload = self.open, self.workload
        running = self.phase[rows] == Phase.RUNNING
        gpus = np.where(running, self.on_gpus[rows], 0)
        left_s = workload.work_gpu_seconds[rows] - self.done_s[rows]
        restart_s = np.minimum(self.restart_left_s[rows], interval_s)
        need_s = np.where(running, left_s / np.maximum(gpus, 1), 0.0)
        run_s = np.where(running, np.minimum(interval_s - restart_s, need_s), 0.0)
        ended = running & (need_s <= interval_s - restart_s + DONE_S)
        active_share = np.where(ended, (restart_s + run_s) / interval_s, running)
        done_s = run_s * gpus
        self.done_s[rows] += done_s
        self.restart_left_s[rows] = np.where(running, self.restart_left_s[rows] - restart_s, 0.0)
        late = self._late(rows, at_s, interval_s, restart_s, run_s, gpus, left_s)
        in_time = rows[ended & (self.outcome[rows] == NONE)]
        self.outcome[in_time] = JobEnd.ON_TIME
        self.open = rows[~ended]

        shown = running | np.isin(rows, np.concatenate([late, self._stopped]))
        told = np.concatenate([rows[shown], self._withdrawn])
        idle = np.zeros(len(self._withdrawn))
        settled = np.concatenate([late, in_time, self._withdrawn])
        credit_usd = self._owed_usd[told]
        self._owed_usd[told] = 0.0
        return JobsSettled(
            rows=told,
            gpus=np.concatenate([(gpus * active_share)[shown], idle]),
            it_kw=np.concatenate([(gpus * self._rise_kw[workload.pool[rows]] * active_share)[shown], idle]),
            gpu_hours=np.concatenate([done_s[shown] / SECONDS_PER_HOUR, idle]),
            revenue_usd=np.concatenate([billed_usd(done_s, self.usd_per_gpu_h[rows])[shown], idle]),
            credit_usd=credit_usd,
            starts=np.isin(told, self._started).astype(np.int64),
            interruptions=np.isin(told, self._stopped).astype(np.int64),
            outcome=np.where(np.isin(told, settled), self.outcome[told], NONE),
        )

    def end(self) -> JobsSettled:
        """What is open when the period ends, as rows that say so; to be told beside the last interval."""
        rows = self.open[self.outcome[self.open] == NONE]
        none, zero = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows))
        return JobsSettled(rows, zero, zero, zero, zero, zero, none, none, np.full(len(rows), JobEnd.OPEN))

    def _late(
        self,
        rows: Ints,
        at_s: float,
        interval_s: float,
        restart_s: Floats,
        run_s: Floats,
        gpus: Ints,
        left_s: Floats,
    ) -> Ints:
        """Rows whose deadline passes in the interval with work left, credited pro rata to what was not done by then."""
        workload = self.workload
        deadline = workload.deadline[rows]
        due: Flags = (deadline > at_s) & (deadline <= at_s + interval_s) & (self.outcome[rows] == NONE)
        if not due.any():
            return rows[due]
        before_s = np.clip(deadline - at_s - restart_s, 0.0, run_s)
        undone_s = np.where(due, left_s - before_s * gpus, 0.0)
        late = undone_s > DONE_S
        missed = rows[late]
        self.outcome[missed] = JobEnd.LATE
        self._credit(missed, late_credit_usd(undone_s[late], self.usd_per_gpu_h[missed], self.credit_share[missed]))
        return missed

    def _most_usd(self, rows: Ints) -> Floats:
        return most_credit_usd(self.workload.work_gpu_seconds[rows], self.usd_per_gpu_h[rows], self.credit_share[rows])

    def _credit(self, rows: Ints, due_usd: Floats) -> None:
        """Credit what is due, as far as the credits of each job go."""
        usd = credited_usd(due_usd, self.credited_usd[rows], self._most_usd(rows))
        self.credited_usd[rows] += usd
        self._owed_usd[rows] += usd
