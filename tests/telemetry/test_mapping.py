"""What exporters show, read as the mapping says, through both adapters."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from orchestrator.clock import wall_clock
from orchestrator.domain.observation import Quality, Reading, Telemetry
from orchestrator.runtime.feeds import DeviceMetrics, open_devices
from tests.prometheus_server import prometheus_server
from tests.telemetry.conftest import Scenes, SmallSite, prometheus_config
from tests.telemetry.exporter_scenes import SCENES, Scene

PATIENCE_S = 240.0
"""Longer than a second exporter of one device is taken for the one that replaces it (`series.OVERLAP_S`)."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    folder = tmp_path_factory.mktemp("scenes")
    with Scenes(folder, {name: (scene.shown, scene.honor_labels) for name, scene in SCENES.items()}) as made:
        yield made


@pytest.fixture(scope="module")
def prometheus_url(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all scenes."""
    with prometheus_server(tmp_path_factory.mktemp("prometheus"), prometheus_config(scenes.folder)) as server:
        targets, deadline = sum(len(scene.shown) for scene in SCENES.values()), time.monotonic() + PATIENCE_S
        while len(server.query("up == 1", time.time())) < targets:
            assert time.monotonic() < deadline, "not all exporters are scraped"
            time.sleep(0.1)
        yield server.url


@pytest.fixture(params=[(name, kind) for name, scene in SCENES.items() for kind in scene.kinds], ids="-".join)
async def scene(
    request: pytest.FixtureRequest, scenes: Scenes, small_site: SmallSite
) -> AsyncIterator[tuple[Scene, DeviceMetrics]]:
    name, kind = request.param
    url = request.getfixturevalue("prometheus_url") if kind == "prometheus" else None
    of_site = f"match: {{site: {name}}}\n{SCENES[name].telemetry}"
    settings = small_site(of_site, url)
    async with httpx.AsyncClient() as client:
        source = open_devices(settings, scenes.targets(name), client, wall_clock())
        yield SCENES[name], source
        await source.close()


def now() -> datetime:
    return datetime.now(UTC)


def fits(scene: Scene, telemetry: Telemetry) -> bool:
    """Whether all that is to be read has been."""
    found = [(key, telemetry.get(*key)) for key in (*scene.values, *scene.suspect)]
    return all(reading.value is not None for _, reading in found)


async def test_what_exporters_show_is_read_as_the_mapping_says(scene: tuple[Scene, DeviceMetrics]) -> None:
    wanted, source = scene
    deadline = time.monotonic() + PATIENCE_S
    while True:
        telemetry = await source.read(now())
        told = [*source.problems.values(), *source.notes.values()]
        if fits(wanted, telemetry) and (not wanted.told or any(re.search(wanted.told, text) for text in told)):
            break
        assert time.monotonic() < deadline, (list(telemetry), told)
        await asyncio.sleep(0.05)
    for key, value in wanted.values.items():
        reading: Reading = telemetry.get(*key)
        assert reading.value == pytest.approx(value, rel=1e-9), key
        assert (reading.quality, reading.unit) == (Quality.FRESH, key[0].unit)
        assert reading.at is not None
        assert abs((now() - reading.at).total_seconds()) < PATIENCE_S
    for key, reason in wanted.suspect.items():
        reading = telemetry.get(*key)
        assert reading.quality is Quality.SUSPECT
        assert re.search(reason, reading.reason)
    for key in wanted.missing:
        assert telemetry.get(*key).quality is Quality.MISSING, key
    if not wanted.told:
        assert told == []
