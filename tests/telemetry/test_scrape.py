"""The built-in scraper beyond the port: targets that hang, files that are damaged, pages of anything."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.adapters.telemetry import series
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.clock import SiteClock, wall_clock
from orchestrator.domain.observation import Metric, Quality
from orchestrator.domain.series.series import Combine, Label, Series, SeriesMap, Whole
from orchestrator.observe.readings.plausibility import suspects_of

NODE = 'kepler_platform_watts{{Hostname="{0}"}} {1}\n'


class Site:
    """Targets `a` and `b` over a transport in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock: SiteClock = wall_clock()
        self.pages: dict[str, bytes] = {}
        self.hung: dict[str, asyncio.Event] = {}
        self.requests: list[str] = []
        for host in ("a", "b"):
            self.pages[host] = NODE.format(host, 2000).encode()
            (folder / f"{host}.json").write_text(json.dumps([{"targets": [host], "labels": {"job": "gpu"}}]))
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.source = ScrapedMetrics(folder, self.client, self.clock, timeout_s=0.2)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        self.requests.append(host)
        if host in self.hung:
            await self.hung[host].wait()
        return httpx.Response(200, content=self.pages[host])

    async def watts(self, host: str) -> float | None:
        return (await self.source.read(datetime.now(UTC))).get(Metric.NODE_POWER, host).value


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    async with made.client:
        yield made
        await made.source.close()


async def test_a_hung_target_holds_up_no_other_and_is_asked_once(site: Site) -> None:
    assert await site.watts("a") == 2000.0
    site.hung["a"] = asyncio.Event()
    for watts in (2100.0, 2200.0, 2300.0):
        site.pages["b"] = NODE.format("b", watts).encode()
        telemetry = await site.source.read(datetime.now(UTC))
        assert telemetry.get(Metric.NODE_POWER, "a").value == 2000.0
        assert telemetry.get(Metric.NODE_POWER, "b").value == watts
    assert site.requests.count("a") == 2
    assert "no answer" in site.source.problems["a"]
    assert telemetry.problems == {"a": "no answer within 0.2 s"}

    site.pages["a"] = NODE.format("a", 70).encode()
    site.hung.pop("a").set()
    deadline = time.monotonic() + 60.0
    while await site.watts("a") != 70.0:
        assert time.monotonic() < deadline
    assert "a" not in site.source.problems


async def test_a_target_that_is_gone_is_asked_no_more_and_is_no_problem(site: Site) -> None:
    site.pages["a"] = b"garbage"
    await site.watts("a")
    assert list(site.source.problems) == ["a"]
    (site.folder / "a.json").unlink()
    asked = site.requests.count("a")
    await site.watts("a")
    assert site.requests.count("a") == asked
    assert site.source.problems == {}


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"labels": {}}]', '[{"targets": "a"}]'])
async def test_a_damaged_file_of_targets_is_named_and_its_last_targets_hold(site: Site, text: str) -> None:
    assert await site.watts("a") == 2000.0
    (site.folder / "a.json").write_text(text)
    site.pages["a"] = NODE.format("a", 70).encode()
    assert await site.watts("a") == 70.0
    assert "file_sd" in site.source.problems["a.json"]


async def test_a_folder_that_is_not_there_yet_has_no_targets(tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        telemetry = await ScrapedMetrics(tmp_path / "targets", client, wall_clock()).read(datetime.now(UTC))
    assert len(telemetry) == 0


async def test_a_line_without_labels_is_told_and_leaves_the_others_good(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator.adapters.telemetry.scrape")
    site.pages["a"] = b"kepler_platform_watts 5\n" + NODE.format("a", 2100).encode()
    for _ in range(3):
        assert await site.watts("a") == 2100.0
    assert "kepler_platform_watts has no label 'Hostname', but instance" in site.source.problems["a"]
    (told,) = caplog.messages
    assert told.startswith("telemetry from exporters fails: a: kepler_platform_watts has no label 'Hostname'")
    site.pages["a"] = NODE.format("a", 2100).encode()
    await site.watts("a")
    assert caplog.messages == [told, "telemetry from exporters comes again"]


async def test_an_exporter_that_is_replaced_is_no_second_one_for_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await site.watts("a") == 2000.0
    site.pages["b"] = NODE.format("a", 2200).encode()
    for _ in range(3):
        reading = (await site.source.read(datetime.now(UTC))).get(Metric.NODE_POWER, "a")
        assert (reading.value, reading.quality) == (2200.0, Quality.FRESH)
    monkeypatch.setattr(series, "OVERLAP_S", 0.0)
    reading = (await site.source.read(datetime.now(UTC))).get(Metric.NODE_POWER, "a")
    assert reading.quality is Quality.SUSPECT
    assert reading.reason.startswith("2 series of kepler_platform_watts for one device")
    (site.folder / "b.json").unlink()
    reading = (await site.source.read(datetime.now(UTC))).get(Metric.NODE_POWER, "a")
    assert (reading.value, reading.quality) == (2000.0, Quality.FRESH)


async def test_a_part_whose_exporter_has_stopped_is_silent_and_not_as_it_was(tmp_path: Path) -> None:
    site = Site(tmp_path)
    wholes = {"n": Whole(2, 1000.0)}
    power = Series(Metric.NODE_POWER, "psu_watts", (Label("node"),), ("psu",), Combine.SUM, wholes=wholes)
    async with site.client:
        mapping = SeriesMap((power,), timedelta(seconds=0.0))
        source = ScrapedMetrics(tmp_path, site.client, site.clock, mapping, timeout_s=0.2)
        for host, watts in (("a", 300), ("b", 400)):
            site.pages[host] = f'psu_watts{{node="n",psu="{host}"}} {watts}\n'.encode()
        site.pages["b"] = b"psu_watts"
        telemetry = await source.read(datetime.now(UTC))
        reading = telemetry.get(Metric.NODE_POWER, "n")
        assert reading.value == 300.0 + 1000.0
        assert reading.assumed == 1000.0
        assert telemetry.partial == {"n": "psu_watts of n: 1 of 2 answer; the others count at 1000 W"}
        assert source.notes == {"kepler_platform_watts n": "psu_watts of n: 1 of 2 answer; the others count at 1000 W"}
        await source.close()


async def test_labels_of_the_target_are_those_of_its_series_where_they_have_none(tmp_path: Path) -> None:
    site = Site(tmp_path)
    groups = [{"targets": ["a"], "labels": {"node": "n", "job": "gpu"}}, {"targets": ["b"]}]
    (tmp_path / "a.json").write_text(json.dumps(groups))
    site.pages["a"] = b'watts{psu="0"} 300\nhpc_job_progress_gpu_seconds{tenant="lab"} 7\n'
    site.pages["b"] = b'watts{node="m"} 500\n'
    power = Series(Metric.NODE_POWER, "watts", (Label("node"),))
    progress = Series(Metric.JOB_PROGRESS, "hpc_job_progress_gpu_seconds", (Label("job"),))
    async with site.client:
        source = ScrapedMetrics(tmp_path, site.client, site.clock, SeriesMap((power, progress)), timeout_s=5.0)
        telemetry = await source.read(datetime.now(UTC))
        assert telemetry.subjects(Metric.NODE_POWER) == ("m", "n")
        assert telemetry.subjects(Metric.JOB_PROGRESS) == ()  # a series without its job's name is of no job
        await source.close()


async def test_one_bad_value_leaves_the_others_of_the_page_good(site: Site) -> None:
    gpu = 'DCGM_FI_DEV_POWER_USAGE{{Hostname="a",gpu="{0}"}} {1}\n'
    site.pages["a"] = (NODE.format("a", 2100) + gpu.format(0, 650) + gpu.format(1, "NaN")).encode()
    telemetry = await site.source.read(datetime.now(UTC))
    assert telemetry.get(Metric.NODE_POWER, "a").value == 2100.0
    assert telemetry.get(Metric.GPU_POWER, "a").value is None
    assert "DCGM_FI_DEV_POWER_USAGE of a is nan W" in site.source.problems["a"]


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=400_000)], ids=["an hour", "no date"])
async def test_a_time_that_is_to_come_makes_no_reading(site: Site, ahead: timedelta) -> None:
    labels = '{fleet="s21",rack="rack-0"}'
    seen = time.time() + ahead.total_seconds() * 10
    site.pages["a"] = f"asic_power_watts{labels} 34000\nasic_last_seen_timestamp_seconds{labels} {seen}\n".encode()
    telemetry = await site.source.read(datetime.now(UTC))
    assert telemetry.get(Metric.ASIC_POWER, "s21/rack-0").value is None
    assert "a" in site.source.problems


async def test_a_value_that_is_no_reading_is_named_until_a_good_one_comes(site: Site) -> None:
    site.pages["a"] = NODE.format("a", 2100).encode()
    await site.source.read(datetime.now(UTC))
    site.pages["a"] = (NODE.format("a", -5) + NODE.format("c", "+Inf")).encode()
    telemetry = await site.source.read(datetime.now(UTC))
    assert telemetry.get(Metric.NODE_POWER, "a").value == 2100.0  # which grows old
    assert suspects_of(telemetry) == {"a": "kepler_platform_watts is -5 W", "c": "kepler_platform_watts is inf W"}
    labels = '{fleet="s21",rack="rack-0"}'
    seen = time.time() + 36_000.0
    site.pages["a"] = (
        NODE.format("a", 2200) + f"asic_power_watts{labels} 34000\nasic_last_seen_timestamp_seconds{labels} {seen}\n"
    ).encode()
    found = suspects_of(await site.source.read(datetime.now(UTC)))
    assert found.keys() == {"c", "s21/rack-0"}
    assert "which is to come" in found["s21/rack-0"]
    assert suspects_of(await site.source.read(datetime.now(UTC) + timedelta(days=1))) == {}


LINES = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(sorted(metric.value for metric in Metric)).flatmap(
            lambda name: st.text(alphabet='{}=",\\ 0123456789.eE+-NaNInf#\t' + "Hostname gpu", max_size=40).map(
                lambda rest: name + rest
            )
        ),
    ),
    max_size=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES)
def test_no_page_raises_or_makes_a_reading_of_what_is_none(tmp_path: Path, lines: list[str]) -> None:
    async def read() -> None:
        site = Site(tmp_path)
        site.pages["a"] = ("\n".join(lines) + "\n").encode()
        async with site.client:
            telemetry = await site.source.read(datetime.now(UTC))
            await site.source.close()
        assert telemetry.get(Metric.NODE_POWER, "b").value == 2000.0
        for sample in telemetry:
            assert sample.reading.value is not None
            assert sample.reading.value >= 0.0 or sample.metric is Metric.ASIC_TEMPERATURE

    asyncio.run(read())
