"""The site of processes beyond the port: start and end, devices that die, files that are damaged."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.adapters.workloads.processes import process_table
from orchestrator.adapters.workloads.processes.process_site import ProcessSite
from orchestrator.adapters.workloads.processes.process_table import ProcessTable
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import PauseJob, RunJob, SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder, Site
from orchestrator.domain.work import Job, JobPhase
from tests.sites import three_rack_site

START = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)


@pytest.fixture
def tiny_site() -> Site:
    """One rack and one GPU node."""
    three = three_rack_site()
    (fleet,), (pool,) = three.fleets, three.pools
    one_rack = replace(fleet, racks=1, modes=(fleet.mode("normal"),), min_on=timedelta(0), min_off=timedelta(0))
    return replace(
        three,
        name="tiny",
        grid=replace(three.grid, limit_kw=100.0),
        feeders=(Feeder("A", 100.0),),
        fleets=(one_rack,),
        pools=(replace(pool, gpu_model="H100", nodes=1),),
    )


@pytest.fixture
def clock() -> SiteClock:
    """A minute of site time in a second."""
    return SiteClock(time.time(), START, 60.0)


@pytest.fixture
async def running(tiny_site: Site, tmp_path: Path, clock: SiteClock) -> AsyncIterator[ProcessSite]:
    site = ProcessSite(tiny_site, tmp_path, clock, stop_grace_s=0.5)
    try:
        await site.start()
        yield site
    finally:
        await site.stop()


def job(name: str = "train") -> Job:
    return Job(name, "lab", "h100", 2, 1e6, START, None, timedelta(minutes=5), timedelta(seconds=30))


def pid(run_dir: Path, process: str) -> int:
    return int(json.loads((run_dir / "processes" / f"{process}.json").read_text())["pid"])


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 60.0
    while not await holds():
        assert time.monotonic() < deadline, "did not come to hold in 60 s"
        await asyncio.sleep(0.05)


async def test_progress_is_told_and_stop_leaves_no_process(tiny_site: Site, tmp_path: Path, clock: SiteClock) -> None:
    told: list[tuple[int, int]] = []
    site = ProcessSite(tiny_site, tmp_path, clock)
    await site.start(lambda started, total: told.append((started, total)))
    assert told == sorted(told)
    assert told[-1] == (2, 2)
    pids = [int(json.loads(file.read_text())["pid"]) for file in (tmp_path / "processes").glob("*.json")]
    assert len(pids) == 2
    await site.stop()
    assert not any(psutil.pid_exists(number) for number in pids)
    assert list((tmp_path / "processes").iterdir()) == []
    assert list((tmp_path / "targets").glob("*.json")) == []


async def test_stop_lets_jobs_save_their_work_and_puts_them_on_record_as_paused(
    tiny_site: Site, tmp_path: Path, clock: SiteClock
) -> None:
    site = ProcessSite(tiny_site, tmp_path, clock)

    async def listening() -> bool:
        return await asyncio.to_thread((tmp_path / "targets" / "train.json").exists)

    try:
        await site.start()
        site.submit(job(), START)
        await site.apply(RunJob("train"), "pays", clock.at(time.time()))
        await eventually(listening)
    finally:
        await site.stop(deadline_s=60.0)
    assert json.loads((tmp_path / "jobs" / "train" / "checkpoint.json").read_text())["finished"] is False
    again = ProcessSite(tiny_site, tmp_path, clock)
    assert (await again.observe(clock.at(time.time()))).jobs["train"].phase is JobPhase.PAUSED


async def test_a_device_that_died_is_started_again(running: ProcessSite, tmp_path: Path, clock: SiteClock) -> None:
    await running.apply(SetFleet("s21", RackMix({"normal": 1})), "cheap", clock.at(time.time()))
    old = pid(tmp_path, "asic_s21_rack-0")
    os.kill(old, signal.SIGKILL)

    async def back() -> bool:
        seen = await running.observe(clock.at(time.time()))
        assert seen.fleets["s21"].rack_modes == {"s21/rack-0": "normal"}
        file = tmp_path / "processes" / "asic_s21_rack-0.json"
        return file.exists() and pid(tmp_path, "asic_s21_rack-0") != old

    await eventually(back)


async def test_a_program_that_cannot_start_is_named_with_what_it_printed(
    tiny_site: Site, tmp_path: Path, clock: SiteClock
) -> None:
    fleet = replace(tiny_site.fleets[0], warm_up=timedelta(seconds=-1), modes=())
    site = ProcessSite(replace(tiny_site, fleets=(fleet,)), tmp_path, clock)
    try:
        with pytest.raises(RuntimeError, match=r"asic_s21_rack-0: exit status 2: .*--mode"):
            await site.start()
    finally:
        await site.stop()


async def test_a_hung_job_that_does_not_stop_is_killed(running: ProcessSite, tmp_path: Path, clock: SiteClock) -> None:
    running.submit(job(), START)
    await running.apply(RunJob("train"), "pays", clock.at(time.time()))
    os.kill(pid(tmp_path, "job_train"), signal.SIGSTOP)
    await running.apply(PauseJob("train"), "dear", clock.at(time.time()))
    assert (await running.observe(clock.at(time.time()))).jobs["train"].phase is JobPhase.STOPPING

    async def paused() -> bool:
        return (await running.observe(clock.at(time.time()))).jobs["train"].phase is JobPhase.PAUSED

    await eventually(paused)


async def test_all_that_hangs_at_the_end_is_killed_together_five_seconds_after_it_was_asked(
    running: ProcessSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only the waits of the stop move: however slow the machine is."""
    hung = {file.stem for file in (tmp_path / "processes").glob("*.json")}
    assert len(hung) == 2
    for name in hung:
        os.kill(pid(tmp_path, name), signal.SIGSTOP)
    waits: list[float] = []
    sent: list[tuple[signal.Signals, str, float]] = []
    send, sleep = ProcessTable.signal, asyncio.sleep

    def noted(table: ProcessTable, name: str, number: signal.Signals) -> None:
        sent.append((number, name, sum(waits)))
        send(table, name, number)

    async def waited(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0.001)

    monkeypatch.setattr(ProcessTable, "signal", noted)
    monkeypatch.setattr(process_table, "time", SimpleNamespace(monotonic=lambda: sum(waits)))
    monkeypatch.setattr(process_table, "asyncio", SimpleNamespace(sleep=waited))
    await running.stop()
    asked = {name: at for number, name, at in sent if number is signal.SIGTERM}
    killed = {name: at for number, name, at in sent if number is signal.SIGKILL}
    assert asked == dict.fromkeys(hung, 0.0)
    assert killed == dict.fromkeys(hung, pytest.approx(5.0, abs=0.05))


async def test_a_job_that_keeps_dying_without_progress_has_failed(
    running: ProcessSite, tmp_path: Path, clock: SiteClock
) -> None:
    running.submit(job(), START)
    (tmp_path / "jobs" / "train" / "checkpoint.json").write_text("torn")

    async def failed() -> bool:
        phase = (await running.observe(clock.at(time.time()))).jobs["train"].phase
        if phase is JobPhase.FAILED:
            return True
        await running.apply(RunJob("train"), "pays", clock.at(time.time()))
        return False

    await eventually(failed)
    assert (await running.observe(clock.at(time.time()))).jobs["train"].starts == 7
    ack = await running.apply(RunJob("train"), "pays", clock.at(time.time()))
    assert not ack.accepted
    assert "failed" in ack.detail


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "../../etc"}, "job name"),
        ({"name": "h100-node-0"}, "GPU node"),
        ({"pool": "a100"}, "no pool a100"),
        ({"tenant": "nobody"}, "no tenant nobody"),
        ({"gpus": 5}, "which has 4"),
        ({"gpus": 0}, "at least 1"),
        ({"work_gpu_seconds": float("nan")}, "work_gpu_seconds"),
    ],
)
def test_a_job_that_could_never_run_is_refused(
    tiny_site: Site, tmp_path: Path, clock: SiteClock, wrong: dict[str, object], says: str
) -> None:
    site = ProcessSite(tiny_site, tmp_path, clock)
    with pytest.raises(ValueError, match=says):
        site.submit(replace(job(), **wrong), START)  # type: ignore[arg-type]  # wrong on purpose
    assert not (tmp_path / "jobs").exists()


async def test_setpoints_are_asleep_on_disk_before_anything_is_started(
    tiny_site: Site, tmp_path: Path, clock: SiteClock
) -> None:
    ProcessSite(tiny_site, tmp_path, clock)
    document = json.loads((tmp_path / "setpoints.json").read_text())
    assert document["racks"] == {"s21/rack-0": SLEEP}
    assert document["gpu_limit_w"] == {"h100": 700.0}
    assert datetime.fromisoformat(document["lease_until"]) > clock.at(time.time())


async def test_what_a_fleet_was_before_is_kept_with_the_setpoints(
    tiny_site: Site, tmp_path: Path, clock: SiteClock
) -> None:
    site = ProcessSite(tiny_site, tmp_path, clock)
    await site.apply(SetFleet("s21", RackMix({"normal": 1})), "cheap power", START)
    await site.apply(SetFleet("s21", RackMix({SLEEP: 1})), "312 USD/MWh", START + timedelta(hours=1))
    note = json.loads((tmp_path / "setpoints.json").read_text())["fleets"]["s21"]
    assert note["previous"] == {SLEEP: 0, "normal": 1}
    assert note["reason"] == "312 USD/MWh"
    assert note["last_up_at"] == START.isoformat()
    assert note["last_down_at"] == (START + timedelta(hours=1)).isoformat()


async def test_the_lease_is_the_one_last_renewed(tiny_site: Site, tmp_path: Path, clock: SiteClock) -> None:
    site = ProcessSite(tiny_site, tmp_path, clock)
    await site.renew(START + timedelta(minutes=5), START)
    document = json.loads((tmp_path / "setpoints.json").read_text())
    assert document["lease_until"] == (START + timedelta(minutes=5)).isoformat()


async def test_setpoints_set_by_someone_else_are_seen_and_unreadable_ones_are_not_acted_on(
    tiny_site: Site, tmp_path: Path, clock: SiteClock
) -> None:
    site = ProcessSite(tiny_site, tmp_path, clock)
    other = ProcessSite(tiny_site, tmp_path, clock)
    await other.apply(SetFleet("s21", RackMix({"normal": 1})), "by hand", START)
    assert (await site.observe(START)).fleets["s21"].racks.awake == 1
    (tmp_path / "setpoints.json").write_text("{")
    seen = await site.observe(START)
    assert not seen.synced
    assert seen.fleets["s21"].racks.awake == 1
    await site.renew(START + timedelta(minutes=5), START)
    assert (await site.observe(START)).synced


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("setpoints.json", "{"),
        ("setpoints.json", "[]"),
        ("setpoints.json", '{"lease_until": "soon"}'),
        ("clock.json", "{"),
        ("jobs/train/spec.json", '{"name": "train"}'),
    ],
)
def test_a_damaged_file_is_named_at_the_start(
    tiny_site: Site, tmp_path: Path, clock: SiteClock, file: str, text: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=str(path if "jobs" not in file else path.parent)):
        ProcessSite(tiny_site, tmp_path, clock)


def test_a_run_directory_of_another_clock_is_refused(tiny_site: Site, tmp_path: Path, clock: SiteClock) -> None:
    ProcessSite(tiny_site, tmp_path, clock)
    with pytest.raises(ValueError, match=r"clock\.json"):
        ProcessSite(tiny_site, tmp_path, replace(clock, speed=1.0))
