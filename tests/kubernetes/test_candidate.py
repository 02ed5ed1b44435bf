"""A controller among its replicas: what it serves, opens and closes as it is elected, cut off, followed and stopped."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

import orchestrator
from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.store import SqlStore
from orchestrator.adapters.workloads.kubernetes.api import ApiError, ClusterApi
from orchestrator.adapters.workloads.kubernetes.leader.election import Election, Timing
from orchestrator.adapters.workloads.kubernetes.leader.leader_label import LeaderLabel
from orchestrator.domain.decision import Ack, Move
from orchestrator.domain.observation import Telemetry
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.work import FleetView, Workloads
from orchestrator.runtime import readiness
from orchestrator.runtime.feeds import Sources, open_series
from orchestrator.runtime.ha import candidate as candidate_module
from orchestrator.runtime.ha.candidate import Candidate
from orchestrator.runtime.live_site import LiveSite
from orchestrator.runtime.observability.spans import Spans
from orchestrator.settings import Settings, load_settings
from tests.tracing.collector import Collector

if TYPE_CHECKING:
    from tests.kubernetes.fake_api import FakeApi

LEASE = "/apis/coordination.k8s.io/v1/namespaces/test/leases/w-leader"
POD = "/api/v1/namespaces/test/pods/w-0"
PATIENCE_S = 60.0
QUICK = Timing(lease_s=5.0, renew_every_s=0.2, renew_deadline_s=3.0, look_every_s=0.1, request_s=0.5)
TENTH = timedelta(seconds=0.1)
LONG_AGO = datetime(2023, 9, 6, tzinfo=UTC)


class FakeDriver:
    """A driver whose racks are asleep and stay so."""

    def __init__(self, may_act: Callable[[], bool], start: Callable[[], None]) -> None:
        self.may_act = may_act
        self.begun = self.stopped = False
        self.looks = 0
        self.moves: list[Move] = []
        self._start = start
        self.hang = False

    async def start(self) -> None:
        self.begun = True
        self._start()
        if self.hang:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True

    async def observe(self, now: datetime) -> Workloads:
        self.looks += 1
        view = FleetView("s21", RackMix({SLEEP: 2}), {}, LONG_AGO, LONG_AGO, LONG_AGO, LONG_AGO)
        return Workloads(now, synced=self.may_act(), fleets={"s21": view})

    async def apply(self, move: Move, reason: str, now: datetime) -> Ack:
        self.moves.append(move)
        return Ack(accepted=True, at=now)

    async def renew(self, until: datetime, now: datetime) -> None:
        pass


class NoMetrics:
    async def read(self, now: datetime) -> Telemetry:
        return Telemetry(now)


class Replica:
    """A candidate that runs, and who looks at it."""

    def __init__(self, settings: Settings, api: ClusterApi, timing: Timing, spans: Spans | None = None) -> None:
        self.drivers: list[FakeDriver] = []
        self.start: Callable[[], None] = lambda: None
        self.hang = False
        self.stopping = asyncio.Event()
        self.election = Election(api, "w-leader", "w-0_1234", timing=timing)
        self.candidate = Candidate(
            settings,
            Sources(PushedPrices(), open_series(settings), NoMetrics()),
            self.election,
            LeaderLabel(api, "w-0"),
            open_driver=self._driver,
            stopping=self.stopping,
            tell=lambda text: None,
            spans=spans,
        )
        transport = httpx.ASGITransport(self.candidate.front, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")

    def _begin(self) -> None:
        self.start()

    def _driver(self) -> FakeDriver:
        driver = FakeDriver(lambda: self.election.held, self._begin)
        driver.hang = self.hang
        self.drivers.append(driver)
        return driver

    async def status(self, path: str) -> int:
        return (await self.client.get(path)).status_code

    async def leads(self) -> bool:
        return await self.status("/api/v1/site") == 200

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - what it looks at tells nobody
                await asyncio.sleep(0.01)

    async def until_leads(self, leads: bool = True) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.leads() != leads:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)


@pytest.fixture
def settings(site_file: Path) -> Settings:
    settings = load_settings(site_file, {})
    settings.state_dir.mkdir()
    return settings


@asynccontextmanager
async def running(
    settings: Settings, api: ClusterApi, timing: Timing | None = None, spans: Spans | None = None
) -> AsyncIterator[Replica]:
    """A replica, told to stop at the end; it has to end by itself."""
    replica = Replica(settings, api, timing or Timing(), spans)
    running = asyncio.create_task(replica.candidate.run())
    try:
        yield replica
    finally:
        replica.stopping.set()
        await asyncio.wait_for(running, PATIENCE_S)
        await replica.client.aclose()


@pytest.fixture
async def pod(fake_api: "FakeApi") -> Callable[[], str | None]:
    """The leader's label on the replica's pod. It has one at first: a pod keeps it when its container is killed."""
    await fake_api.put(POD, {"metadata": {"labels": {"app": "w", "wattshift.dev/leader": "true"}}})

    def label() -> str | None:
        assert fake_api.objects[POD]["metadata"]["labels"]["app"] == "w"
        found: str | None = fake_api.objects[POD]["metadata"]["labels"].get("wattshift.dev/leader")
        return found

    return label


async def take_lease(fake_api: "FakeApi", holder: str) -> None:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 3600, "renewTime": "2023-09-06T20:00:00.000000Z"}
    await fake_api.put(LEASE, {"metadata": {}, "spec": spec})


async def test_a_standby_is_well_and_names_the_leader(
    settings: Settings, cluster_api: ClusterApi, fake_api: "FakeApi", pod: Callable[[], str | None]
) -> None:
    await take_lease(fake_api, "w-1_abcd")
    async with running(settings, cluster_api) as replica:
        await replica.until(lambda: replica.election.leader == "w-1_abcd")
        await fake_api.wait(lambda: pod() is None)
        assert await replica.status("/healthz") == 200
        ready = await replica.client.get("/readyz")
        assert (ready.status_code, ready.json()["leader"], ready.json()["standby"]) == (200, "w-1_abcd", True)
        metrics = (await replica.client.get("/metrics")).text
        assert [line for line in metrics.splitlines() if line.startswith("wattshift_")] == [
            f'wattshift_build_info{{site="tiny",version="{orchestrator.__version__}"}} 1.0',
            'wattshift_site_info{simulated="false",site="tiny",speed="1"} 1.0',
            'wattshift_site_speed_ratio{site="tiny"} 1.0',
            'wattshift_leader{site="tiny"} 0.0',
            'wattshift_store_shared{site="tiny"} 0.0',
        ]
        for path in ("/", "/api/v1/state", "/docs"):
            answer = await replica.client.get(path)
            assert answer.status_code == 503, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "2"
            assert "w-1_abcd leads" in answer.json()["detail"]
        posted = await replica.client.post("/api/v1/curtailments", json={"limit_kw": 1})
        assert posted.status_code == 503
        assert not replica.drivers
    assert not list(settings.state_dir.iterdir()), "a standby opens no store"
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == "w-1_abcd"


async def test_who_leads_is_logged_once_and_traces_its_decisions(
    settings: Settings, cluster_api: ClusterApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    caplog.set_level("INFO", logger="orchestrator")
    spans = Spans(settings.site.name)
    patient = Timing(lease_s=300.0, renew_every_s=1.0, renew_deadline_s=200.0, look_every_s=0.1, request_s=100.0)
    async with running(settings, cluster_api, patient, spans) as replica:
        await replica.until_leads()
        order = {"limit_kw": 1, "for_minutes": 1, "reason": "answered, if only by nothing to do"}
        (await replica.client.post("/api/v1/curtailments", json=order)).raise_for_status()
    await asyncio.to_thread(spans.close)
    collector.stop()
    decided = {vars(record)["decision_id"] for record in caplog.records if record.message.startswith("decided")}
    assert decided
    assert {span.attributes["wattshift.decision.id"] for span in collector.spans} == decided
    assert {"decision", "observe", "assess", "decide", "record", "act"} <= {span.name for span in collector.spans}
    assert len([record for record in caplog.records if record.message == "w-0_1234 leads"]) == 1
    assert len([record for record in caplog.records if record.message == "w-0_1234 stands by"]) == 1


async def test_a_standby_is_guarded_as_the_api_is(settings: Settings, cluster_api: ClusterApi) -> None:
    await_key = replace(settings, api_key="k" * 16)
    replica = Replica(await_key, cluster_api, QUICK)
    assert await replica.status("/healthz") == 200
    assert await replica.status("/metrics") == 401
    assert await replica.status("/api/v1/state") == 401
    keyless = Replica(settings, cluster_api, QUICK)
    answer = await keyless.client.get("/metrics", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    await replica.client.aclose()
    await keyless.client.aclose()


async def test_the_elected_one_controls_and_a_stop_settles_and_releases(
    settings: Settings, cluster_api: ClusterApi, fake_api: "FakeApi", pod: Callable[[], str | None]
) -> None:
    async with running(settings, cluster_api) as replica:
        await replica.until_leads()
        await fake_api.wait(lambda: pod() == "true")
        (driver,) = replica.drivers
        await replica.until(lambda: driver.looks > 1)
        assert await replica.status("/healthz") == 200
        metrics = (await replica.client.get("/metrics")).text
        assert 'wattshift_leader{site="tiny"} 1.0' in metrics
        assert re.search(r"^wattshift_build_info", metrics, re.MULTILINE)
        rounds = re.search(r'^wattshift_rounds_total\{result="ok",site="tiny"\} (.*)$', metrics, re.MULTILINE)
        assert rounds is not None
        assert float(rounds[1]) >= 1.0
        assert "wattshift_fleet_racks_awake" in metrics
        looks = driver.looks
    assert driver.looks > looks, "the last round"
    assert driver.stopped
    assert pod() is None
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == ""
    store = SqlStore.open(settings.store_url)  # closed: another may have it
    assert store.restore(datetime.now(UTC)).last_observation is not None
    store.close()


async def test_a_lost_lease_ends_the_control_and_the_process_stands_by_and_leads_again(
    settings: Settings,
    cluster_api: ClusterApi,
    fake_api: "FakeApi",
    pod: Callable[[], str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled: list[LiveSite] = []
    pause = LiveSite.pause

    async def paused(live: LiveSite) -> None:
        settled.append(live)
        await pause(live)

    monkeypatch.setattr(LiveSite, "pause", paused)
    async with running(settings, cluster_api, QUICK) as replica:
        await replica.until_leads()
        first = replica.drivers[0]
        await take_lease(fake_api, "w-1_abcd")
        await replica.until_leads(False)
        await replica.until(lambda: first.stopped)
        await fake_api.wait(lambda: pod() is None)
        looks = first.looks
        assert not first.may_act()
        assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == "w-1_abcd", "what is another's is not released"
        await fake_api.put(LEASE, {"metadata": {}, "spec": {"holderIdentity": ""}})
        await replica.until_leads()
        assert first.looks == looks, "nothing more by the driver of the first term"
        assert not settled, "what is left is the next leader's to settle"
        assert len(replica.drivers) == 2
        await fake_api.wait(lambda: pod() == "true")


async def test_an_api_server_that_says_nothing_ends_the_control_before_another_could_lead(
    settings: Settings, cluster_api: ClusterApi, fake_api: "FakeApi", pod: Callable[[], str | None]
) -> None:
    async with running(settings, cluster_api, QUICK) as replica:
        await replica.until_leads()
        await fake_api.wait(lambda: pod() == "true")
        fake_api.pause()
        await replica.until_leads(False)
        assert not replica.election.held
        assert await replica.status("/healthz") == 200, "a restart would change nothing"
        await replica.until(lambda: replica.drivers[0].stopped)
        fake_api.resume()
        await replica.until_leads()
        await fake_api.wait(lambda: pod() == "true")


async def test_a_store_that_is_in_use_is_left_to_the_other_and_tried_again(
    settings: Settings,
    cluster_api: ClusterApi,
    fake_api: "FakeApi",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(candidate_module, "AGAIN_AFTER_S", 0.05)
    other = SqlStore.open(settings.store_url)
    async with running(settings, cluster_api) as replica:
        await fake_api.wait(lambda: released(fake_api) > 1)
        assert await replica.status("/healthz") == 200
        assert not await replica.leads()
        other.close()
        await replica.until_leads()
    assert "is in use" in caplog.text


async def test_a_driver_that_cannot_begin_gives_the_lead_up_and_tries_again(
    settings: Settings, cluster_api: ClusterApi, fake_api: "FakeApi", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_module, "AGAIN_AFTER_S", 0.05)
    troubles = [ApiError(403, "jobs is forbidden"), RuntimeError("something nobody thought of")]

    def start() -> None:
        if troubles:
            raise troubles.pop()

    async with running(settings, cluster_api) as replica:
        replica.start = start
        await replica.until_leads()
        assert [driver.stopped for driver in replica.drivers] == [True, True, False]
        assert released(fake_api) == 2


async def test_a_stop_while_the_view_is_built_up_ends_at_once(
    settings: Settings, cluster_api: ClusterApi, fake_api: "FakeApi"
) -> None:
    async with running(settings, cluster_api) as replica:
        replica.hang = True
        await replica.until(lambda: any(driver.begun for driver in replica.drivers))
    assert replica.drivers[0].stopped
    assert fake_api.objects[LEASE]["spec"]["holderIdentity"] == ""


async def test_a_leader_whose_store_was_taken_over_steps_down(
    settings: Settings,
    cluster_api: ClusterApi,
    fake_api: "FakeApi",
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidate_module, "AGAIN_AFTER_S", 0.05)
    async with running(replace(settings, store_url=postgres_url), cluster_api) as replica:
        await replica.until_leads()
        other = await asyncio.to_thread(SqlStore.open, postgres_url)
        await replica.until(lambda: replica.drivers[0].stopped)
        await fake_api.wait(lambda: released(fake_api) > 0)
        await replica.until_leads()
        other.close()


async def test_a_round_that_never_ends_is_seen_by_whoever_restarts(
    settings: Settings, cluster_api: ClusterApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_module, "SETTLE_S", 0.2)
    monkeypatch.setattr(readiness, "STUCK_S", 0.5)
    quick = replace(settings, site=replace(settings.site, controls=replace(settings.site.controls, tick=TENTH)))
    async with running(quick, cluster_api) as replica:
        await replica.until_leads()
        (driver,) = replica.drivers
        await replica.until(lambda: driver.looks > 0)

        async def fail(now: datetime) -> Workloads:
            driver.looks += 1
            raise RuntimeError("a round that fails")

        monkeypatch.setattr(driver, "observe", fail)
        looks = driver.looks
        await replica.until(lambda: driver.looks > looks + 1)
        monkeypatch.setattr(readiness, "STUCK_S", PATIENCE_S)
        assert await replica.status("/healthz") == 200, "a round that fails has ended"
        monkeypatch.setattr(readiness, "STUCK_S", 0.5)
        monkeypatch.setattr(driver, "observe", hang)
        async with asyncio.timeout(PATIENCE_S):
            while await replica.status("/healthz") != 503:  # noqa: ASYNC110 - what it looks at tells nobody
                await asyncio.sleep(0.05)
        assert "loop is stuck" in (await replica.client.get("/healthz")).json()["detail"]


async def hang(now: datetime) -> Workloads:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_stop_with_everything_gone_ends_in_a_few_seconds(
    settings: Settings, cluster_api: ClusterApi, fake_api: "FakeApi", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the last round, which hangs, nor the API server, which says nothing, keeps it."""
    monkeypatch.setattr(candidate_module, "SETTLE_S", 0.2)
    monkeypatch.setattr(candidate_module, "LABEL_S", 0.2)
    async with running(settings, cluster_api) as replica:
        await replica.until_leads()
        (driver,) = replica.drivers
        await replica.until(lambda: driver.looks > 0)
        monkeypatch.setattr(driver, "observe", hang)
        fake_api.pause()
    assert driver.stopped
    assert not replica.election.held


def released(fake_api: "FakeApi") -> int:
    """How often the lease was given back so far."""
    return sum(1 for body in fake_api.bodies if body.get("spec", {}).get("holderIdentity") == "")
