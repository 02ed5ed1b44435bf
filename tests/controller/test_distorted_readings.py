"""An hour of distorted readings, an order and a price spike amid it, held against what the devices truly draw.

Whatever the meters say: no cap is exceeded, nothing guaranteed is stopped, and the ledger has what was drawn or, beside
it, what of the counters could not be true.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.ledger import Account
from orchestrator.domain.metering.points import SeriesPoint
from orchestrator.domain.observation import Metric, Reading, Telemetry
from orchestrator.domain.units import KWH_PER_MWH
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from orchestrator.domain.site.site import Site
    from orchestrator.ports import MetricSource
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
LOOK = timedelta(seconds=10)
ORDERED_KW = 900.0
OF_METERS = frozenset({Metric.METER_POWER, Metric.METER_ENERGY})
OF_DEVICES = frozenset(
    {
        Metric.ASIC_POWER,
        Metric.ASIC_ENERGY,
        Metric.ASIC_HASHRATE,
        Metric.ASIC_HASHES,
        Metric.NODE_POWER,
        Metric.NODE_ENERGY,
        Metric.GPU_POWER,
    }
)


@dataclass(frozen=True)
class Moment:
    """What a distortion may go by."""

    true: Reading
    first: Reading
    """As it was when the fault began."""
    of_next: Reading
    """What the next device of those distorted has."""
    reads: int


def times(factor: float) -> Callable[[Moment], Reading | None]:
    def scaled(moment: Moment) -> Reading:
        assert moment.true.value is not None
        return replace(moment.true, value=moment.true.value * factor)

    return scaled


DISTORTIONS: Mapping[str, Callable[[Moment], Reading | None]] = {
    "frozen": lambda moment: replace(moment.first, at=moment.true.at),
    "stopped": lambda moment: moment.first,
    "gone": lambda moment: None,
    "flapping": lambda moment: moment.true if moment.reads % 2 else None,
    "swapped": lambda moment: moment.of_next,
    "none": times(0.0),
    "halved": times(0.5),
    "a fifth less": times(0.8),
    "a tenth more": times(1.1),
    "doubled": times(2.0),
    "by a thousand": times(1000.0),
}
"""A negative value, or one that is no number, is refused where it comes in (tests/contract) and so is gone."""


@dataclass
class Distorted:
    """A metric source whose readings of some subjects are wrong from its first read on."""

    source: MetricSource
    distortion: Callable[[Moment], Reading | None]
    subjects: frozenset[str]
    metrics: frozenset[Metric]
    reads: int = 0
    first: dict[tuple[Metric, str], Reading] = field(default_factory=dict)

    async def read(self, now: datetime) -> Telemetry:
        telemetry = await self.source.read(now)
        self.reads += 1
        readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
        for metric in self.metrics:
            true = {name: reading for name, reading in readings[metric].items() if name in self.subjects}
            names = list(true)
            for number, name in enumerate(names):
                first = self.first.setdefault((metric, name), true[name])
                of_next = true[names[(number + 1) % len(names)]]
                wrong = self.distortion(Moment(true[name], first, of_next, self.reads))
                if wrong is None:
                    del readings[metric][name]
                else:
                    readings[metric][name] = wrong
        return Telemetry.of(telemetry.at, readings)


@dataclass
class Watched:
    """What came of a run, by the devices themselves."""

    above_s: float = 0.0
    """Above what is due, a cap or an order."""
    guaranteed_ran: bool = True
    kw: list[float] = field(default_factory=list)


async def watch(world: World, minutes: float) -> Watched:
    watched, end = Watched(), world.now + timedelta(minutes=minutes)
    while world.now < end:
        world.now += LOOK
        await world.tick()
        due = [order.limit_kw for order in world.controller.curtailments if order.due(world.now)]
        watched.kw.append(world.true_kw)
        if world.true_kw > min([world.site.grid.limit_kw, *due]):
            watched.above_s += LOOK.total_seconds()
        train = world.snapshot.jobs["train"].view
        watched.guaranteed_ran &= train.phase is JobPhase.RUNNING and train.starts == 1
    return watched


def of_meter(site: Site) -> Site:
    return replace(site, grid=replace(site.grid, meter=SeriesPoint("grid")))


async def at_work(world_of: WorldOf, site: Site) -> World:
    """Near its connection's limit, with a guaranteed job; after an hour a quarter of an hour at a spike comes."""
    world = world_of([CHEAP] * 5 + [SPIKE] + [CHEAP] * 10, site=site)
    world.submit("train", "bank", 16)
    world.submit("flex", "flux", 8)
    await world.run(25)
    assert world.true_kw > 1400.0
    return world


def distort(world: World, how: str, subjects: frozenset[str], metrics: frozenset[Metric]) -> None:
    source = Distorted(world.devices, DISTORTIONS[how], subjects, metrics)
    world.controller.doors = replace(world.controller.doors, metrics=source)


def devices_of(world: World) -> frozenset[str]:
    return frozenset({rack for _, rack in world.site.racks()} | {node for _, node in world.site.nodes()})


async def hour_of(world: World) -> Watched:
    """Of the fault: ten minutes, then an order for twenty, then a spike. Readings are right again at the end."""
    before = await watch(world, 10.0)
    await world.order(ORDERED_KW, minutes=20.0)
    after = await watch(world, 50.0)
    world.controller.doors = replace(world.controller.doors, metrics=world.devices)
    await world.run(30, final=True)
    return Watched(
        before.above_s + after.above_s, before.guaranteed_ran and after.guaranteed_ran, [*before.kw, *after.kw]
    )


async def energy_kwh(world: World) -> tuple[float, float, float]:
    """Drawn by the devices' own counters, booked of it, and what is parked of counters."""
    lines = world.store.ledger(world.now - timedelta(days=1), world.now + timedelta(days=1))
    booked = sum(line.energy_kwh for line in lines if line.account in (Account.MINING, Account.HPC))
    parked = sum(
        line.quantity * KWH_PER_MWH
        for line in lines
        if line.account == Account.UNACCOUNTED and "joules" in line.subject
    )
    return sum((await world.counters_kwh()).values()), booked, parked


@pytest.mark.parametrize("metered", [False, True], ids=["devices alone", "with a meter"])
@pytest.mark.parametrize("what", ["one rack", "all devices"])
@pytest.mark.parametrize("how", DISTORTIONS)
async def test_no_distortion_of_devices_lifts_power_above_a_cap_stops_what_is_guaranteed_or_makes_energy(
    world_of: WorldOf, site: Site, how: str, what: str, metered: bool
) -> None:
    world = await at_work(world_of, of_meter(site) if metered else site)
    before_kw = world.true_kw
    distort(world, how, frozenset({"new/rack-1"}) if what == "one rack" else devices_of(world), OF_DEVICES)
    watched = await hour_of(world)
    assert watched.above_s == 0.0
    assert watched.guaranteed_ran
    assert world.true_kw > 0.95 * before_kw, "it ends with the fault"
    drawn, booked, parked = await energy_kwh(world)
    if how == "none":
        assert booked < drawn < booked + parked, "what comes back from nothing is parked whole"
    else:
        assert booked + parked == pytest.approx(drawn, rel=0.005)
    if how not in ("a tenth more", "swapped"):  # which nothing gives away
        assert booked < 1.005 * drawn


@pytest.mark.parametrize("how", DISTORTIONS)
async def test_no_distortion_of_one_rack_sheds_more_than_that_rack(world_of: WorldOf, site: Site, how: str) -> None:
    world = await at_work(world_of, site)
    before_kw = world.true_kw
    distort(world, how, frozenset({"new/rack-1"}), OF_DEVICES)
    watched = await watch(world, 15.0)
    assert min(watched.kw) > before_kw - 1.1 * world.site.fleet("new").rack_nameplate_kw


@pytest.mark.parametrize("how", DISTORTIONS)
async def test_no_distortion_of_the_meter_lifts_power_above_a_cap_or_stops_what_is_guaranteed(
    world_of: WorldOf, site: Site, how: str
) -> None:
    world = await at_work(world_of, of_meter(site))
    distort(world, how, frozenset({"grid"}), OF_METERS)
    watched = await hour_of(world)
    assert watched.above_s == 0.0
    assert watched.guaranteed_ran
    drawn, booked, _ = await energy_kwh(world)
    assert booked == pytest.approx(drawn, rel=0.005), "devices are booked by their own counters"


@pytest.mark.parametrize(("how", "told"), [("halved", True), ("a fifth less", True), ("a tenth more", False)])
async def test_devices_that_are_all_off_by_far_are_told_by_the_meter_and_teach_it_nothing(
    world_of: WorldOf, site: Site, how: str, told: bool
) -> None:
    world = await at_work(world_of, of_meter(site))
    learnt = {bias.of: bias.share for bias in world.snapshot.meters.biases}
    distort(world, how, devices_of(world), OF_DEVICES)
    await watch(world, 10.0)
    assert ("devices of meter grid" in world.snapshot.suspect) is told
    if told:
        assert {bias.of: pytest.approx(bias.share, abs=0.005) for bias in world.snapshot.meters.biases} == learnt
