"""What every workload driver does, by the port alone. A new driver passes this suite with a harness of its own."""

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from orchestrator.adapters.workloads.processes.documents import read_document
from orchestrator.adapters.workloads.processes.process_site import ProcessSite
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import LimitGpus, Move, PauseJob, RunJob, SetFleet
from orchestrator.domain.observation import Metric
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job, JobPhase, Workloads
from orchestrator.ports import WorkloadDriver
from orchestrator.sim.virtual import VirtualSite
from tests.cluster.harness import kubernetes_harness
from tests.cluster.kind_cluster import KindCluster
from tests.refused_moves import REFUSED_MOVES

START = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)
JobOf = Callable[..., Job]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


class Harness(Protocol):
    """What the suite needs of a driver's world besides the port."""

    spell: timedelta
    """A stretch of work or rest that is easily told from none: minutes of a site's time, or seconds of real time."""
    restarts_work: bool
    """Whether this world starts work again that was killed, as a cluster does, or leaves that to the controller."""

    @property
    def driver(self) -> WorkloadDriver: ...

    def now(self) -> datetime: ...

    async def submit(self, job: Job) -> None:
        """As a tenant does; returns when the driver can know of it. The same job again changes nothing."""
        ...

    async def kill(self, job: str) -> None:
        """End the job's processes, unasked and without a checkpoint; returns when they are dead."""
        ...

    async def saved(self, job: str) -> float:
        """GPU seconds in the job's last checkpoint."""
        ...

    async def until_saved(self, job: str, more_than: float) -> None:
        """Let time pass until the job's checkpoint holds more GPU seconds."""
        ...

    async def reopen(self) -> None:
        """A new driver on the same objects, as after the controller was killed."""
        ...

    async def until(self, holds: Callable[[Workloads], bool]) -> Workloads:
        """Let time pass until the driver's view is as wanted."""
        ...


class ProcessHarness:
    """Real processes; an hour of site time takes 6 s."""

    spell = timedelta(minutes=5)
    restarts_work = False

    def __init__(self, site: Site, run_dir: Path, eventually: Eventually) -> None:
        self._site = site
        self._run_dir = run_dir
        self._eventually = eventually
        self._clock = SiteClock(time.time(), START, 600.0)
        self.driver = self._open()

    def _open(self) -> ProcessSite:
        return ProcessSite(self._site, self._run_dir, self._clock, seed=1)

    def now(self) -> datetime:
        return self._clock.at(time.time())

    async def submit(self, job: Job) -> None:
        self.driver.submit(job, self.now())

    async def kill(self, job: str) -> None:
        document = read_document(self._run_dir / "processes" / f"job_{job}.json")
        assert document is not None
        os.kill(int(str(document["pid"])), signal.SIGKILL)

    async def saved(self, job: str) -> float:
        document = read_document(self._run_dir / "jobs" / job / "checkpoint.json")
        return float(str(document["done_gpu_seconds"])) if document else 0.0

    async def until_saved(self, job: str, more_than: float) -> None:
        async def holds() -> bool:
            return await self.saved(job) > more_than

        await self._eventually(holds)

    async def reopen(self) -> None:
        self.driver = self._open()
        await self.driver.start()

    async def until(self, holds: Callable[[Workloads], bool]) -> Workloads:
        async def held() -> bool:
            return holds(await self.driver.observe(self.now()))

        await self._eventually(held)
        return await self.driver.observe(self.now())


class VirtualHarness:
    """The device models on a virtual clock: simulated time, no processes."""

    spell = timedelta(minutes=5)
    restarts_work = False

    def __init__(self, site: Site) -> None:
        self._site = VirtualSite(site, start=START, seed=1)

    @property
    def driver(self) -> VirtualSite:
        return self._site

    def now(self) -> datetime:
        return self._site.now

    async def submit(self, job: Job) -> None:
        self._site.submit(job, self.now())

    async def kill(self, job: str) -> None:
        raise NotImplementedError(f"job {job} has no process")

    async def saved(self, job: str) -> float:
        return (await self._site.read(self.now())).get(Metric.JOB_CHECKPOINT, job).value or 0.0

    async def until_saved(self, job: str, more_than: float) -> None:
        deadline = self.now() + timedelta(days=1)
        while await self.saved(job) <= more_than:
            assert self.now() < deadline, "no checkpoint in a day"
            self._site.advance(self.now() + timedelta(seconds=30))

    async def reopen(self) -> None:
        raise NotImplementedError("nothing outlives the virtual site")

    async def until(self, holds: Callable[[Workloads], bool]) -> Workloads:
        deadline = self.now() + timedelta(days=1)
        while not holds(seen := await self._site.observe(self.now())):
            assert self.now() < deadline, "did not come to hold in a day"
            self._site.advance(self.now() + timedelta(seconds=30))
        return seen


KUBERNETES = pytest.param("kubernetes", marks=pytest.mark.cluster)


@pytest.fixture(params=["processes", "virtual", KUBERNETES])
def world(request: pytest.FixtureRequest) -> tuple[str, KindCluster | None]:
    """The driver, and the cluster if it needs one: the tests on it are skipped where there is none."""
    return request.param, request.getfixturevalue("kind_cluster") if request.param == "kubernetes" else None


@pytest.fixture
async def harness(
    world: tuple[str, KindCluster | None], small_site: Site, tmp_path: Path, eventually: Eventually
) -> AsyncIterator[Harness]:
    driver, cluster = world
    if cluster is not None:
        async with kubernetes_harness(cluster, small_site) as kubernetes:
            yield kubernetes
        return
    if driver == "virtual":
        yield VirtualHarness(small_site)
        return
    processes = ProcessHarness(small_site, tmp_path, eventually)
    try:
        await processes.driver.start()
        yield processes
    finally:
        await processes.driver.stop()
    left = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in (process.info["cmdline"] or [])]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.fixture
def job_of(harness: Harness, job_of: JobOf) -> JobOf:
    """Makes a job of the small site in the harness's own time; `spells` is how long it works at full power."""

    def make(name: str, gpus: int = 4, spells: float = 1_000.0) -> Job:
        job = job_of(name, gpus, work_s=spells * harness.spell.total_seconds())
        return replace(job, checkpoint_every=harness.spell, restart=harness.spell / 10)

    return make


REAL = pytest.mark.parametrize("world", ["processes", KUBERNETES], indirect=True)
"""For what needs objects that outlive the driver, and workloads that can be killed."""

SIMULATED = pytest.mark.parametrize("world", ["virtual"], indirect=True)
"""For what is over before it could be seen, where time goes by itself."""


async def view(harness: Harness) -> Workloads:
    return await harness.driver.observe(harness.now())


async def phase(harness: Harness, job: str) -> JobPhase:
    return (await view(harness)).jobs[job].phase


# Fleets


async def test_a_new_site_is_asleep_and_its_gpus_at_full_limit(harness: Harness) -> None:
    seen = await view(harness)
    assert seen.synced
    assert seen.fleets["s21"].racks[SLEEP] == 3
    assert set(seen.fleets["s21"].rack_modes.values()) == {SLEEP}
    assert seen.pools["h100"].gpu_limit_w == 700.0


async def test_a_fleet_is_put_in_modes_and_the_view_shows_it_at_once(harness: Harness) -> None:
    ack = await harness.driver.apply(
        SetFleet("s21", RackMix({"normal": 1, "eco": 1, SLEEP: 1})), "cheap power", harness.now()
    )
    assert ack.accepted, ack.detail
    fleet = (await view(harness)).fleets["s21"]
    assert {mode: count for mode, count in fleet.racks.items() if count} == {"normal": 1, "eco": 1, SLEEP: 1}
    assert sorted(fleet.rack_modes.values()) == ["eco", "normal", SLEEP]
    assert fleet.racks.awake == 2


async def test_up_and_down_times_are_those_of_the_last_change_that_way(harness: Harness) -> None:
    before = (await view(harness)).fleets["s21"]
    up_at = harness.now()
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 3})), "cheap power", up_at)
    raised = (await view(harness)).fleets["s21"]
    assert (raised.last_up_at, raised.last_down_at) == (up_at, before.last_down_at)
    down_at = max(harness.now(), up_at + timedelta(seconds=1))
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 1, SLEEP: 2})), "power is worth more", down_at)
    lowered = (await view(harness)).fleets["s21"]
    assert (lowered.last_up_at, lowered.last_down_at) == (up_at, down_at)


async def test_the_same_move_again_changes_nothing(harness: Harness) -> None:
    move = SetFleet("s21", RackMix({"normal": 2, SLEEP: 1}))
    await harness.driver.apply(move, "cheap power", harness.now())
    once = (await view(harness)).fleets["s21"]
    ack = await harness.driver.apply(move, "cheap power", harness.now())
    assert ack.accepted
    assert (await view(harness)).fleets["s21"] == once


async def test_racks_already_in_a_wanted_mode_stay_in_it(harness: Harness) -> None:
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 2, SLEEP: 1})), "cheap power", harness.now())
    awake = {rack for rack, mode in (await view(harness)).fleets["s21"].rack_modes.items() if mode == "normal"}
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 2, "eco": 1})), "cheaper still", harness.now())
    modes = (await view(harness)).fleets["s21"].rack_modes
    assert {rack for rack, mode in modes.items() if mode == "normal"} == awake
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 1, SLEEP: 2})), "power is worth more", harness.now())
    modes = (await view(harness)).fleets["s21"].rack_modes
    assert {rack for rack, mode in modes.items() if mode == "normal"} < awake


@pytest.mark.parametrize(("move", "says"), REFUSED_MOVES, ids=str)
async def test_a_move_that_cannot_be_made_is_refused_with_a_reason(harness: Harness, move: Move, says: str) -> None:
    before = await view(harness)
    ack = await harness.driver.apply(move, "a mistake", harness.now())
    assert not ack.accepted
    assert ack.detail == says
    after = await view(harness)
    assert (after.fleets, after.pools, after.jobs) == (before.fleets, before.pools, before.jobs)


async def test_a_gpu_limit_is_set_for_the_whole_pool(harness: Harness) -> None:
    for _ in range(2):
        ack = await harness.driver.apply(LimitGpus("h100", 450.0), "under the cap", harness.now())
        assert ack.accepted, ack.detail
        assert (await view(harness)).pools["h100"].gpu_limit_w == 450.0


# Jobs


async def test_a_submitted_job_waits_until_it_is_run(harness: Harness, job_of: JobOf) -> None:
    job = job_of("train")
    await harness.submit(job)
    await harness.submit(job)
    seen = (await view(harness)).jobs
    assert list(seen) == ["train"]
    # A cluster dates its objects itself; all else is as the tenant said.
    assert replace(seen["train"].job, submitted_at=job.submitted_at) == job
    assert (seen["train"].phase, seen["train"].starts) == (JobPhase.WAITING, 0)
    assert seen["train"].elapsed == timedelta(0)


async def test_a_job_runs_to_its_end(harness: Harness, job_of: JobOf) -> None:
    job = job_of("train", spells=2.0)
    await harness.submit(job)
    ack = await harness.driver.apply(RunJob("train"), "pays 2.50 USD/GPU-h", harness.now())
    assert ack.accepted, ack.detail
    assert await phase(harness, "train") is JobPhase.RUNNING
    seen = await harness.until(lambda seen: seen.jobs["train"].phase.ended)
    assert (seen.jobs["train"].phase, seen.jobs["train"].starts) == (JobPhase.SUCCEEDED, 1)
    assert seen.jobs["train"].elapsed >= 2 * harness.spell
    assert await harness.saved("train") == pytest.approx(job.work_gpu_seconds)
    for move in (RunJob("train"), PauseJob("train")):
        ack = await harness.driver.apply(move, "a mistake", harness.now())
        assert not ack.accepted
        assert ack.detail.startswith("job train has succeeded")


async def test_running_a_running_job_changes_nothing(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("train"))
    await harness.driver.apply(RunJob("train"), "pays", harness.now())
    once = (await view(harness)).jobs["train"]
    ack = await harness.driver.apply(RunJob("train"), "pays", harness.now())
    assert ack.accepted
    again = (await view(harness)).jobs["train"]
    assert (again.phase, again.starts, again.changed_at) == (once.phase, once.starts, once.changed_at)


async def test_a_paused_job_saves_its_work_and_goes_on_from_it(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("train"))
    await harness.driver.apply(RunJob("train"), "pays", harness.now())
    await harness.until_saved("train", 0.0)
    ack = await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    assert ack.accepted, ack.detail
    paused = (await harness.until(lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)).jobs["train"]
    saved = await harness.saved("train")
    assert 0.0 < saved <= 4 * paused.elapsed.total_seconds()
    ack = await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    assert ack.accepted
    rested_from = harness.now()
    await harness.until(lambda seen: seen.at > rested_from + harness.spell)
    assert (await view(harness)).jobs["train"].elapsed == paused.elapsed
    assert await harness.saved("train") == saved

    ack = await harness.driver.apply(RunJob("train"), "price 20 USD/MWh", harness.now())
    assert ack.accepted, ack.detail
    await harness.until_saved("train", saved)
    await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    again = (await harness.until(lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)).jobs["train"]
    assert again.starts == 2
    # It went on from what was saved, and did no more than its GPUs can in the time it ran.
    assert saved < await harness.saved("train") <= saved + 4 * (again.elapsed - paused.elapsed).total_seconds()


async def test_pausing_a_job_that_waits_changes_nothing(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("train"))
    ack = await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    assert ack.accepted
    assert await phase(harness, "train") is JobPhase.WAITING


async def test_a_job_without_free_gpus_is_refused_until_there_are(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("big", gpus=6))
    await harness.submit(job_of("small", gpus=2))
    await harness.submit(job_of("medium", gpus=4))
    for name, accepted in (("big", True), ("medium", False), ("small", True)):
        ack = await harness.driver.apply(RunJob(name), "pays", harness.now())
        assert ack.accepted is accepted, ack.detail
        if not accepted:
            assert ack.detail == "job medium needs 4 GPUs of pool h100; 2 are free"
    assert await phase(harness, "medium") is JobPhase.WAITING
    await harness.driver.apply(PauseJob("big"), "price 900 USD/MWh", harness.now())
    await harness.until(lambda seen: seen.jobs["big"].phase is JobPhase.PAUSED)
    ack = await harness.driver.apply(RunJob("medium"), "pays", harness.now())
    assert ack.accepted, ack.detail


async def test_a_job_that_is_not_elastic_runs_on_all_its_gpus_or_not(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("train"))
    for before in (JobPhase.WAITING, JobPhase.RUNNING):
        await harness.until(lambda seen, phase=before: seen.jobs["train"].phase is phase)  # type: ignore[misc]
        ack = await harness.driver.apply(RunJob("train", 2), "a mistake", harness.now())
        assert not ack.accepted
        assert ack.detail == "job train is not elastic: it runs on 4 GPUs, not on 2"
        assert await phase(harness, "train") is before
        await harness.driver.apply(RunJob("train"), "pays", harness.now())


@SIMULATED
async def test_a_job_that_writes_its_checkpoint_is_not_run_again_meanwhile(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("train"))
    await harness.driver.apply(RunJob("train"), "pays", harness.now())
    await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    ack = await harness.driver.apply(RunJob("train"), "pays", harness.now())
    assert not ack.accepted
    assert ack.detail == "job train is still writing its checkpoint"


@REAL
async def test_a_killed_job_goes_on_from_its_checkpoint(harness: Harness, job_of: JobOf) -> None:
    """At once where its world starts it again, else it is paused and goes on when it is next run."""
    await harness.submit(job_of("train"))
    await harness.driver.apply(RunJob("train"), "pays", harness.now())
    await harness.until_saved("train", 0.0)
    await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    await harness.until(lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
    paused_with = await harness.saved("train")
    await harness.driver.apply(RunJob("train"), "price 20 USD/MWh", harness.now())

    await harness.kill("train")
    starts = 2
    if harness.restarts_work:
        assert await phase(harness, "train") is JobPhase.RUNNING
    else:
        await harness.until(lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
        ack = await harness.driver.apply(RunJob("train"), "pays", harness.now())
        assert ack.accepted, ack.detail
        starts = 3
    saved = await harness.saved("train")
    assert saved >= paused_with > 0.0

    await harness.until_saved("train", saved)
    await harness.driver.apply(PauseJob("train"), "price 900 USD/MWh", harness.now())
    seen = await harness.until(lambda seen: seen.jobs["train"].phase is JobPhase.PAUSED)
    assert seen.jobs["train"].starts == starts
    assert await harness.saved("train") > saved


# Restarts


@REAL
async def test_a_new_driver_on_the_same_objects_sees_the_same(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("running"))
    await harness.submit(job_of("waiting"))
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 2, "eco": 1})), "cheap power", harness.now())
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 1, "eco": 1, SLEEP: 1})), "dearer", harness.now())
    await harness.driver.apply(LimitGpus("h100", 450.0), "under the cap", harness.now())
    await harness.driver.apply(RunJob("running"), "pays", harness.now())
    before = await view(harness)
    await harness.reopen()
    after = await view(harness)
    assert after.fleets == before.fleets
    assert after.pools == before.pools
    assert after.jobs.keys() == before.jobs.keys()
    for name, job in before.jobs.items():
        again = after.jobs[name]
        assert (again.job, again.phase, again.changed_at, again.starts) == (
            job.job,
            job.phase,
            job.changed_at,
            job.starts,
        )
    assert after.jobs["running"].elapsed >= before.jobs["running"].elapsed
    ack = await harness.driver.apply(PauseJob("running"), "price 900 USD/MWh", harness.now())
    assert ack.accepted, ack.detail
    await harness.until(lambda seen: seen.jobs["running"].phase is JobPhase.PAUSED)


@REAL
async def test_a_job_that_ends_while_no_driver_watches_has_ended(harness: Harness, job_of: JobOf) -> None:
    await harness.submit(job_of("train", spells=1.0))
    await harness.driver.apply(RunJob("train"), "pays", harness.now())
    await harness.reopen()
    seen = await harness.until(lambda seen: seen.jobs["train"].phase.ended)
    assert (seen.jobs["train"].phase, seen.jobs["train"].starts) == (JobPhase.SUCCEEDED, 1)


async def test_renewing_the_lease_leaves_setpoints_as_they_are(harness: Harness) -> None:
    await harness.driver.apply(SetFleet("s21", RackMix({"normal": 3})), "cheap power", harness.now())
    before = await view(harness)
    await harness.driver.renew(harness.now() + timedelta(minutes=5), harness.now())
    after = await view(harness)
    assert (after.fleets, after.pools) == (before.fleets, before.pools)


async def test_a_lease_that_ran_out_is_told_until_it_is_renewed(harness: Harness) -> None:
    """None shortens a lease: here it is short from the beginning."""
    out_at = harness.now() + timedelta(seconds=1)
    await harness.driver.renew(out_at, harness.now())
    seen = await harness.until(lambda seen: seen.lapsed_at is not None)
    assert seen.lapsed_at is not None
    assert abs(seen.lapsed_at - out_at) < timedelta(milliseconds=1)
    await harness.driver.renew(harness.now() + timedelta(minutes=5), harness.now())
    assert (await view(harness)).lapsed_at is None
