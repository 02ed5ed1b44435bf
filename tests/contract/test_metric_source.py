"""What every metric source does: one suite on the built-in scraper, a real Prometheus server and the virtual site."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from orchestrator.adapters.telemetry.prometheus import PrometheusMetrics
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import RunJob
from orchestrator.domain.metering.points import SeriesPoint
from orchestrator.domain.observation import Metric, Quality, Telemetry
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job
from orchestrator.ports import MetricSource
from orchestrator.sim.virtual import VirtualSite
from tests.exporter import Exporter
from tests.prometheus_server import prometheus_server

START = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


class World(Protocol):
    """A rack s21/rack-0, the nodes h100-node-0 and -1 and job train, all measured by `source`."""

    @property
    def source(self) -> MetricSource: ...

    def now(self) -> datetime: ...

    async def pass_time(self) -> None:
        """Let a little site time pass."""
        ...

    def silence(self, subject: str) -> None:
        """The exporter of `subject` stops answering; the device goes on."""
        ...

    def hang_rack(self) -> None:
        """The machines of the rack stop answering; its exporter goes on and says since when."""
        ...


class VirtualWorld:
    def __init__(self, site: Site, job: Job) -> None:
        grid = replace(site.grid, meter=SeriesPoint("grid"))
        self._site = VirtualSite(replace(site, grid=grid), start=START, seed=1, awake=True)
        self._site.submit(job, START)

    @property
    def source(self) -> VirtualSite:
        return self._site

    def now(self) -> datetime:
        return self._site.now

    async def pass_time(self) -> None:
        self._site.advance(self.now() + timedelta(seconds=30))

    def silence(self, subject: str) -> None:
        self._site.silence(subject)

    def hang_rack(self) -> None:
        self._site.hang("s21/rack-0")


class ScrapedWorld:
    """Exporters over HTTP, one for the rack, one for the nodes, one for the job; a minute of site time takes 1 s."""

    def __init__(self, targets: Path) -> None:
        self.clock = SiteClock(time.time(), START, 60.0)
        self.targets = targets
        self.gpu_watts = 0.0
        self.rack_watts = 0.0
        self._rack_seen: datetime | None = None
        self.exporters = {name: Exporter() for name in ("s21/rack-0", "h100-node-0", "train")}
        self._source: MetricSource | None = None
        self.make_well()

    def make_well(self) -> None:
        """Every exporter is there and answers, whatever a test did to it."""
        self.gpu_watts = 650.0
        self.rack_watts = 34_000.0
        self._rack_seen = None
        self.exporters["s21/rack-0"].page = self.rack_page
        self.exporters["h100-node-0"].page = self.nodes_page
        self.exporters["train"].page = self.job_page
        for name, exporter in self.exporters.items():
            exporter.status, exporter.missing_bytes = 200, 0
            exporter.wake()
            self.announce(name, exporter)

    @property
    def source(self) -> MetricSource:
        assert self._source is not None
        return self._source

    @source.setter
    def source(self, source: MetricSource) -> None:
        self._source = source

    def now(self) -> datetime:
        return self.clock.at(time.time())

    async def pass_time(self) -> None:
        await asyncio.sleep(0.05)

    def silence(self, subject: str) -> None:
        self.exporters[subject].hang()

    def hang_rack(self) -> None:
        self._rack_seen = self.now()

    def announce(self, name: str, exporter: Exporter) -> None:
        file = self.targets / f"{name.replace('/', '_')}.json"
        text = json.dumps([{"targets": [exporter.target], "labels": {"job": "test"}}])
        if not file.exists() or file.read_text() != text:
            new = file.with_suffix(".new")
            new.write_text(text)
            new.replace(file)

    def rack_page(self) -> str:
        labels = '{fleet="s21",rack="rack-0",model="Antminer S21"}'
        seen = (self._rack_seen or self.now()).timestamp()
        return (
            "# HELP asic_power_watts Power.\n# TYPE asic_power_watts gauge\n"
            f"asic_power_watts{labels} {self.rack_watts}\n"
            f"asic_hashrate_hashes_per_second{labels} 1.97e+15\n"
            f"asic_temperature_celsius{labels} -3.5\n"
            f"# TYPE asic_energy_joules_total counter\nasic_energy_joules_total{labels} 5e+09\n"
            f"asic_hashes_total{labels} 2e+20\n"
            f"asic_last_seen_timestamp_seconds{labels} {seen}\n"
            f"asic_unrelated{labels} 7\n"
        )

    def nodes_page(self) -> str:
        lines = []
        for node in ("h100-node-0", "h100-node-1"):
            for gpu in range(4):
                labels = f'gpu="{gpu}",UUID="GPU-{node}-{gpu}",Hostname="{node}",pod="a job, with a {{brace}}"'
                lines.append(f"DCGM_FI_DEV_POWER_USAGE{{{labels}}} {self.gpu_watts + gpu}")
                lines.append(f"DCGM_FI_DEV_GPU_TEMP{{{labels}}} 60")
            lines.append(f'kepler_platform_watts{{Hostname="{node}",pool="h100"}} {1800 + 4 * self.gpu_watts}')
            lines.append(f'kepler_node_platform_joules_total{{Hostname="{node}",pool="h100"}} 1e+09')
        return "\n".join(lines) + "\n" + self.meters_page()

    def meters_page(self) -> str:
        return 'meter_power_watts{meter="grid"} 4e+07\nmeter_energy_joules_total{meter="grid"} 9e+12\n'

    def job_page(self) -> str:
        labels = '{job="train",tenant="lab"}'
        return f"hpc_job_progress_gpu_seconds{labels} 1200\nhpc_job_checkpoint_gpu_seconds{labels} 900\n"


@pytest.fixture(scope="module")
def exporters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScrapedWorld]:
    world = ScrapedWorld(tmp_path_factory.mktemp("targets"))
    try:
        yield world
    finally:
        for exporter in world.exporters.values():
            exporter.close()


@pytest.fixture(scope="module")
def prometheus_url(exporters: ScrapedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests, since it takes 5 s to find its first target."""
    config = (
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        "scrape_configs:\n"
        "  - job_name: site\n"
        "    honor_labels: true\n"
        f"    file_sd_configs: [{{files: ['{exporters.targets}/*.json'], refresh_interval: 1s}}]\n"
    )
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus_server(folder, config, ready_within_s=60.0) as server:
        yield server.url


@asynccontextmanager
async def measured(adapter: str, request: pytest.FixtureRequest, eventually: Eventually) -> AsyncIterator[ScrapedWorld]:
    """Exporters that answer, and a new source that has read all of them since."""
    world: ScrapedWorld = request.getfixturevalue("exporters")
    world.make_well()
    well_at = world.now()
    async with httpx.AsyncClient() as client:
        source: ScrapedMetrics | PrometheusMetrics
        if adapter == "scrape":
            source = ScrapedMetrics(world.targets, client, world.clock, timeout_s=0.5)
        else:
            source = PrometheusMetrics(request.getfixturevalue("prometheus_url"), client, world.clock)
        world.source = source
        try:
            await eventually(lambda: complete(world, well_at))
            yield world
        finally:
            await source.close()


@pytest.fixture(params=["scrape", "prometheus"])
async def scraped(
    request: pytest.FixtureRequest, tmp_path: Path, eventually: Eventually
) -> AsyncIterator[ScrapedWorld]:
    async with measured(request.param, request, eventually) as made:
        yield made


@pytest.fixture(params=["scrape", "prometheus", "virtual"])
async def world(
    request: pytest.FixtureRequest,
    eventually: Eventually,
    small_site: Site,
    job_of: Callable[..., Job],
) -> AsyncIterator[World]:
    if request.param == "virtual":
        virtual = VirtualWorld(small_site, job_of("train"))
        assert (await virtual.source.apply(RunJob("train"), "pays", virtual.now())).accepted
        yield virtual
        return
    async with measured(request.param, request, eventually) as made:
        yield made


async def read(world: World) -> Telemetry:
    await world.pass_time()
    return await world.source.read(world.now())


async def complete(world: World, since: datetime) -> bool:
    """Whether all has been measured since then."""
    telemetry = await read(world)
    times = [
        telemetry.get(metric, subject).at
        for metric, subject in (
            (Metric.ASIC_POWER, "s21/rack-0"),
            (Metric.NODE_POWER, "h100-node-0"),
            (Metric.NODE_POWER, "h100-node-1"),
            (Metric.JOB_PROGRESS, "train"),
        )
    ]
    return all(at is not None and at > since for at in times)


async def newer(world: World, metric: Metric, subject: str, than: Telemetry) -> bool:
    """Whether the subject has been measured again since."""
    at, old = (await read(world)).get(metric, subject).at, than.get(metric, subject).at
    return at is not None and old is not None and at > old


# What all sources do


@pytest.mark.parametrize(
    ("metric", "subject", "unit"),
    [
        (Metric.ASIC_POWER, "s21/rack-0", "W"),
        (Metric.ASIC_ENERGY, "s21/rack-0", "J"),
        (Metric.ASIC_HASHRATE, "s21/rack-0", "H/s"),
        (Metric.ASIC_HASHES, "s21/rack-0", "H"),
        (Metric.ASIC_TEMPERATURE, "s21/rack-0", "degC"),
        (Metric.GPU_POWER, "h100-node-0", "W"),
        (Metric.NODE_POWER, "h100-node-1", "W"),
        (Metric.NODE_ENERGY, "h100-node-0", "J"),
        (Metric.JOB_PROGRESS, "train", "GPU s"),
        (Metric.JOB_CHECKPOINT, "train", "GPU s"),
        (Metric.METER_POWER, "grid", "W"),
        (Metric.METER_ENERGY, "grid", "J"),
    ],
    ids=lambda value: str(value) if isinstance(value, Metric) else "",
)
async def test_readings_carry_value_unit_and_time(world: World, metric: Metric, subject: str, unit: str) -> None:
    telemetry = await read(world)
    reading = telemetry.get(metric, subject)
    assert reading.quality is Quality.FRESH
    assert reading.value is not None
    assert reading.unit == unit
    assert reading.at is not None
    assert START <= reading.at <= world.now()
    assert subject in telemetry.subjects(metric)


async def test_what_was_never_measured_is_missing_and_not_zero(world: World) -> None:
    telemetry = await read(world)
    for metric, subject in ((Metric.ASIC_POWER, "s21/rack-99"), (Metric.NODE_POWER, "a100-node-0")):
        reading = telemetry.get(metric, subject)
        assert (reading.quality, reading.value, reading.at) == (Quality.MISSING, None, None)
        assert subject not in telemetry.subjects(metric)


@pytest.mark.parametrize(
    ("metric", "subject", "other", "other_subject"),
    [
        (Metric.ASIC_POWER, "s21/rack-0", Metric.NODE_POWER, "h100-node-0"),
        (Metric.NODE_POWER, "h100-node-0", Metric.ASIC_POWER, "s21/rack-0"),
        (Metric.JOB_PROGRESS, "train", Metric.ASIC_POWER, "s21/rack-0"),
    ],
    ids=["rack", "node", "job"],
)
async def test_an_exporter_that_stops_answering_keeps_its_reading_and_its_age_shows(
    world: World, eventually: Eventually, metric: Metric, subject: str, other: Metric, other_subject: str
) -> None:
    await read(world)
    world.silence(subject)
    silent_at = world.now()
    before = await read(world)
    await eventually(lambda: newer(world, other, other_subject, before))
    last = await read(world)
    kept = last.get(metric, subject)
    assert kept.value is not None
    assert kept.at is not None
    assert kept.at <= silent_at
    fresh_for = timedelta(seconds=1)

    async def aged() -> bool:
        graded = (await read(world)).graded(world.now(), fresh_for).get(metric, subject)
        return graded.quality is Quality.STALE and graded.value is not None

    await eventually(aged)


async def test_a_rack_whose_machines_hang_shows_when_they_last_answered(world: World, eventually: Eventually) -> None:
    world.hang_rack()
    hung_at = world.now()
    before = await read(world)
    await eventually(lambda: newer(world, Metric.NODE_POWER, "h100-node-0", before))
    for metric in (Metric.ASIC_POWER, Metric.ASIC_ENERGY, Metric.ASIC_HASHRATE):
        reading = (await read(world)).get(metric, "s21/rack-0")
        assert reading.value is not None
        assert reading.at is not None
        # To the ms, which is as exact as an exposition's text is sure to be.
        assert reading.at <= hung_at + timedelta(milliseconds=1)


# What those do that read exporters


async def test_the_gpus_of_a_node_add_up(scraped: ScrapedWorld) -> None:
    telemetry = await read(scraped)
    for node in ("h100-node-0", "h100-node-1"):
        assert telemetry.get(Metric.GPU_POWER, node).value == 4 * 650.0 + 0 + 1 + 2 + 3


async def test_a_negative_temperature_is_one(scraped: ScrapedWorld) -> None:
    assert (await read(scraped)).get(Metric.ASIC_TEMPERATURE, "s21/rack-0").value == -3.5


def with_watts(watts: str) -> Callable[[Exporter, str], None]:
    def spoil(exporter: Exporter, page: str) -> None:
        exporter.page = lambda: page.replace("34000.0", watts)

    return spoil


def with_page(text: str) -> Callable[[Exporter, str], None]:
    def spoil(exporter: Exporter, page: str) -> None:
        exporter.page = lambda: text

    return spoil


def failing(exporter: Exporter, page: str) -> None:
    exporter.status = 500


def truncated(exporter: Exporter, page: str) -> None:
    exporter.missing_bytes = len(page) // 2


@pytest.mark.parametrize(
    "spoil",
    [
        with_watts("NaN"),
        with_watts("+Inf"),
        with_watts("-34000.0"),
        with_watts("lots"),
        with_page(""),
        with_page("<html><body>It works!</body></html>\n"),
        with_page('asic_power_watts{fleet="s21",rack="rack-0" 3\n'),
        with_page('asic_power_watts{fleet="s21",rack="rack-0"} 3\n'),
        failing,
        truncated,
    ],
    ids=[
        "NaN",
        "infinite",
        "negative",
        "no number",
        "empty",
        "a web page",
        "no metrics",
        "no time",
        "HTTP 500",
        "truncated",
    ],
)
async def test_garbage_leaves_the_reading_as_it_was(
    scraped: ScrapedWorld, eventually: Eventually, spoil: Callable[[Exporter, str], None]
) -> None:
    exporter = scraped.exporters["s21/rack-0"]
    spoil(exporter, scraped.rack_page())
    before = await read(scraped)
    await eventually(lambda: newer(scraped, Metric.NODE_POWER, "h100-node-0", before))
    for _ in range(3):
        reading = (await read(scraped)).get(Metric.ASIC_POWER, "s21/rack-0")
        assert reading.value == 34_000.0

    exporter.status, exporter.missing_bytes = 200, 0
    scraped.rack_watts = 150.0
    exporter.page = scraped.rack_page

    async def well_again() -> bool:
        return (await read(scraped)).get(Metric.ASIC_POWER, "s21/rack-0").value == 150.0

    await eventually(well_again)


async def test_a_restarted_exporter_is_found_at_its_new_address(scraped: ScrapedWorld, eventually: Eventually) -> None:
    scraped.exporters["h100-node-0"].close()
    before = await read(scraped)
    assert before.get(Metric.NODE_POWER, "h100-node-0").value == 1800 + 4 * 650.0
    scraped.gpu_watts = 70.0
    again = scraped.exporters["h100-node-0"] = Exporter()
    again.page = scraped.nodes_page
    scraped.announce("h100-node-0", again)

    async def found() -> bool:
        telemetry = await read(scraped)
        assert telemetry.get(Metric.GPU_POWER, "h100-node-0").value in {4 * 650.0 + 6, 4 * 70.0 + 6}  # never both
        return telemetry.get(Metric.NODE_POWER, "h100-node-0").value == 1800 + 4 * 70.0

    await eventually(found)


async def test_a_device_that_is_gone_keeps_its_last_reading(scraped: ScrapedWorld, eventually: Eventually) -> None:
    before = await read(scraped)
    (scraped.targets / "train.json").unlink()
    await eventually(lambda: newer(scraped, Metric.NODE_POWER, "h100-node-0", before))
    reading = (await read(scraped)).get(Metric.JOB_PROGRESS, "train")
    assert reading.value == 1200.0
    assert reading.at is not None
    in_two_days = await scraped.source.read(scraped.now() + timedelta(days=2))
    assert in_two_days.get(Metric.JOB_PROGRESS, "train").quality is Quality.MISSING
