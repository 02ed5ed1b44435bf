from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestrator.domain.decision import LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.metering.points import SeriesPoint
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.rack_mix import RackMix, choose_racks
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase
from orchestrator.sim.racks.asic_rack import NO_FAULTS
from orchestrator.sim.virtual import VirtualSite

MINUTE = timedelta(minutes=1)
MakeJob = Callable[..., Job]


@pytest.fixture
def mock(site: Site, start: datetime) -> VirtualSite:
    """Awake and warm, its lease good for a day, with a meter at the grid."""
    lasting = replace(site.controls, lease=timedelta(days=1))
    calm = replace(site, controls=lasting, grid=replace(site.grid, meter=SeriesPoint("grid")))
    return VirtualSite(calm, start=start, seed=1, awake=True, faults=NO_FAULTS)


async def accept(mock: VirtualSite, move: Move, now: datetime) -> None:
    ack = await mock.apply(move, "test", now)
    assert ack.accepted, ack.detail
    assert ack.at == now


def value(telemetry: Telemetry, metric: Metric, subject: str) -> float:
    reading = telemetry.get(metric, subject)
    assert reading.value is not None
    return reading.value


async def mining_kw(mock: VirtualSite, now: datetime) -> float:
    telemetry = await mock.read(now)
    return sum(value(telemetry, Metric.ASIC_POWER, rack) for rack in telemetry.subjects(Metric.ASIC_POWER)) / 1000


async def test_a_curtailed_fleet_falls_to_its_sleep_power_within_a_minute(mock: VirtualSite, start: datetime) -> None:
    assert 4 * 1050 * 0.97 <= await mining_kw(mock, start) <= 4 * 1050
    await accept(mock, SetFleet("s21", RackMix({SLEEP: 3, "normal": 1})), start)
    assert await mining_kw(mock, start + MINUTE) == pytest.approx(1050 * 0.98 + 3 * 4.4, abs=25)
    workloads = await mock.observe(start + MINUTE)
    fleet = workloads.fleets["s21"]
    assert fleet.racks == {SLEEP: 3, "normal": 1}
    assert fleet.rack_modes["s21/rack-0"] == "normal"
    assert (fleet.last_down_at, fleet.last_up_at) == (start, start - timedelta(days=1))


async def test_setting_a_fleet_again_changes_nothing(mock: VirtualSite, start: datetime) -> None:
    move = SetFleet("s21", RackMix({SLEEP: 2, "eco": 1, "normal": 1}))
    await accept(mock, move, start)
    before = (await mock.observe(start)).fleets["s21"]
    await accept(mock, move, start + MINUTE)
    assert (await mock.observe(start + MINUTE)).fleets["s21"] == before


def test_racks_stay_where_they_are_and_the_highest_numbered_go_first(site: Site) -> None:
    fleet = site.fleets[0]
    names = fleet.rack_names()
    now = dict(zip(names, ["normal", "eco", "normal", SLEEP], strict=True))
    chosen = choose_racks(fleet, now, {"normal": 1, "eco": 1, SLEEP: 2})
    assert list(chosen.values()) == ["normal", "eco", SLEEP, SLEEP]
    chosen = choose_racks(fleet, now, {"normal": 0, "eco": 3, SLEEP: 1})
    assert list(chosen.values()) == ["eco", "eco", "eco", SLEEP], "an awake rack changes mode, none is woken"


@pytest.mark.parametrize(
    ("move", "why"),
    [
        (SetFleet("s19", RackMix({SLEEP: 4})), "no fleet s19; there is s21"),
        (SetFleet("s21", RackMix({SLEEP: 3})), "has 4 racks"),
        (SetFleet("s21", RackMix({SLEEP: 5, "normal": -1})), "has 4 racks"),
        (SetFleet("s21", RackMix({"turbo": 4})), "no mode turbo; it has sleep, eco, normal"),
        (RunJob("ghost-0001"), "no job ghost-0001"),
        (PauseJob("ghost-0001"), "no job ghost-0001"),
        (LimitGpus("a100", 400.0), "no pool a100; there is h100"),
        (LimitGpus("h100", 100.0), "a GPU takes a limit of 200 to 700 W"),
        (LimitGpus("h100", float("nan")), "a GPU takes a limit of 200 to 700 W"),
    ],
)
async def test_a_move_that_cannot_be_made_is_refused_and_changes_nothing(
    mock: VirtualSite, start: datetime, move: Move, why: str
) -> None:
    before = await mock.observe(start)
    ack = await mock.apply(move, "test", start)
    assert not ack.accepted
    assert why in ack.detail
    assert await mock.observe(start) == before


async def test_a_job_loads_works_and_ends_by_itself(mock: VirtualSite, start: datetime, make_job: MakeJob) -> None:
    mock.submit(make_job(run_s=3600.0), start)
    assert (await mock.observe(start)).jobs["acme-0001"].phase is JobPhase.WAITING
    assert (await mock.read(start)).get(Metric.JOB_PROGRESS, "acme-0001").value is None
    await accept(mock, RunJob("acme-0001"), start)
    telemetry = await mock.read(start + 34 * MINUTE)
    assert value(telemetry, Metric.JOB_PROGRESS, "acme-0001") == pytest.approx(12 * 1800.0)
    assert value(telemetry, Metric.JOB_CHECKPOINT, "acme-0001") == pytest.approx(12 * 1800.0)
    view = (await mock.observe(start + 120 * MINUTE)).jobs["acme-0001"]
    assert (view.phase, view.starts) == (JobPhase.SUCCEEDED, 1)
    assert view.changed_at == pytest.approx(start + 64 * MINUTE, abs=timedelta(seconds=1))
    assert view.elapsed == pytest.approx(64 * MINUTE, abs=timedelta(seconds=1))
    final = (await mock.read(start + 120 * MINUTE)).get(Metric.JOB_PROGRESS, "acme-0001")
    assert final.value == pytest.approx(12 * 3600.0)
    assert final.at == view.changed_at, "its exporter ended with it"
    assert not (await mock.apply(RunJob("acme-0001"), "test", start + 120 * MINUTE)).accepted


async def test_a_paused_job_writes_its_checkpoint_frees_its_gpus_and_resumes_with_nothing_lost(
    mock: VirtualSite, start: datetime, make_job: MakeJob
) -> None:
    mock.submit(make_job(), start)
    await accept(mock, RunJob("acme-0001"), start)
    asked = start + 14 * MINUTE
    busy_w = value(await mock.read(asked), Metric.NODE_POWER, "h100-node-0")
    await accept(mock, PauseJob("acme-0001"), asked)
    assert (await mock.observe(asked)).jobs["acme-0001"].phase is JobPhase.STOPPING
    ack = await mock.apply(RunJob("acme-0001"), "test", asked)
    assert not ack.accepted
    assert ack.detail == "job acme-0001 is still writing its checkpoint"
    await accept(mock, PauseJob("acme-0001"), asked + timedelta(seconds=5))
    view = (await mock.observe(asked + MINUTE)).jobs["acme-0001"]
    assert (view.phase, view.changed_at) == (JobPhase.PAUSED, asked + timedelta(seconds=20))
    telemetry = await mock.read(asked + MINUTE)
    assert value(telemetry, Metric.NODE_POWER, "h100-node-0") == pytest.approx(1800 + 8 * 70)
    assert busy_w > 1800 + 8 * 600
    assert value(telemetry, Metric.JOB_CHECKPOINT, "acme-0001") == pytest.approx(12 * 600.0)
    resumed = asked + 60 * MINUTE
    await accept(mock, RunJob("acme-0001"), resumed)
    telemetry = await mock.read(resumed + 14 * MINUTE)
    assert value(telemetry, Metric.JOB_PROGRESS, "acme-0001") == pytest.approx(12 * 1200.0)
    view = (await mock.observe(resumed + 14 * MINUTE)).jobs["acme-0001"]
    assert (view.phase, view.starts) == (JobPhase.RUNNING, 2)
    assert view.elapsed == 28 * MINUTE + timedelta(seconds=20)


async def test_a_killed_job_goes_on_from_its_last_checkpoint(
    mock: VirtualSite, start: datetime, make_job: MakeJob
) -> None:
    mock.submit(make_job(), start)
    with pytest.raises(ValueError, match="is waiting"):
        mock.kill_job("acme-0001")
    await accept(mock, RunJob("acme-0001"), start)
    mock.advance(start + 44 * MINUTE)
    mock.kill_job("acme-0001")
    assert (await mock.observe(start + 44 * MINUTE)).jobs["acme-0001"].phase is JobPhase.PAUSED
    telemetry = await mock.read(start + 45 * MINUTE)
    assert value(telemetry, Metric.JOB_CHECKPOINT, "acme-0001") == pytest.approx(12 * 1800.0)
    assert value(telemetry, Metric.NODE_POWER, "h100-node-0") == pytest.approx(1800 + 8 * 70)
    await accept(mock, RunJob("acme-0001"), start + 45 * MINUTE)
    telemetry = await mock.read(start + 50 * MINUTE)
    assert value(telemetry, Metric.JOB_PROGRESS, "acme-0001") == pytest.approx(12 * (1800.0 + 60.0))


async def test_a_full_pool_refuses_a_job_until_gpus_are_free(
    mock: VirtualSite, start: datetime, make_job: MakeJob
) -> None:
    mock.submit(make_job("acme-0001", gpus=24), start)
    mock.submit(make_job("acme-0002", gpus=12), start)
    await accept(mock, RunJob("acme-0001"), start)
    ack = await mock.apply(RunJob("acme-0002"), "test", start)
    assert not ack.accepted
    assert "needs 12 GPUs" in ack.detail
    await accept(mock, PauseJob("acme-0001"), start + MINUTE)
    await accept(mock, RunJob("acme-0002"), start + 2 * MINUTE)


def test_a_job_that_could_never_run_here_is_not_taken(mock: VirtualSite, start: datetime, make_job: MakeJob) -> None:
    with pytest.raises(ValueError, match="33 GPUs of pool h100, which has 32"):
        mock.submit(make_job(gpus=33), start)
    with pytest.raises(ValueError, match="no tenant ghost; there is acme, flux, lab"):
        mock.submit(replace(make_job(), tenant="ghost"), start)
    with pytest.raises(ValueError, match="no pool a100; there is h100"):
        mock.submit(replace(make_job(), pool="a100"), start)


async def test_a_power_limit_slows_jobs_and_lowers_power(mock: VirtualSite, start: datetime, make_job: MakeJob) -> None:
    mock.submit(make_job(gpus=32), start)
    await accept(mock, RunJob("acme-0001"), start)
    full_w = value(await mock.read(start + 4 * MINUTE), Metric.GPU_POWER, "h100-node-3")
    await accept(mock, LimitGpus("h100", 350.0), start + 4 * MINUTE)
    telemetry = await mock.read(start + 14 * MINUTE)
    assert value(telemetry, Metric.GPU_POWER, "h100-node-3") == pytest.approx(full_w / 2)
    assert value(telemetry, Metric.JOB_PROGRESS, "acme-0001") == pytest.approx(32 * 600 * 0.751)
    assert (await mock.observe(start + 14 * MINUTE)).pools["h100"].gpu_limit_w == 350.0


async def test_meters_add_up_to_the_power_that_was_drawn(mock: VirtualSite, start: datetime, make_job: MakeJob) -> None:
    mock.submit(make_job(), start)
    energy_kwh, step = 0.0, timedelta(seconds=2)
    before_kw = mock.true_it_kw()
    for number in range(1, 1801):
        now = start + number * step
        if number == 300:
            await accept(mock, SetFleet("s21", RackMix({SLEEP: 2, "eco": 2})), now)
            await accept(mock, RunJob("acme-0001"), now)
        mock.advance(now)
        after_kw = mock.true_it_kw()
        energy_kwh += (before_kw + after_kw) / 2 * step.total_seconds() / 3600
        before_kw = after_kw
    telemetry = await mock.read(start + 1800 * step)
    metered_j = sum(
        value(telemetry, metric, subject)
        for metric in (Metric.ASIC_ENERGY, Metric.NODE_ENERGY)
        for subject in telemetry.subjects(metric)
    )
    assert metered_j / 3.6e6 == pytest.approx(energy_kwh, rel=2e-3)


async def test_racks_sleep_when_the_lease_runs_out_and_jobs_run_on(
    site: Site, start: datetime, make_job: MakeJob
) -> None:
    mock = VirtualSite(site, start=start, seed=1, awake=True, faults=NO_FAULTS)
    mock.submit(make_job(), start)
    await accept(mock, RunJob("acme-0001"), start)
    await mock.renew(start + 10 * MINUTE, start + 4 * MINUTE)
    assert await mining_kw(mock, start + 10 * MINUTE) > 4000
    assert await mining_kw(mock, start + 11 * MINUTE) < 20
    workloads = await mock.observe(start + 11 * MINUTE)
    assert workloads.fleets["s21"].racks["normal"] == 4, "what was accepted still stands"
    assert workloads.jobs["acme-0001"].phase is JobPhase.RUNNING
    await mock.renew(start + 20 * MINUTE, start + 12 * MINUTE)
    assert await mining_kw(mock, start + 14 * MINUTE) > 4000


async def test_a_hung_rack_keeps_its_last_reading_and_does_not_follow(mock: VirtualSite, start: datetime) -> None:
    mock.hang("s21/rack-3")
    await accept(mock, SetFleet("s21", RackMix({SLEEP: 4})), start + MINUTE)
    reading = (await mock.read(start + 5 * MINUTE)).get(Metric.ASIC_POWER, "s21/rack-3")
    assert reading.at == start
    assert reading.value is not None
    assert reading.value > 1_000_000
    assert mock.true_it_kw() > 1000
    mock.reset("s21/rack-3")
    reading = (await mock.read(start + 6 * MINUTE)).get(Metric.ASIC_POWER, "s21/rack-3")
    assert reading.at == start + 6 * MINUTE
    assert reading.value is not None
    assert reading.value < 10_000


@pytest.mark.parametrize("subject", ["s21/rack-1", "h100-node-0", "acme-0001"])
async def test_a_silent_exporter_keeps_its_readings_and_their_time(
    mock: VirtualSite, start: datetime, make_job: MakeJob, subject: str
) -> None:
    mock.submit(make_job(), start)
    await accept(mock, RunJob("acme-0001"), start)
    mock.advance(start + 10 * MINUTE)
    mock.silence(subject)
    telemetry = await mock.read(start + 20 * MINUTE)
    assert {sample.reading.at for sample in telemetry if sample.subject == subject} == {start + 10 * MINUTE}
    assert {sample.reading.at for sample in telemetry if sample.subject != subject} == {start + 20 * MINUTE}
    mock.unsilence(subject)
    telemetry = await mock.read(start + 21 * MINUTE)
    assert {sample.reading.at for sample in telemetry} == {start + 21 * MINUTE}


async def test_failed_machines_show_in_power_and_come_back(mock: VirtualSite, start: datetime) -> None:
    before_w = value(await mock.read(start), Metric.ASIC_POWER, "s21/rack-0")
    mock.fail_machines("s21/rack-0", 150, repair=10 * MINUTE)
    failed_w = value(await mock.read(start + MINUTE), Metric.ASIC_POWER, "s21/rack-0")
    assert failed_w == pytest.approx(before_w / 2)
    repaired_w = value(await mock.read(start + 11 * MINUTE), Metric.ASIC_POWER, "s21/rack-0")
    assert repaired_w == pytest.approx(before_w)


async def test_every_metric_is_measured_at_every_device(mock: VirtualSite, start: datetime, make_job: MakeJob) -> None:
    mock.submit(make_job(), start)
    await accept(mock, RunJob("acme-0001"), start)
    telemetry = await mock.read(start + MINUTE)
    for metric in set(Metric) - {Metric.BLOCK_BOUGHT}:  # which comes in by the clock
        name = metric.name.split("_")[0]
        subjects = {
            "ASIC": {rack for _, rack in mock.site.racks()},
            "GPU": {node for _, node in mock.site.nodes()},
            "NODE": {node for _, node in mock.site.nodes()},
            "JOB": {"acme-0001"},
            "METER": {"grid"},
        }[name]
        assert set(telemetry.subjects(metric)) == subjects
        assert all(telemetry.get(metric, subject).unit == metric.unit for subject in subjects)


async def test_the_same_seed_and_moves_give_the_same_site(site: Site, start: datetime, make_job: MakeJob) -> None:
    """Step sizes apart: one is read every 15 s, the other once an hour."""
    ends = []
    for step in (timedelta(seconds=15), timedelta(hours=1)):
        mock = VirtualSite(site, start=start, seed=5)
        mock.submit(make_job(), start)
        await mock.renew(start + timedelta(hours=6), start)
        await accept(mock, SetFleet("s21", RackMix({SLEEP: 0, "normal": 4})), start)
        await accept(mock, RunJob("acme-0001"), start)
        now = start
        while now < start + timedelta(hours=3):
            now += step
            telemetry = await mock.read(now)
        ends.append({(sample.metric, sample.subject): sample.reading.value for sample in telemetry})
    assert ends[0].keys() == ends[1].keys()
    for key, one in ends[0].items():
        assert one == pytest.approx(ends[1][key], rel=1e-6)
