"""The meters of a mock site as its processes have them: by their series and by Modbus, at once and of one truth."""

import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from orchestrator.adapters.telemetry.joined import with_meters
from orchestrator.adapters.telemetry.scrape import ScrapedMetrics
from orchestrator.adapters.workloads.processes.process_site import ProcessSite
from orchestrator.clock import SiteClock
from orchestrator.domain.decision import SetFleet
from orchestrator.domain.metering.points import MeteringPoint, ModbusPoint, SeriesPoint
from orchestrator.domain.observation import Metric, Telemetry
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder, Site
from orchestrator.sim.meters.meter_model import GAIN, NOISE

START = datetime(2023, 9, 6, 18, 0, tzinfo=UTC)
CLASS = max(GAIN) + 5 * NOISE
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class World:
    """Real processes of a small site with one meter by its series and one by Modbus."""

    def __init__(
        self, site: Site, devices: ProcessSite, clock: SiteClock, client: httpx.AsyncClient, run: Path
    ) -> None:
        self.site, self.devices, self.clock = site, devices, clock
        self.source = with_meters(ScrapedMetrics(run / "targets", client, clock), site.meters(), clock)

    async def read(self) -> Telemetry:
        return await self.source.read(self.clock.at(time.time()))


@pytest.fixture
async def world(small_site: Site, tmp_path: Path, free_port: int) -> AsyncIterator[World]:
    meters: dict[str, MeteringPoint] = {
        "grid": SeriesPoint("main"),
        "A": ModbusPoint("127.0.0.1", free_port, 9, None, None, False, "site.yaml:1: feeders[0].meter.modbus"),
    }
    site = replace(
        small_site,
        grid=replace(small_site.grid, meter=meters["grid"]),
        feeders=(Feeder("A", 200.0, meters["A"]),),
    )
    clock = SiteClock(time.time(), START, 1.0)
    devices = ProcessSite(site, tmp_path, clock, seed=5, nodes_per_exporter=1, stop_grace_s=0.5, pue=((START, 1.2),))
    try:
        await devices.start()
        async with httpx.AsyncClient() as client:
            made = World(site, devices, clock, client, tmp_path)
            try:
                yield made
            finally:
                await made.source.close()
    finally:
        await devices.stop()


async def test_both_ways_show_what_the_processes_draw(world: World, eventually: Eventually, tmp_path: Path) -> None:
    awake = SetFleet("s21", RackMix({"normal": 2, SLEEP: 1}))
    assert (await world.devices.apply(awake, "pays", world.clock.at(time.time()))).accepted

    async def true_to_the_devices() -> bool:
        telemetry = await world.read()
        racks = [telemetry.get(Metric.ASIC_POWER, rack).value for _, rack in world.site.racks()]
        nodes = [telemetry.get(Metric.NODE_POWER, node).value for _, node in world.site.nodes()]
        it_w = sum(value or 0.0 for value in (*racks, *nodes))
        metered = [telemetry.get(Metric.METER_POWER, name).value for name in ("grid", "A")]
        return it_w > 60_000.0 and all(
            value is not None and abs(value / (it_w * 1.2) - 1.0) < CLASS + 0.002 for value in metered
        )

    await eventually(true_to_the_devices)
    counted = [(await world.read()).get(Metric.METER_ENERGY, name).value for name in ("grid", "A")]
    assert all(value is not None for value in counted)

    async def energy_goes_on() -> bool:
        now = (await world.read()).get(Metric.METER_ENERGY, "grid").value
        return now is not None and counted[0] is not None and now > counted[0]

    await eventually(energy_goes_on)
    endpoints = json.loads((tmp_path / "endpoints" / "meters").read_text())
    assert {name: place["unit"] for name, place in endpoints.items()} == {"A": 9, "grid": 1}


async def test_a_device_that_hangs_is_still_metered(world: World, eventually: Eventually, tmp_path: Path) -> None:
    """The exporter stops answering; what it drew last comes by the meter all the same."""

    async def metered() -> bool:
        return (await world.read()).get(Metric.METER_POWER, "grid").value is not None

    await eventually(metered)
    before = (await world.read()).get(Metric.METER_POWER, "grid").value
    pid = int(json.loads((tmp_path / "processes" / "gpu_h100-node-0.json").read_text())["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        stopped_at = world.clock.at(time.time())

        async def metered_since() -> bool:
            telemetry = await world.read()
            grid, node = telemetry.get(Metric.METER_POWER, "grid"), telemetry.get(Metric.NODE_POWER, "h100-node-0")
            assert grid.value == pytest.approx(before, rel=0.01)
            since = stopped_at + timedelta(seconds=2)
            return grid.at is not None and grid.at > since and node.at is not None and node.at < since

        await eventually(metered_since)
    finally:
        os.kill(pid, signal.SIGCONT)
