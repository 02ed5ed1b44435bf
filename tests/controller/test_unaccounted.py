"""What a counter said and cannot be true: parked by the loop, and accounted for once, by API and command line."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orchestrator.accounting.ledger import Account, Posting
from orchestrator.accounting.settlement import Asked
from orchestrator.accounting.unaccounted import ResolutionError, Way, parked_of
from orchestrator.adapters.store import SqlStore
from orchestrator.api import create_app
from orchestrator.domain.observation import Metric, Sample, Telemetry
from tests.command import Ended, ended_here
from tests.controller.conftest import START
from tests.controller.test_live_site import live_site
from tests.controller.test_power_block import SOLD, check_lines
from tests.power_block import charged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.domain.site.site import Site
    from orchestrator.ports import MetricSource
    from orchestrator.runtime.live_site import LiveSite
    from tests.controller.conftest import World, WorldOf

RACK = "old/rack-1"
METER = f"{Metric.ASIC_ENERGY} {RACK}"


@dataclass
class Doctored:
    """A metric source whose readings are changed on their way, as by a broken exporter."""

    true: MetricSource
    add: dict[tuple[Metric, str], float] = field(default_factory=dict)
    lacks: frozenset[Metric] = frozenset()
    stands: dict[str, dict[Metric, float]] = field(default_factory=dict)
    """By rack, what its exporter says for ever, as if it were new."""

    async def read(self, now: datetime) -> Telemetry:
        samples = [self._changed(sample) for sample in await self.true.read(now) if sample.metric not in self.lacks]
        return Telemetry(now, samples)

    async def freeze(self, rack: str, now: datetime) -> None:
        """Its exporter serves the page of now for ever."""
        telemetry = await self.true.read(now)
        said = {metric: telemetry.get(metric, rack).value for metric in Metric}
        self.stands[rack] = {metric: value for metric, value in said.items() if value is not None}

    def _changed(self, sample: Sample) -> Sample:
        still = self.stands.get(sample.subject, {}).get(sample.metric)
        if still is not None:
            return replace(sample, reading=replace(sample.reading, value=still))
        more, reading = self.add.get((sample.metric, sample.subject)), sample.reading
        if more is None or reading.value is None:
            return sample
        return replace(sample, reading=replace(reading, value=reading.value + more))


def doctor(world: World) -> Doctored:
    doctored = Doctored(world.devices)
    world.controller.doors = replace(world.controller.doors, metrics=doctored)
    return doctored


def asked(name: str = "r-1", way: Way = Way.BOOK, amount: float | None = None) -> Asked:
    return Asked(name, METER, way, amount, "exporter 1.4 multiplies by 1000 at midnight", "ada")


def lines_of(world: World) -> list[Posting]:
    return list(world.store.ledger(START - timedelta(days=1), world.now + timedelta(days=1)))


async def jumped(world: World) -> Doctored:
    """The counter of a rack that hashes has jumped by 5e12 J, for good."""
    doctored = doctor(world)
    await world.run(50)
    doctored.add[Metric.ASIC_ENERGY, RACK] = 5e12
    await world.run(10, final=True)
    return doctored


async def test_it_is_booked_once_whoever_asks_again_and_after_a_restart(world_of: WorldOf) -> None:
    world = world_of([20.0] * 8)
    doctored = await jumped(world)
    (parked,) = parked_of(world.store.parked())
    assert (parked.meter, parked.unit) == (METER, "MWh")
    assert parked.amount == pytest.approx(5e12 / 3.6e9, rel=1e-3)
    before = world.totals()

    with pytest.raises(ResolutionError, match=r"are more than old/rack-1 can have done"):
        await world.controller.account_for(asked(), None)
    with pytest.raises(ResolutionError, match="look again"):
        await world.controller.account_for(asked(amount=0.012), parked.amount * 2.0)
    done = await world.controller.account_for(asked(amount=0.012), parked.amount)
    assert (done.booked, done.parked, done.person) == (0.012, parked.amount, "ada")
    assert done.cost_usd == pytest.approx(0.012 * 1.1 * 20.0)
    world.restart()
    doctor(world).add = doctored.add
    assert await world.controller.account_for(asked(amount=0.012), None) == done
    with pytest.raises(ResolutionError, match=r"r-1 is another resolution, of .* by ada"):
        await world.controller.account_for(asked(), None)
    await world.tick()
    with pytest.raises(ResolutionError, match="nothing is parked of"):
        await world.controller.account_for(asked("r-2"), None)

    after = world.totals()
    mining = Account.MINING
    assert after.energy_kwh[mining] - before.energy_kwh[mining] == pytest.approx(12.0)
    assert float(after.energy_cost_usd - before.energy_cost_usd) == pytest.approx(done.cost_usd, abs=0.011)
    assert parked_of(world.store.parked()) == []
    sides = [line.quantity for line in lines_of(world) if line.account in (Account.UNACCOUNTED, Account.RESOLVED)]
    assert len(sides) == 2
    assert sum(sides) == 0.0  # both stay on record
    assert list(world.store.resolutions(10)) == [done]


async def test_written_off_it_is_no_energy_and_no_money(world_of: WorldOf) -> None:
    world = world_of([20.0] * 8)
    await jumped(world)
    before = world.totals()
    done = await world.controller.account_for(asked(way=Way.WRITE_OFF), None)
    assert (done.booked, done.cost_usd, done.revenue_usd) == (0.0, 0.0, 0.0)
    assert world.totals() == before
    assert parked_of(world.store.parked()) == []


async def test_a_block_s_line_is_corrected_by_what_is_booked(world_of: WorldOf) -> None:
    world = world_of([20.0] * 8)
    world.site = charged(world.site, SOLD)
    world.restart()
    await jumped(world)
    await world.controller.account_for(asked(amount=0.012), None)
    check_lines(world, SOLD)
    world.restart()
    await world.run(20, final=True)
    check_lines(world, SOLD)


COUNTERS = frozenset({Metric.ASIC_ENERGY, Metric.ASIC_HASHES, Metric.NODE_ENERGY})


async def test_a_site_without_counters_is_metered_by_power_through_sleep_and_waking(world_of: WorldOf) -> None:
    """And once they are there, nothing is booked twice."""
    world = world_of([20.0] * 2 + [3000.0] * 2 + [20.0] * 4)
    world.submit("train", "bank")
    doctored = doctor(world)
    doctored.lacks = COUNTERS
    await world.run(100, final=True)
    counted = await world.counters_kwh()
    booked = world.totals().energy_kwh
    for account, kwh in counted.items():
        assert booked[account] == pytest.approx(kwh, rel=0.005)
    assert booked[Account.MINING] > 500.0
    assert {device for device in world.snapshot.estimated if device.startswith("old/")} == set(
        world.site.fleet("old").rack_names()
    )
    assert float(world.totals().revenue_usd[Account.MINING]) > 0.0
    assert sum(line.estimated_kwh for line in lines_of(world)) == pytest.approx(sum(booked.values()))

    doctored.lacks = frozenset()
    await world.run(19, final=True)
    counted = await world.counters_kwh()
    for account, kwh in counted.items():
        assert world.totals().energy_kwh[account] == pytest.approx(kwh, rel=0.005)
    await world.run(1, final=True)
    assert world.snapshot.estimated == frozenset()
    assert parked_of(world.store.parked()) == []


async def test_counters_that_go_away_and_come_back_book_what_they_say_to_the_joule(world_of: WorldOf) -> None:
    world = world_of([20.0] * 8)
    doctored = doctor(world)
    await world.run(20)
    doctored.lacks = COUNTERS
    await world.run(30)
    world.restart()
    doctor(world).lacks = COUNTERS
    await world.run(30)
    doctor(world)
    await world.run(30, final=True)
    for account, kwh in (await world.counters_kwh()).items():
        assert world.totals().energy_kwh[account] == pytest.approx(kwh, rel=1e-6)
    assert parked_of(world.store.parked()) == []


async def test_an_exporter_that_stands_still_is_suspect_while_its_rack_goes_on_and_books_all_in_the_end(
    world_of: WorldOf,
) -> None:
    world = world_of([20.0] * 8)
    doctored = doctor(world)
    await world.run(50)
    assert world.snapshot.suspect == {}
    await doctored.freeze(RACK, world.now)
    await world.run(10)
    assert "to the last digit since" in world.snapshot.suspect[RACK]
    assert world.snapshot.fleets["old"].silent == {RACK}
    del doctored.stands[RACK]
    await world.run(10, final=True)
    assert world.snapshot.suspect == {}
    assert parked_of(world.store.parked()) == []
    assert world.totals().energy_kwh[Account.MINING] == pytest.approx(
        (await world.counters_kwh())[Account.MINING], rel=1e-6
    )


async def test_every_meter_of_the_fleet_jumps_for_an_hour_and_energy_is_right_within_half_a_percent(
    world_of: WorldOf,
) -> None:
    world = world_of([20.0] * 12)
    doctored = doctor(world)
    await world.run(50)
    for rack in world.site.fleet("old").rack_names():
        doctored.add[Metric.ASIC_ENERGY, rack] = 5e12
    await world.run(60)
    doctored.add.clear()
    await world.run(20, final=True)
    true_kwh = (await world.counters_kwh())[Account.MINING]
    assert world.totals().energy_kwh[Account.MINING] == pytest.approx(true_kwh, rel=0.005)
    left_kwh = sum(abs(parked.amount) for parked in parked_of(world.store.parked())) * 1000.0
    assert left_kwh < true_kwh * 0.005


async def test_before_anything_is_observed_nothing_is_accounted_for(world_of: WorldOf) -> None:
    with pytest.raises(ResolutionError, match="nothing is observed yet"):
        await world_of([20.0]).controller.account_for(asked(), None)


@pytest.fixture
def live(site: Site, tmp_path: Path) -> Iterator[LiveSite]:
    """A site that has gone round once, with 4 kWh and a fall parked."""
    with closing(SqlStore.open(f"sqlite:///{tmp_path / 'live.db'}")) as store:
        line = Posting(START, Account.UNACCOUNTED, METER, 50.0, "real_time", quantity=0.004)
        fall = replace(line, subject=f"{Metric.NODE_ENERGY} h100-node-0", quantity=-1320.0)
        store.record([line, fall])
        live = live_site(site, store)
        asyncio.run(live._controller.tick(START))
        yield live
        live.close()


@pytest.fixture
def wattshift(live: LiveSite, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """The command, asking that site without a socket."""

    def request(method: str, url: str, **given: Any) -> httpx.Response:
        return asyncio.run(ask(live, method, url, given["json"]))

    monkeypatch.setattr(httpx, "request", request)
    return lambda *arguments: ended_here("unaccounted", *arguments, settings={"COLUMNS": "300"})


async def ask(live: LiveSite, method: str, path: str, body: object = None) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(live, api_key=None))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        return await client.request(method, path, json=body)


def test_the_command_lists_books_and_writes_off(wattshift: Callable[..., Ended], live: LiveSite) -> None:
    listed = wattshift("list").out
    assert "asic_energy_joules_total old/rack-1" in listed
    assert "0.004 MWh" in listed
    assert "its counter fell by 1320 MWh and was not reset" in listed
    why = ("--reason", "meter exchanged", "--by", "ada")
    booked = wattshift("book", METER, *why, "--id", "swap-17")
    assert booked.code == 0, booked
    assert "0.004 parked, booked as 0.004: cost 0.22 USD, revenue 0.00 USD, by ada: meter exchanged (swap-17)" in (
        booked.out
    )
    assert wattshift("book", METER, *why, "--id", "swap-17").out == booked.out
    node = f"{Metric.NODE_ENERGY} h100-node-0"
    assert "nothing to book" in wattshift("book", node, *why).refusal()
    assert "written off, by ada" in wattshift("write-off", node, *why).out
    assert wattshift("list").out.startswith("Nothing is parked.")
    assert "nothing is parked of such a meter; of these there is: none" in wattshift("write-off", node, *why).refusal()
    assert parked_of(live.store.parked()) == []


def test_what_is_asked_wrongly_is_refused_with_the_place(live: LiveSite) -> None:
    def put(name: str = "r-1", **changed: object) -> httpx.Response:
        order = {"meter": METER, "way": "book", "reason": "swap", "person": "ada"} | changed
        return asyncio.run(ask(live, "PUT", f"/api/v1/unaccounted/resolutions/{name}", order))

    assert put(way="write_off", amount=0.1).json()["detail"].startswith("/amount: must be left out")
    assert put(person=" ").status_code == 422
    assert put(amount=-1.0).status_code == 422
    assert put("not an id").status_code == 422
    conflict = put(parked=0.005)
    assert conflict.status_code == 409
    assert "look again" in conflict.json()["detail"]
    assert put(parked=0.004).status_code == 200
    found = asyncio.run(ask(live, "GET", "/api/v1/unaccounted")).json()
    assert [(done["id"], done["way"], done["person"]) for done in found["resolutions"]] == [("r-1", "book", "ada")]
    assert [parked["device"] for parked in found["meters"]] == ["h100-node-0"]
