"""Promises that a plan can't keep: which, why, and what it would take, in figures."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from orchestrator.optimizer.problem import Problem

Floats = NDArray[np.float64]

DONE = 1e-6
"""Hours of work that are rounding."""


class Promise(StrEnum):
    DEADLINE = "deadline"
    GUARANTEED_START = "guaranteed_start"
    CAP = "cap"
    GPUS = "gpus"


class Cause(StrEnum):
    """Why it can't be kept."""

    GUARANTEED = "guaranteed"
    """Guaranteed jobs that run take more than there is."""
    HELD = "held"
    """Other guaranteed jobs hold what it needs."""
    POOL = "pool"
    """It asks for more GPUs than its pool ever has."""
    CAPS = "caps"
    """It would draw more power than the caps ever leave."""
    TIME = "time"
    """It needs more hours than are left till its deadline."""
    WORTH = "worth"
    """What it needs is worth more to others, or held by them."""

    @property
    def proven(self) -> bool:
        """So whatever is planned: figures of site and job say it. The rest hang on where a plan has its jobs."""
        return self not in {Cause.HELD, Cause.WORTH}


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """One promise, and what it would take to keep it; what does not apply is 0."""

    kind: Promise
    subject: object
    """The job's key; of a pool without enough GPUs its row; of a cap the feeder's row, None: the grid connection."""
    step: int
    """The first step in which it shows."""
    cause: Cause
    needs: float = 0.0
    """By a guaranteed start, GPUs; by a deadline, hours."""
    has_h: float = 0.0
    """Hours till its deadline."""
    kw: float = 0.0
    """IT power more."""
    gpus: float = 0.0
    hours: float = 0.0
    """Time more: on all of the job's GPUs for a deadline, else for how long power or GPUs lack."""


@dataclass(frozen=True, slots=True)
class _MustRun:
    gpus: Floats
    """(G, T) of guaranteed jobs that run."""
    feeder_kw: Floats
    """(K, T)"""


def _must_run(problem: Problem) -> _MustRun:
    supply, tasks = problem.supply, problem.tasks
    rows = np.nonzero(tasks.guaranteed & tasks.running & (tasks.last > tasks.first) & (tasks.left_h > 0.0))[0]
    end = np.minimum(np.ceil(tasks.left_h[rows] / supply.step_h - 1e-9).astype(np.int64), tasks.last[rows])
    change = np.zeros((len(supply.gpus), problem.steps + 1))
    np.add.at(change, (tasks.pool[rows], tasks.first[rows]), tasks.gpus[rows])
    np.add.at(change, (tasks.pool[rows], end), -tasks.gpus[rows])
    gpus = np.cumsum(change, axis=1)[:, :-1]
    feeder_kw = np.zeros_like(supply.feeder_kw)
    np.add.at(feeder_kw, supply.pool_feeder, gpus * supply.gpu_kw[:, None])
    return _MustRun(gpus, feeder_kw)


def with_room_for_promises(problem: Problem) -> Problem:
    """The same problem, its caps and pools raised to what guaranteed jobs that run take, where they are below."""
    supply, must = problem.supply, _must_run(problem)
    return replace(
        problem,
        supply=supply._replace(
            gpus=np.maximum(supply.gpus, must.gpus),
            import_kw=np.maximum(supply.import_kw, must.feeder_kw.sum(axis=0)),
            feeder_kw=np.maximum(supply.feeder_kw, must.feeder_kw),
        ),
    )


def broken_promises(problem: Problem, job_gpus: NDArray[np.int32], in_time_h: Floats) -> tuple[BrokenPromise, ...]:
    """Of a plan that places jobs so, `in_time_h` (J,) of each before its deadline; in the order caps, pools, jobs."""
    return (*_caps(problem), *_jobs(problem, job_gpus, in_time_h))


def _caps(problem: Problem) -> list[BrokenPromise]:
    supply, must = problem.supply, _must_run(problem)
    broken = []
    over: list[tuple[int | None, Floats]] = [(None, must.feeder_kw.sum(axis=0) - supply.import_kw)]
    over.extend((row, must.feeder_kw[row] - supply.feeder_kw[row]) for row in range(len(supply.feeder_kw)))
    for feeder, kw in over:
        if kw.max(initial=0.0) > DONE:
            broken.append(
                BrokenPromise(
                    Promise.CAP,
                    feeder,
                    int(np.argmax(kw > DONE)),
                    Cause.GUARANTEED,
                    kw=float(kw.max()),
                    hours=float((kw > DONE).sum()) * supply.step_h,
                )
            )
    for row in range(len(supply.gpus)):
        gpus = must.gpus[row] - supply.gpus[row]
        if gpus.max(initial=0.0) > DONE:
            broken.append(
                BrokenPromise(
                    Promise.GPUS,
                    row,
                    int(np.argmax(gpus > DONE)),
                    Cause.GUARANTEED,
                    gpus=float(gpus.max()),
                    hours=float((gpus > DONE).sum()) * supply.step_h,
                )
            )
    return broken


def _jobs(problem: Problem, job_gpus: NDArray[np.int32], in_time_h: Floats) -> list[BrokenPromise]:
    supply, tasks = problem.supply, problem.tasks
    broken = []
    open_rows = (tasks.last > tasks.first) & (tasks.left_h > 0.0)
    for row in np.nonzero(tasks.guaranteed & open_rows & ~tasks.running & (job_gpus.sum(axis=1) == 0))[0].tolist():
        pool = tasks.pool[row]
        room_kw = np.minimum(supply.import_kw, supply.feeder_kw[supply.pool_feeder[pool]])
        lacks_kw = tasks.gpus[row] * supply.gpu_kw[pool] - float(room_kw.max())
        lacks = tasks.gpus[row] - float(supply.gpus[pool].max())
        cause = Cause.POOL if lacks > 0.0 else Cause.CAPS if lacks_kw > 0.0 else Cause.HELD
        broken.append(
            BrokenPromise(
                Promise.GUARANTEED_START,
                problem.job_keys[row],
                int(tasks.first[row]),
                cause,
                needs=float(tasks.gpus[row]),
                kw=max(lacks_kw, 0.0),
                gpus=max(lacks, 0.0) if lacks > 0.0 or lacks_kw > 0.0 else float(tasks.gpus[row]),
                hours=float(tasks.left_h[row]),
            )
        )
    missing = tasks.left_h - in_time_h
    due = (missing > DONE) & open_rows & (tasks.credit_usd_per_gpu_h > 0.0) & (tasks.deadline <= problem.steps)
    for row in np.nonzero(due)[0].tolist():
        time_h = (float(tasks.deadline[row]) - float(tasks.first[row])) * supply.step_h
        need_h = float(tasks.left_h[row]) + (0.0 if tasks.running[row] else float(tasks.restart_h[row]))
        broken.append(
            BrokenPromise(
                Promise.DEADLINE,
                problem.job_keys[row],
                max(int(tasks.deadline[row]), 0),
                Cause.TIME if need_h > time_h else Cause.WORTH,
                needs=need_h,
                has_h=max(time_h, 0.0),
                kw=float(tasks.gpus[row] * supply.gpu_kw[tasks.pool[row]]),
                gpus=float(tasks.gpus[row]),
                hours=float(missing[row]),
            )
        )
    return broken
