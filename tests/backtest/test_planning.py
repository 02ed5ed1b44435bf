"""The strategy that plans asks for a plan when the plan policy says that one is due."""

from datetime import UTC, datetime, timedelta
from math import inf

import numpy as np

from orchestrator.backtest.jobs.submitted import submitted_jobs
from orchestrator.backtest.market import FilePriced, market_history
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.series import Series
from orchestrator.backtest.strategies import named
from orchestrator.domain.market import Market, Price
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job

START = datetime(2024, 5, 1, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def constant(value: float) -> Series:
    return Series(at=np.array([0.0]), values=np.array([value]), max_age_s=inf, assumed=value)


def test_intervals_of_five_minutes_share_a_plan_until_it_is_old_or_a_job_comes(site: Site) -> None:
    """Of the twelve intervals of an hour: one in three, and the second, at whose start a job is there."""
    prices = [Price(START + n * FIVE, START + (n + 1) * FIVE, 40.0, Market.REAL_TIME) for n in range(12)]
    history = market_history([FilePriced("prices", prices)], site.stale.price, constant(60.0), constant(20.0))
    tenant = next(tenant.name for tenant in site.tenants if tenant.sla.rules.interruptible)
    job = Job(
        name="one",
        tenant=tenant,
        pool=site.pools[0].name,
        gpus=8,
        work_gpu_seconds=8 * 7200.0,
        submitted_at=START + FIVE,
        deadline=None,
        checkpoint_every=timedelta(minutes=30),
        restart=timedelta(minutes=3),
    )
    for jobs, plans in (((), 4), ((job,), 5)):
        period = Period(site, history, submitted_jobs(site, jobs), 1, {})
        planner = play(period, named("plan")[0], None).planner
        assert planner is not None
        assert planner.plans == plans
        assert planner.worst_age_s == 600.0
