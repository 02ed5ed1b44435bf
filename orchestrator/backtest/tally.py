"""Adding up settled rows to what a strategy came to, so that series, counts and records are of the same figures."""

import numpy as np
from numpy.typing import NDArray

from orchestrator.backtest.records.batch import JobEnd, Kind, RowBatch
from orchestrator.backtest.result import COLUMNS, Floats, Ints, MarketSeries, SlaOutcome, StrategySeries
from orchestrator.domain.site.site import Site, Tenant
from orchestrator.domain.sla import BUDGET_SPAN


class Tally:
    """Sums of the batches of one strategy so far."""

    def __init__(self, site: Site, market: MarketSeries) -> None:
        self._site = site
        self._market = market
        count = len(market)
        charges = [charge.name for charge in site.grid.charges]
        self._series = {name: np.zeros(count) for name in COLUMNS}
        self._charges = {name: np.zeros(count) for name in charges}
        self._starts = np.zeros(len(site.fleets), dtype=np.int64)
        self._job_starts = 0
        tenants = len(site.tenants)
        self._outcomes = np.zeros((tenants, len(JobEnd)), dtype=np.int64)
        self._interruptions = np.zeros((tenants, count), dtype=np.int64)
        self._gpu_hours = np.zeros(tenants)
        self._credits_usd = np.zeros(tenants)
        self._unpaid_power_usd = np.zeros(tenants)

    def add(self, batch: RowBatch) -> None:
        if not len(batch):
            return
        fleets, jobs = batch.kind == Kind.FLEET, batch.kind == Kind.JOB
        grid_kw = batch.it_kw * self._market.pue[batch.interval]
        first = int(batch.interval.min())
        span = slice(first, int(batch.interval.max()) + 1)
        at = batch.interval - first

        def to(sums: Floats, values: Floats, rows: NDArray[np.bool_]) -> None:
            sums[span] += np.bincount(at[rows], values[rows], span.stop - span.start)

        series = self._series
        every = np.ones(len(batch), dtype=np.bool_)
        to(series["mining_grid_kw"], grid_kw, fleets)
        to(series["hpc_grid_kw"], grid_kw, ~fleets)
        to(series["mining_revenue_usd"], batch.revenue_usd, fleets)
        to(series["hpc_revenue_usd"], batch.revenue_usd, ~fleets)
        to(series["energy_cost_usd"], batch.cost_usd, every)
        for row, sums in enumerate(self._charges.values()):
            to(sums, batch.cost_usd, (batch.kind == Kind.CHARGE) & (batch.subject == row))
        to(series["credits_usd"], batch.credit_usd, every)

        np.add.at(self._starts, batch.subject[fleets], batch.starts[fleets])
        self._job_starts += int(batch.starts[jobs].sum())
        tenant = batch.tenant[jobs]
        np.add.at(self._interruptions, (tenant, batch.interval[jobs]), batch.interruptions[jobs])
        np.add.at(self._gpu_hours, tenant, np.nan_to_num(batch.gpu_hours[jobs]))
        np.add.at(self._credits_usd, tenant, batch.credit_usd[jobs])
        np.add.at(self._unpaid_power_usd, tenant, np.maximum(batch.cost_usd[jobs] - batch.revenue_usd[jobs], 0.0))
        settled = batch.outcome[jobs] >= 0
        np.add.at(self._outcomes, (tenant[settled], batch.outcome[jobs][settled]), 1)

    def series(self) -> StrategySeries:
        charges = {name: values.copy() for name, values in self._charges.items()}
        return StrategySeries(**{name: values.copy() for name, values in self._series.items()}, charges_usd=charges)

    def starts(self) -> dict[str, int]:
        """By fleet, racks woken."""
        return {fleet.name: int(count) for fleet, count in zip(self._site.fleets, self._starts, strict=True)}

    def job_starts(self) -> int:
        return self._job_starts

    def outcomes(self) -> tuple[SlaOutcome, ...]:
        """By tenant, in the order of the site file."""
        in_an_hour = self._in_an_hour()
        return tuple(
            _outcome(
                tenant,
                self._outcomes[row],
                int(self._interruptions[row].sum()),
                in_an_hour[row],
                float(self._gpu_hours[row]),
                float(self._credits_usd[row]),
                float(self._unpaid_power_usd[row]),
            )
            for row, tenant in enumerate(self._site.tenants)
        )

    def _in_an_hour(self) -> Ints:
        """(tenants, N) interruptions at the start of each interval and in the hour before, as budgets count them."""
        start_s = self._market.start_s
        so_far = np.cumsum(self._interruptions, axis=1)
        gone = np.searchsorted(start_s, start_s - BUDGET_SPAN.total_seconds(), side="right")
        before = np.where(gone > 0, so_far[:, np.maximum(gone - 1, 0)], 0)
        return so_far - before


def _outcome(
    tenant: Tenant,
    counts: Ints,
    interruptions: int,
    in_an_hour: Ints,
    gpu_hours: float,
    credit_usd: float,
    unpaid_power_usd: float,
) -> SlaOutcome:
    return SlaOutcome(
        tenant=tenant.name,
        on_time=int(counts[JobEnd.ON_TIME]),
        late=int(counts[JobEnd.LATE]),
        withdrawn=int(counts[JobEnd.WITHDRAWN]),
        failed=int(counts[JobEnd.FAILED]),
        open=int(counts[JobEnd.OPEN]),
        interruptions=interruptions,
        billed_gpu_hours=gpu_hours,
        credits_usd=credit_usd,
        unpaid_power_usd=unpaid_power_usd,
        most_in_an_hour=int(in_an_hour.max(initial=0)),
        windows_over_budget=int((in_an_hour > tenant.interruptions_per_hour).sum()),
    )
