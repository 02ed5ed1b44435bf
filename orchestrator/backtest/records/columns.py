"""Settled rows as the columns of the records: names for row numbers, what a row says of its interval and its job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.backtest.jobs.submitted import SubmittedJobs
from orchestrator.backtest.records.batch import NONE, JobEnd, Kind, RowBatch
from orchestrator.backtest.result import Floats, Ints, MarketSeries
from orchestrator.domain.site.site import Site
from orchestrator.domain.units import SECONDS_PER_HOUR

KINDS = tuple(kind.name.lower() for kind in Kind if kind is not Kind.CHARGE)
OUTCOMES = tuple(outcome.name.lower() for outcome in JobEnd)


@dataclass(frozen=True, slots=True)
class RecordsPeriod:
    """What the numbers in rows are row numbers of."""

    site: Site
    market: MarketSeries
    workload: SubmittedJobs


def columns_of(period: RecordsPeriod, rows: RowBatch, strategy: str, levels: Sequence[str]) -> dict[str, Any]:
    import pyarrow  # noqa: PLC0415 - an extra, which the writer has asked for

    site, market = period.site, period.market
    at = rows.interval
    start_ms = market.start_s[at] * 1000
    grid_kw = rows.it_kw * market.pue[at]
    kinds = (*KINDS, *(charge.name for charge in site.grid.charges))
    subjects, numbers = _subjects(period, rows)

    def number(values: Floats) -> Any:
        return pyarrow.array(values, from_pandas=True)  # NaN is null

    def time(values: Ints) -> Any:
        return pyarrow.array(values).cast(pyarrow.timestamp("ms", tz="UTC"))

    return {
        "strategy": _named(np.zeros(len(rows), dtype=np.int64), (strategy,).__getitem__),
        "start": time(start_ms),
        "end": time(start_ms + int(market.step.total_seconds() * 1000)),
        "kind": _named(rows.kind + np.where(rows.kind == Kind.CHARGE, rows.subject, 0), kinds.__getitem__),
        "subject": _named(numbers, subjects),
        "tenant": _named(rows.tenant, lambda row: site.tenants[row].name),
        "level": _named(rows.level, levels.__getitem__),
        "gpus": number(rows.gpus),
        "price_usd_per_mwh": number(market.settled_usd_per_mwh[at]),
        "decided_usd_per_mwh": number(market.decided_usd_per_mwh[at]),
        "pue": number(market.pue[at]),
        "hashprice_usd_per_ph_day": number(market.hashprice_usd_per_ph_day[at]),
        "it_kw": number(rows.it_kw),
        "grid_kw": number(grid_kw),
        "energy_kwh": number(grid_kw * market.step_h),
        "hash_ph_days": number(rows.hash_ph_days),
        "gpu_hours": number(rows.gpu_hours),
        "revenue_usd": number(rows.revenue_usd),
        "cost_usd": number(rows.cost_usd),
        "credit_usd": number(rows.credit_usd),
        "starts": pyarrow.array(rows.starts),
        "interruptions": pyarrow.array(rows.interruptions),
        "outcome": _named(rows.outcome, OUTCOMES.__getitem__),
        **_asked(period, rows),
    }


def _asked(period: RecordsPeriod, rows: RowBatch) -> dict[str, Any]:
    """What was asked for with the jobs of job rows, the same in each row of a job; null in other rows."""
    import pyarrow  # noqa: PLC0415 - an extra, which the writer has asked for

    workload = period.workload
    of_job = rows.kind == Kind.JOB
    job = rows.subject[of_job]

    def spread(values: Floats) -> Floats:
        whole = np.full(len(rows), np.nan)
        whole[of_job] = values
        return whole

    def number(values: Floats) -> Any:
        return pyarrow.array(spread(values), from_pandas=True)

    def time(at_s: Floats) -> Any:
        ms = np.where(np.isfinite(at_s), np.round(at_s * 1000.0), np.nan)
        return number(ms).cast(pyarrow.int64()).cast(pyarrow.timestamp("ms", tz="UTC"))

    pool = np.full(len(rows), NONE)
    pool[of_job] = workload.pool[job]
    return {
        "pool": _named(pool, lambda row: period.site.pools[row].name),
        "submitted": time(workload.submitted_at[job]),
        "due": time(workload.deadline[job]),
        "asked_gpus": number(workload.gpus[job].astype(np.float64)),
        "asked_gpu_hours": number(workload.work_gpu_seconds[job] / SECONDS_PER_HOUR),
    }


def _subjects(period: RecordsPeriod, rows: RowBatch) -> tuple[Callable[[int], str], Ints]:
    """Fleets, pools, the site and jobs numbered in one row after the other, and the name of each number."""
    site, workload = period.site, period.workload
    fixed = [fleet.name for fleet in site.fleets] + [pool.name for pool in site.pools] + ["site"]
    offset = np.array([0, len(site.fleets), len(fixed), len(fixed) - 1])[rows.kind]

    def name(number: int) -> str:
        return fixed[number] if number < len(fixed) else workload.name(number - len(fixed), site)

    return name, np.where(rows.kind == Kind.CHARGE, 0, rows.subject) + offset


def _named(numbers: Ints, name: Callable[[int], str]) -> Any:
    """A dictionary array with only the names that occur; NONE is null."""
    import pyarrow  # noqa: PLC0415 - an extra, which the writer has asked for

    used, places = np.unique(numbers, return_inverse=True)
    absent = used == NONE
    indices = pyarrow.array((places - absent.sum()).astype(np.int32), mask=absent[places])
    return pyarrow.DictionaryArray.from_arrays(
        indices, pyarrow.array([name(int(number)) for number in used[~absent]], type=pyarrow.string())
    )
