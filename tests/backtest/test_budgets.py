"""Interruptions in any hour, and the hours in which they were beyond a tenant's budget: counted again from records."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from orchestrator.backtest.play import Period, play
from orchestrator.backtest.records.batch import NONE, Kind, RowBatch
from orchestrator.backtest.strategies import named
from orchestrator.backtest.tally import Tally
from orchestrator.domain.site.site import Site
from tests.backtest.test_bound import history
from tests.backtest.test_engine import market, workload


def over_budget(records: Path, site: Site) -> dict[str, tuple[int, int]]:
    """By tenant: most interruptions in an hour, and hours over budget, of those that end with an interval's start."""
    rows = pyarrow.parquet.read_table(records).to_pylist()
    starts = sorted({row["start"] for row in rows})
    stopped: Counter[tuple[str, datetime]] = Counter()
    for row in rows:
        if row["interruptions"] and row["kind"] == "job":
            stopped[row["tenant"], row["start"]] += row["interruptions"]
    found = {}
    for tenant in site.tenants:
        within = [
            sum(stopped[tenant.name, at] for at in starts if end - timedelta(hours=1) < at <= end) for end in starts
        ]
        found[tenant.name] = max(within), sum(count > tenant.interruptions_per_hour for count in within)
    return found


@pytest.mark.parametrize("strategy", ["always-on", "greedy"])
def test_hours_over_budget_are_those_of_the_records(strategy: str, tmp_path: Path, site: Site) -> None:
    """More guaranteed jobs than there is room for beside the others: they take GPUs whatever the budgets say."""
    site = replace(site, tenants=tuple(replace(tenant, interruptions_per_hour=1) for tenant in site.tenants))
    period = Period(site, history([40.0] * 40), workload(site, 150, 3, 40), 3, {})
    result = play(period, named(strategy)[0], tmp_path / "out.parquet")
    counted = {outcome.tenant: (outcome.most_in_an_hour, outcome.windows_over_budget) for outcome in result.outcomes}
    assert counted == over_budget(tmp_path / "out.parquet", site)
    assert result.windows_over_budget == sum(over for _, over in counted.values()) > 0


def test_an_hour_has_four_quarters(site: Site) -> None:
    """A budget of 2: at 0, 15 and 45 minutes one each are three within the hour till 45; at 60 the first is out."""
    tenant = replace(site.tenants[1], interruptions_per_hour=2)
    site = replace(site, tenants=(tenant,))
    quarters = np.array([0, 1, 3, 4, 8])
    count = len(quarters)
    zeros, numbers = np.zeros(count), np.zeros(count, dtype=np.int64)
    tally = Tally(site, market(*[40.0] * 9))
    tally.add(
        RowBatch(
            interval=quarters,
            kind=np.full(count, Kind.JOB),
            subject=np.arange(count),
            tenant=numbers,
            level=np.full(count, NONE),
            gpus=zeros,
            it_kw=zeros,
            hash_ph_days=zeros,
            gpu_hours=zeros,
            revenue_usd=zeros,
            cost_usd=zeros,
            credit_usd=zeros,
            starts=numbers,
            interruptions=np.ones(count, dtype=np.int64),
            outcome=np.full(count, NONE),
        )
    )
    (outcome,) = tally.outcomes()
    assert (outcome.interruptions, outcome.most_in_an_hour, outcome.windows_over_budget) == (5, 3, 2)
