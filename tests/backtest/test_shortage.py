"""Power that jobs need against what caps leave: told where it is too little, with figures that can be counted again."""

import re
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from orchestrator.backtest.jobs.shortage import shortages
from orchestrator.backtest.jobs.submitted import submitted_jobs
from orchestrator.backtest.play import Period, play
from orchestrator.backtest.strategies import named
from orchestrator.domain.site.site import Feeder, Site
from orchestrator.domain.work import Job
from tests.backtest.test_bound import history
from tests.backtest.test_engine import START
from tests.sites import small_site

PUE = 1.1
IDLE_KW = PUE * (40 * (1.8 + 8 * 0.07) + 8 * 100 * 0.015)
"""At the grid: a pool of 320 idle GPUs and eight racks asleep."""
ALL_KW = PUE * 320 * 0.63
"""What 320 GPUs at work draw above that."""
USABLE = 1.0 - 0.01 - 0.003
"""Of a cap: less the meter's uncertainty, and what dispatch leaves free."""


def job(name: str, tenant: str, gpus: int, after: timedelta, hours: float) -> Job:
    return Job(
        name=name,
        tenant=tenant,
        pool="h100",
        gpus=gpus,
        work_gpu_seconds=gpus * hours * 3600.0,
        submitted_at=START + after,
        deadline=START + after + timedelta(hours=hours + 0.5),
        checkpoint_every=timedelta(minutes=30),
        restart=timedelta(0),
    )


def period(site: Site) -> Period:
    """Two guaranteed jobs of 160 GPUs, both there from 1:00 to 2:00, over four hours; a flexible one all the time."""
    jobs = [
        job("first", "bank", 160, timedelta(0), 2.0),
        job("second", "bank", 160, timedelta(hours=1), 2.0),
        job("other", "flux", 160, timedelta(0), 4.0),
    ]
    return Period(site, history([40.0] * 16), submitted_jobs(site, jobs), 1, {})


def with_grid(limit_kw: float) -> Site:
    site = small_site()
    return replace(site, grid=replace(site.grid, limit_kw=limit_kw))


def figures(sentence: str) -> list[float]:
    return [float(figure.replace(",", "")) for figure in re.findall(r"([\d,]+) kW", sentence)]


def test_nothing_is_told_where_all_gpus_have_power() -> None:
    assert shortages(period(with_grid((IDLE_KW + ALL_KW) / USABLE + 0.1))) == ()


def test_guaranteed_jobs_beyond_the_grid_cap_are_told_with_what_it_would_take() -> None:
    """There is power for 200 GPUs: for one of the jobs, not for both."""
    limit_kw = (IDLE_KW + ALL_KW * 200 / 320) / USABLE
    promises, power = shortages(period(with_grid(limit_kw)))
    assert promises.startswith("promises that cannot be kept: guaranteed jobs")
    assert "the grid connection" in promises
    at = START.astimezone(UTC) + timedelta(hours=1)
    assert f"in 4 of 16 intervals, from {at:%Y-%m-%dT%H:%MZ} on" in promises
    need_kw, left_kw, more_kw = figures(promises)
    assert need_kw == pytest.approx(ALL_KW, abs=0.5)
    assert left_kw == pytest.approx(ALL_KW * 200 / 320, abs=0.5)
    assert more_kw == pytest.approx(ALL_KW * 120 / 320 / USABLE, abs=0.5)
    assert power.startswith("power for 62% of the GPUs")
    assert "in 16 of 16 intervals" in power


def test_what_it_would_take_is_enough_and_no_less_is() -> None:
    limit_kw = (IDLE_KW + ALL_KW * 200 / 320) / USABLE
    more_kw = figures(shortages(period(with_grid(limit_kw)))[0])[-1]
    assert shortages(period(with_grid(limit_kw + more_kw + 0.6))) == ()
    assert len(shortages(period(with_grid(limit_kw + more_kw - 0.6)))) == 2


def test_where_only_other_jobs_lack_power_no_promise_of_a_start_is_called_broken() -> None:
    site = with_grid((IDLE_KW + ALL_KW * 200 / 320) / USABLE)
    whole = period(site)
    alone = replace(whole, workload=whole.workload.at(whole.workload.tenant != 0))
    (power,) = shortages(alone)
    assert power.startswith("power for 62% of the GPUs")


def test_a_feeder_is_told_by_name() -> None:
    site = replace(small_site(), feeders=(Feeder("a", 2000.0), Feeder("b", 250.0)))
    told = shortages(period(site))
    assert len(told) == 2
    assert all("feeder b leaves" in sentence for sentence in told)


def test_the_second_job_is_late_where_promises_are_told_to_be_broken() -> None:
    """It starts when the first is done, an hour after it came in, and was due half an hour after its run time."""
    kept = {}
    for limit_kw in ((IDLE_KW + ALL_KW * 200 / 320) / USABLE, 4000.0):
        (strategy,) = named("always-on")
        of_bank = play(period(with_grid(limit_kw)), strategy, None).outcomes[0]
        kept[limit_kw] = (of_bank.on_time, of_bank.late)
    assert list(kept.values()) == [(1, 1), (2, 0)]
