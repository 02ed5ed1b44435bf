"""The controller's ledger and metrics where 7 USD/MWh are put on top of all power in certain local hours."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.units import KWH_PER_MWH
from tests.adder import Adder
from tests.controller.test_site_metrics import scrape
from tests.power_block import charged

if TYPE_CHECKING:
    from orchestrator.accounting.ledger import Posting
    from tests.controller.conftest import World, WorldOf

CHEAP = 20.0
ADDER = Adder(7.0, 1, 2, "America/Chicago")
"""Worlds begin at midnight."""
PPA = Ppa(700.0, 38.0, 3.0)


def lines_of(world: World) -> list[Posting]:
    return list(world.store.ledger(world.now - timedelta(days=2), world.now + timedelta(days=1)))


@pytest.mark.parametrize("killed_after_min", [4.9, 15.0, 22.0])
@pytest.mark.parametrize("others", [(), (PPA,)])
async def test_the_ledger_has_a_line_of_it_in_each_interval_of_its_hours(
    world_of: WorldOf, others: tuple[Ppa, ...], killed_after_min: float
) -> None:
    world = world_of([CHEAP] * 12)
    world.site = charged(world.site, *others, ADDER)
    world.restart()
    world.submit("train", "bank", 8)
    await world.run(60 + killed_after_min)
    world.restart()
    await world.run(90 - killed_after_min, final=True)
    drawn_kwh, booked_usd = defaultdict[object, float](float), defaultdict[object, float](float)
    for line in lines_of(world):
        drawn_kwh[line.start] += line.energy_kwh
        if line.account == "adder":
            booked_usd[line.start] += line.cost_usd
            assert (line.subject, line.energy_kwh, line.quantity) == ("site", 0.0, 0.0)
    hour = [world.now + timedelta(minutes=15 * number - 90) for number in range(4)]
    assert list(booked_usd) == hour
    assert booked_usd == pytest.approx({start: 7.0 * drawn_kwh[start] / KWH_PER_MWH for start in hour})
    sums = world.totals()
    assert sums.charges_usd.keys() == {charge.name for charge in world.site.grid.charges}
    assert float(sums.charges_usd["adder"]) == pytest.approx(sum(booked_usd.values()), abs=0.005)
    assert float(sums.energy_cost_usd) == pytest.approx(sum(line.cost_usd for line in lines_of(world)), abs=0.006)


async def test_it_is_counted_and_the_always_on_site_pays_it_too(world_of: WorldOf) -> None:
    seen = []
    for charges in ((), (Adder(7.0, 0, 2, "America/Chicago"),)):
        world = world_of([CHEAP] * 8)
        world.site = charged(world.site, *charges)
        world.restart()
        await world.run(120, final=True)
        seen.append(scrape(world))
    without, with_it = seen
    assert "energy_cost_usd_total{account=adder}" not in without
    counted = with_it["energy_cost_usd_total{account=adder}"]
    assert counted == pytest.approx(float(world.totals().charges_usd["adder"]), abs=0.006)
    more = with_it["always_on_energy_cost_usd_total"] - without["always_on_energy_cost_usd_total"]
    assert more == pytest.approx(without["always_on_energy_cost_usd_total"] / CHEAP * 7.0, rel=1e-6)
