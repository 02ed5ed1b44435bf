"""What becomes of each fault of a reading, with nothing else going on: the table of docs/readings.md, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry, missing

if TYPE_CHECKING:
    from orchestrator.ports import MetricSource
    from tests.controller.conftest import World, WorldOf

CHEAP = 20.0
LATE = timedelta(hours=3)
POWER = (Metric.ASIC_POWER, Metric.NODE_POWER)
RACK, NODE, ALL = "new/rack-1", "h100-node-0", "*"

Fault = Callable[[Reading, datetime, int], Reading | None]
"""Of a true reading, the moment, and how many times it was read since: what comes in instead; None for nothing."""

FAULTS: Mapping[str, Fault] = {
    "late": lambda reading, now, reads: replace(reading, at=now - LATE),
    "missing": lambda reading, now, reads: None,
    "absurd": lambda reading, now, reads: replace(reading, value=1e9),
    "from the future": lambda reading, now, reads: replace(reading, at=now + LATE),
    "flapping": lambda reading, now, reads: replace(reading, at=now - LATE) if reads % 2 else reading,
}
"""What is no number is refused where it comes in (tests/contract/test_metric_source.py), and is late from then on. What
stands still together with its time is late too."""


@dataclass
class Faulty:
    """A metric source whose power readings of `subject` have a fault; of all with ALL. What is `frozen` stays as it
    was at the first read, with the time of now."""

    source: MetricSource
    subject: str
    fault: Fault | None
    reads: int = 0
    frozen: dict[str, Reading] | None = None

    async def read(self, now: datetime) -> Telemetry:
        telemetry = await self.source.read(now)
        self.reads += 1
        readings = {metric: dict(telemetry.readings(metric)) for metric in Metric}
        if self.frozen is None:
            self.frozen = {subject: reading for metric in POWER for subject, reading in readings[metric].items()}
        for metric in POWER:
            for subject, reading in list(readings[metric].items()):
                if self.subject not in (ALL, subject):
                    continue
                if self.fault is None:
                    readings[metric][subject] = replace(self.frozen[subject], at=reading.at)
                    continue
                wrong = self.fault(reading, now, self.reads)
                if wrong is None:
                    del readings[metric][subject]
                else:
                    readings[metric][subject] = wrong
        return Telemetry.of(telemetry.at, readings)


def break_readings(world: World, subject: str, fault: Fault | None) -> None:
    doors = world.controller.doors
    world.controller.doors = replace(doors, metrics=Faulty(world.devices, subject, fault))


def mend(world: World) -> None:
    world.controller.doors = replace(world.controller.doors, metrics=world.devices)


async def at_work(world_of: WorldOf) -> World:
    world = world_of([CHEAP] * 12)
    world.submit("train", "bank", 16)
    world.submit("flex", "flux", 8)
    await world.run(25)
    assert world.true_kw > 1400.0
    return world


@pytest.mark.parametrize("subject", [RACK, NODE, ALL])
@pytest.mark.parametrize("fault", [*FAULTS, "frozen"])
async def test_no_fault_of_readings_moves_a_site_that_is_as_it_should_be(
    world_of: WorldOf, subject: str, fault: str
) -> None:
    world = await at_work(world_of)
    drawn_kw, asked = world.true_kw, len(world.driver.asked)
    break_readings(world, subject, FAULTS.get(fault))
    await world.run(6)
    limit_kw = world.site.grid.limit_kw
    assert world.driver.asked[asked:] == []
    assert world.true_kw == pytest.approx(drawn_kw, rel=0.01)
    assert world.snapshot.power.grid_kw <= limit_kw, "no device counts at more than it may draw"
    silent = world.snapshot.silent_meters
    if fault == "frozen":
        assert silent == []
    elif fault != "flapping":
        assert len(silent) == (12 if subject == ALL else 1)
    assert bool(world.snapshot.suspect) == (fault == "absurd")
    mend(world)
    await world.run(4)
    assert world.driver.asked[asked:] == []
    assert {job.view.starts for job in world.snapshot.jobs.values()} == {1}
    assert world.above_limit_s() == 0


@pytest.mark.parametrize("subject", [RACK, ALL])
@pytest.mark.parametrize("fault", [*FAULTS, "frozen"])
async def test_an_order_amid_a_fault_of_readings_is_kept_and_interrupts_nothing_guaranteed(
    world_of: WorldOf, subject: str, fault: str
) -> None:
    world = await at_work(world_of)
    break_readings(world, subject, FAULTS.get(fault))
    await world.run(2)
    await world.order(900.0, minutes=30.0)
    await world.run(5)
    assert world.true_kw <= 900.0
    if subject == RACK or fault not in ("frozen", "flapping"):
        assert world.true_kw > 450.0, "a rack too many at most"
    assert world.snapshot.jobs["train"].view.starts == 1
    mend(world)
    await world.run(40)
    assert world.true_kw > 1400.0
    assert world.snapshot.jobs["train"].view.starts == 1


@pytest.mark.parametrize(
    ("fault", "assumed"),
    [("late", True), ("missing", True), ("absurd", False), ("from the future", True), ("flapping", True)],
)
async def test_hashprice_and_temperature_are_assumed_where_they_cannot_be_had(
    world_of: WorldOf, fault: str, assumed: bool
) -> None:
    world = await at_work(world_of)

    @dataclass
    class Series:
        unit: str
        true: float
        wrong: float
        reads: int = 1

        async def read(self, now: datetime) -> Reading:
            reading = Reading(self.true, self.unit, now, Quality.FRESH)
            if fault == "absurd":
                return replace(reading, value=self.wrong)
            shifted = replace(reading, at=now - 20 * LATE if fault != "from the future" else now + 20 * LATE)
            self.reads += 1
            if fault == "missing":
                return missing(self.unit)
            return reading if fault == "flapping" and self.reads % 2 else shifted

    doors = world.controller.doors
    world.controller.doors = replace(
        doors, hashprice=Series("USD/PH/s/day", 60.0, 900.0), weather=Series("degC", 20.0, 900.0)
    )
    await world.tick()
    stale = world.site.stale
    snapshot = world.snapshot
    assert (snapshot.hashprice.value, snapshot.outdoor.value) == (
        (stale.hashprice_assume_usd_per_ph_day, stale.temperature_assume_c) if assumed else (900.0, 900.0)
    )
    assert ({"hashprice", "temperature"} <= set(snapshot.stale)) == assumed
    assert snapshot.pue == 1.1, "flat beyond its points"
