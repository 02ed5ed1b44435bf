"""A trace of another cluster as jobs of a site's tenants: docs/backtest.md states the rule."""

from dataclasses import dataclass
from datetime import datetime
from math import inf
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from orchestrator.backtest.jobs.submitted import SubmittedJobs, withdrawn_at
from orchestrator.domain.site.site import Site
from orchestrator.domain.sla import SlaClass
from orchestrator.observe.columns import by_class

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOAD = 0.85
"""Share of the site's GPUs that the jobs would keep busy, were each run at once and at full power."""
MOST_JOBS_A_MONTH = 9_000
"""More are not made where fewer, larger ones offer the same load."""
RUN_S = (300.0, 72 * 3600.0)
"""Run times are cut off to this."""
LARGEST_SHARE = 0.25
"""Of its pool that a job may ask for: one that asks for nearly all would wait for ever."""
CLASS_SHARES = {SlaClass.GUARANTEED: 0.3, SlaClass.FLEXIBLE: 0.4, SlaClass.BEST_EFFORT: 0.3}
"""Of the jobs; the classes of a site that has not all of them share in proportion, tenants of a class alike."""
DEADLINE_RUNS = 3.0
DEADLINE_S = 4 * 3600.0
"""A deadline is `DEADLINE_RUNS` run times after submission, but at least the run time and this."""
CHECKPOINT_EVERY_S = 1800.0
RESTART_S = (180.0, 360.0)
COPY_WITHIN_S = 3 * 3600.0
"""A job that is repeated within a week is submitted again up to so much later."""
LEAST_WEEK = 0.1
"""A week that offers less than this share of the work of a mean one is raised as if it offered it."""
RAMP_SHARE = 0.5
"""Whole weeks at a trace's ends that offer less than this share of a mean one's work, weeks weighed by their work, are
left out: the cluster was being filled or emptied, and its few jobs would be repeated in heaps."""
TOLD_REPEATS = 3.0
"""Above this many jobs of each job of the trace it is told: they are less of a mix than their number looks like."""

_WEEK_S = 7 * 86_400.0
_MONTH_S = 365.25 / 12.0 * 86_400.0


@dataclass(frozen=True, slots=True)
class Scaled:
    """A trace made into the jobs of a site."""

    jobs: SubmittedJobs
    notes: tuple[str, ...]
    """What was done to it, a sentence each."""


class ScalingError(ValueError):
    """A site or a demand that a trace cannot be scaled to."""


@dataclass(frozen=True, slots=True)
class TracedJobs:
    """The jobs of a trace, a row for each, in order of submission."""

    submitted_s: Floats
    """On local clocks, from unix time zero on."""
    run_s: Floats
    gpus: Ints
    """Or processors."""
    machine: int | None = None
    """Size of the traced machine in the unit of `gpus`, for a trace of processors."""


def scaled_jobs(
    site: Site,
    traced: TracedJobs,
    start: datetime,
    end: datetime,
    *,
    jobs_a_month: float | None = None,
    load: float = LOAD,
    seed: int = 0,
) -> Scaled:
    """The jobs of a trace from `start` to `end`, the same for the same arguments.

    Raises ScalingError for a site without pools or tenants.
    """
    if not site.pools or not site.tenants:
        raise ScalingError(f"{site.name} has no GPU pool or no tenant: a trace needs both")
    site_gpus = sum(pool.gpus for pool in site.pools)
    submitted_s, run_s = traced.submitted_s, np.clip(traced.run_s, *RUN_S)
    size = traced.gpus.astype(np.float64)
    if traced.machine is not None:
        size = np.maximum(size * min(site_gpus / traced.machine, 1.0), 1.0)
    offset = start.astimezone(ZoneInfo(site.timezone)).utcoffset()
    assert offset is not None, "a time zone has an offset at every time"
    begin_s, end_s = start.timestamp() + offset.total_seconds(), end.timestamp() + offset.total_seconds()
    steady = _steady(submitted_s, np.maximum(size, 1.0) * run_s)
    submitted_s, run_s, size = submitted_s[steady], run_s[steady], size[steady]
    row, at = _tiled(submitted_s, begin_s, end_s)
    span_s = end_s - begin_s
    wanted = load * site_gpus * span_s
    cap = np.maximum(np.floor(LARGEST_SHARE * np.array([pool.gpus for pool in site.pools])), 1.0)
    count = _count(run_s, size, float(cap.max()), wanted, span_s, jobs_a_month)
    row, at, copy = _levelled(row, at, np.maximum(size, 1.0) * run_s, (begin_s, end_s), count, seed)
    inside = (at >= begin_s) & (at < end_s)
    row, at, copy = row[inside], at[inside], copy[inside]
    order = np.argsort(at, kind="stable")
    row, at, copy = row[order], at[order], copy[order]
    # A job is drawn for by its row in the trace, its turn and its copy, so that more jobs do not change the others.
    key = _mixed(
        _mixed(row.astype(np.uint64)) ^ np.floor(at).astype(np.uint64) ^ (copy.astype(np.uint64) << np.uint64(40))
    )
    pool = _drawn(key, "pool", seed, np.array([float(of.gpus) for of in site.pools]))
    tenant = _drawn(key, "tenant", seed, _tenant_shares(site))
    asked, ran = _sized(size[row], run_s[row], cap[pool], wanted, _uniform(key, "gpus", seed))
    work = asked * ran
    sla = np.array([of.sla.number for of in site.tenants], dtype=np.int64)[tenant]
    submitted_at = np.round(at - offset.total_seconds())
    due = submitted_at + np.round(np.maximum(DEADLINE_RUNS * ran, ran + DEADLINE_S))
    deadline = np.where(by_class(sla, lambda rules: rules.time_promised), due, inf)
    jobs = SubmittedJobs(
        pool=pool,
        tenant=tenant,
        sla=sla,
        gpus=asked.astype(np.int64),
        work_gpu_seconds=work,
        submitted_at=submitted_at,
        deadline=deadline,
        until=withdrawn_at(submitted_at, deadline),
        restart_s=np.round(RESTART_S[0] + (RESTART_S[1] - RESTART_S[0]) * _uniform(key, "restart", seed)),
        checkpoint_every_s=np.full(len(at), CHECKPOINT_EVERY_S),
    )
    return Scaled(jobs, _notes(jobs, row, size[row], site_gpus, span_s, cap[pool]))


def _steady(submitted_s: Floats, work: Floats) -> slice:
    """The rows without the ramps at both ends; all of a trace of which one week or less would be left."""
    week = (submitted_s // _WEEK_S - submitted_s[0] // _WEEK_S).astype(np.int64)
    offered = np.bincount(week, weights=work)
    full = np.flatnonzero(offered >= RAMP_SHARE * np.average(offered, weights=offered))
    if full[-1] - full[0] < 1:
        return slice(0, len(week))
    return slice(int(np.searchsorted(week, full[0])), int(np.searchsorted(week, full[-1], side="right")))


def _tiled(submitted_s: Floats, begin_s: float, end_s: float) -> tuple[Ints, Floats]:
    """Rows of the trace and their local times, the trace repeated in whole weeks (days, if shorter) over the period.

    The time of the week is kept, and the week of the trace's first job falls on that of the period's begin.
    """
    span_s = float(submitted_s[-1] - submitted_s[0])
    unit_s = _WEEK_S if span_s >= 6 * 86_400.0 else 86_400.0
    cycle_s = (span_s // unit_s + 1.0) * unit_s
    first_s = begin_s // unit_s * unit_s - submitted_s[0] // unit_s * unit_s
    turns = np.arange(-1, (end_s - begin_s) // cycle_s + 2)
    at = (submitted_s + first_s)[np.newaxis, :] + turns[:, np.newaxis] * cycle_s
    row = np.broadcast_to(np.arange(len(submitted_s)), at.shape)
    inside = (at >= begin_s) & (at < end_s)
    return row[inside], at[inside]


def _count(run_s: Floats, size: Floats, cap: float, wanted: float, span_s: float, jobs_a_month: float | None) -> float:
    """How many jobs the period has: as asked, or as many as offer the load, up to the most."""
    if jobs_a_month is not None:
        return jobs_a_month * span_s / _MONTH_S
    mean = float((np.clip(np.rint(size), 1.0, cap) * run_s).mean())
    return min(wanted / mean, MOST_JOBS_A_MONTH * span_s / _MONTH_S)


def _levelled(
    row: Ints, at: Floats, work: Floats, period: tuple[float, float], count: float, seed: int
) -> tuple[Ints, Floats, Ints]:
    """The rows thinned out or repeated to `count` jobs, so that each week of the period offers about the same work.

    `work` is that of each row of the trace. Gives rows, times, and which copy of its row each is.
    """
    week = ((at - period[0]) // _WEEK_S).astype(np.int64)
    span_s = period[1] - period[0]
    weeks = int(np.ceil(span_s / _WEEK_S))
    length = np.minimum(_WEEK_S, span_s - _WEEK_S * np.arange(weeks)) / span_s
    offered = np.bincount(week, weights=work[row], minlength=weeks)
    if not len(row):
        return row, at, row
    raised = length / np.maximum(offered, LEAST_WEEK * float(work[row].sum()) * length)
    times = raised[week] * count / max(float(raised[week].sum()), 1e-300)
    key = _mixed(_mixed(row.astype(np.uint64)) ^ np.floor(at).astype(np.uint64))
    copies = np.floor(times + _uniform(key, "copies", seed)).astype(np.int64)
    copy = np.arange(int(copies.sum())) - np.repeat(np.cumsum(copies) - copies, copies)
    row, at, key = np.repeat(row, copies), np.repeat(at, copies), np.repeat(key, copies)
    later_s = COPY_WITHIN_S * _uniform(key ^ copy.astype(np.uint64), "later", seed)
    return row, at + np.where(copy > 0, later_s, 0.0), copy


def _sized(size: Floats, run_s: Floats, cap: Floats, wanted: float, drawn: Floats) -> tuple[Floats, Floats]:
    """GPUs of each job, scaled by one factor so that all together are the work wanted (GPU-seconds).

    A fraction of a GPU is rounded up or down by `drawn`, in proportion. Where each job on one GPU is more work
    already, run times are shortened by one factor instead.
    """

    def asked(factor: float) -> Floats:
        return np.clip(np.floor(size * factor + drawn), 1.0, cap)

    work = float(run_s.sum())
    if work >= wanted:
        return np.ones(len(size)), np.maximum(run_s * wanted / work, RUN_S[0])
    low, high = 0.0, 1.0
    while high < 1e6 and float((asked(high) * run_s).sum()) < wanted:
        high *= 2.0
    for _ in range(40):
        middle = (low + high) / 2.0
        if float((asked(middle) * run_s).sum()) < wanted:
            low = middle
        else:
            high = middle
    return asked(high), run_s


def _tenant_shares(site: Site) -> Floats:
    alike = {sla: sum(tenant.sla is sla for tenant in site.tenants) for sla in SlaClass}
    return np.array([CLASS_SHARES[tenant.sla] / alike[tenant.sla] for tenant in site.tenants])


def _drawn(key: NDArray[np.uint64], purpose: str, seed: int, shares: Floats) -> Ints:
    """A row for each key, in proportion to `shares`."""
    bounds = np.cumsum(shares / shares.sum())
    drawn = np.searchsorted(bounds, _uniform(key, purpose, seed), side="right")
    return np.minimum(drawn, len(shares) - 1).astype(np.int64)


def _uniform(key: NDArray[np.uint64], purpose: str, seed: int) -> Floats:
    """Numbers from 0 to below 1, one a key: the same in every version of every library."""
    salt = int.from_bytes(f"{purpose}/{seed}".encode().rjust(16, b"\0"), "big") % 2**64
    salt ^= seed * 0x9E3779B97F4A7C15 % 2**64
    return (_mixed(key ^ np.uint64(salt)) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _notes(jobs: SubmittedJobs, row: Ints, size: Floats, site_gpus: int, span_s: float, cap: Floats) -> tuple[str, ...]:
    if not len(jobs):
        return ("trace: no job of it falls into the period",)
    offered = float(jobs.work_gpu_seconds.sum()) / (site_gpus * span_s)
    factor = float(jobs.gpus.sum() / size.sum())
    notes = [
        f"trace: {len(jobs)} jobs ({len(jobs) * _MONTH_S / span_s:.0f} a month), {jobs.gpus.mean():.1f} GPUs and "
        f"{jobs.run_s.mean() / 3600.0:.1f} h each on average; GPUs per job {factor:.2f} times the trace's; run at "
        f"once and at full power they would keep {100.0 * offered:.0f} % of the site's {site_gpus} GPUs busy"
    ]
    used = len(np.unique(row))
    if len(jobs) > TOLD_REPEATS * used:
        notes.append(
            f"trace: {used} of its jobs {'is' if used == 1 else 'are'} used to make these, each "
            f"{len(jobs) / used:.1f} times on average"
        )
    if capped := int((jobs.gpus >= cap).sum()):
        notes.append(f"trace: {capped} jobs ask for {100.0 * LARGEST_SHARE:.0f} % of their pool, the most that one may")
    return tuple(notes)
