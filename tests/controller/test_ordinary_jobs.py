"""Jobs that serve no progress, or stop doing so: how far they are comes from their GPUs and time, and is marked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.snapshot import JobStatus
from orchestrator.domain.work import JobPhase
from orchestrator.observe.jobs_at_risk import at_risk

if TYPE_CHECKING:
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
GPU_H = 3600.0


class Ordinary:
    """Names of jobs that serve nothing of themselves, though they could."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hidden: set[str] = set()
        self._world, self._read = world, world.devices.read
        monkeypatch.setattr(world.devices, "read", self._without)

    async def _without(self, now: datetime) -> Telemetry:
        return Telemetry(now, [sample for sample in await self._read(now) if sample.subject not in self.hidden])

    async def true_done(self, job: str) -> float:
        value = (await self._read(self._world.now)).get(Metric.JOB_PROGRESS, job).value
        assert value is not None
        return value


def status(world: World, job: str) -> JobStatus:
    return world.snapshot.jobs[job]


def billed(world: World, job: str) -> float:
    record = world.controller.job_record(job)
    return record.billed_gpu_seconds if record is not None else 0.0


def ledger_gpu_h(world: World, job: str) -> float:
    start = world.now - timedelta(days=2)
    return sum(
        line.quantity for line in world.store.ledger(start, world.now + timedelta(days=1)) if line.subject == job
    )


async def test_an_ordinary_job_gets_on_is_billed_and_is_marked_as_estimated(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of([CHEAP] * 12)
    jobs = Ordinary(world, monkeypatch)
    world.submit("train", "bank", run_h=2.0, deadline_in_h=4.0)
    jobs.hidden = {"train"}
    await world.run(60, final=True)
    seen = status(world, "train")
    assert seen.estimated
    assert not at_risk(seen, world.now)
    record = world.controller.job_record("train")
    assert record is not None
    assert record.billed_gpu_seconds == record.estimated_gpu_seconds == pytest.approx(seen.done_gpu_seconds)
    hpc = [line for line in world.store.ledger(world.now - timedelta(days=1), world.now) if line.subject == "train"]
    assert sum(line.estimated_usd for line in hpc) == pytest.approx(sum(line.revenue_usd for line in hpc))
    assert seen.done_gpu_seconds == pytest.approx(await jobs.true_done("train"), rel=0.01)
    await world.run(80, final=True)
    record = world.controller.job_record("train")
    assert record is not None
    assert (record.outcome, record.billed_gpu_seconds, record.estimated_gpu_seconds) == ("on_time", 16 * GPU_H, 0.0)
    assert ledger_gpu_h(world, "train") == pytest.approx(16.0)


async def test_an_ordinary_job_that_is_paused_loses_its_restart_and_nothing_else(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 2 + [CHEAP] * 6)
    jobs = Ordinary(world, monkeypatch)
    world.submit("batch", "lab")
    jobs.hidden = {"batch"}
    await world.run(70)
    assert world.phase("batch") is JobPhase.PAUSED
    paused = status(world, "batch")
    assert paused.estimated
    assert paused.checkpoint_gpu_seconds == paused.done_gpu_seconds > 0.0
    await world.run(80, final=True)
    assert status(world, "batch").view.starts == 2
    assert billed(world, "batch") == pytest.approx(await jobs.true_done("batch"), rel=0.02)


async def test_a_restart_of_the_controller_neither_loses_nor_doubles_it(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of([CHEAP] * 12)
    jobs = Ordinary(world, monkeypatch)
    world.submit("train", "bank")
    jobs.hidden = {"train"}
    for minutes in (17, 21, 0.5, 34):
        await world.run(minutes)
        before = billed(world, "train")
        world.restart()
        await world.run(0.1)
        assert billed(world, "train") >= before
    world.now += timedelta(minutes=20)
    world.devices.advance(world.now)
    world.restart()
    await world.run(6, final=True)
    assert billed(world, "train") == pytest.approx(await jobs.true_done("train"), rel=0.01)
    assert ledger_gpu_h(world, "train") == pytest.approx(billed(world, "train") / GPU_H)


async def test_a_metric_that_comes_later_takes_over(world_of: WorldOf, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of([CHEAP] * 12)
    jobs = Ordinary(world, monkeypatch)
    world.submit("train", "bank")
    jobs.hidden = {"train"}
    await world.run(60, final=True)
    estimated = billed(world, "train")
    assert estimated > 0.0
    true = await jobs.true_done("train")
    jobs.hidden = set()
    await world.run(1)
    seen = status(world, "train")
    assert not seen.estimated
    assert seen.done_gpu_seconds == pytest.approx(true + 8 * 60.0)
    await world.run(30, final=True)
    record = world.controller.job_record("train")
    assert record is not None
    assert record.billed_gpu_seconds == pytest.approx(await jobs.true_done("train"))
    assert record.estimated_gpu_seconds == 0.0
    assert ledger_gpu_h(world, "train") == pytest.approx(record.billed_gpu_seconds / GPU_H)


async def test_an_outage_of_telemetry_puts_no_job_at_risk_and_bills_nothing_it_did_not_see(
    world_of: WorldOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of 2 hours, due in 2 h 20: an hour without readings would have it fall behind."""
    world = world_of([CHEAP] * 16)
    jobs = Ordinary(world, monkeypatch)
    world.submit("train", "bank", run_h=2.0, deadline_in_h=2.4)
    await world.run(30)
    seen = status(world, "train")
    assert not seen.estimated
    world.devices.silence("train")
    await world.run(60, final=True)
    seen = status(world, "train")
    assert seen.estimated
    assert not at_risk(seen, world.now)
    assert billed(world, "train") < 8 * 0.5 * GPU_H, "by readings alone"
    world.devices.unsilence("train")
    true = await jobs.true_done("train")
    assert seen.done_gpu_seconds == pytest.approx(true, rel=0.02)
    await world.run(6, final=True)
    assert not status(world, "train").estimated
    assert billed(world, "train") > true
