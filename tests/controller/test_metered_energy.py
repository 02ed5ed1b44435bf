"""Energy of a metered site on record: by the meter what is paid, by the devices whose it is, the rest on `residual`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.ledger import Account, totals
from orchestrator.domain.observation import Metric
from tests.controller.conftest import QUARTER, START
from tests.scenes import metered

if TYPE_CHECKING:
    from orchestrator.domain.site.site import Site
    from tests.controller.conftest import World, WorldOf

CHEAP = 20.0
PAYING = (Account.MINING, Account.HPC, Account.OVERHEAD, Account.RESIDUAL)


def lossy(site: Site) -> Site:
    """A site whose model has a PUE of 1.04, where the simulated meters go by 1.1."""
    return replace(metered(site, "grid", "a"), cooling=replace(site.cooling, pue_by_temperature_c=((20.0, 1.04),)))


def world_of_losses(world_of: WorldOf, site: Site) -> World:
    world = world_of([CHEAP + n for n in range(16)], [30.0] * 96, site=site)
    truth = replace(site, cooling=replace(site.cooling, pue_by_temperature_c=((20.0, 1.1),)))
    world.devices = type(world.devices)(truth, start=START, seed=1)
    world.driver.devices = world.devices
    world.restart()
    world.submit("train", "bank", 16)
    return world


def closes(world: World) -> None:
    """Of each interval that the meter counted, what it says is what is booked, to the Wh; and the money is energy by
    price, with nothing left out."""
    lines = world.store.ledger(START - timedelta(days=1), world.now + timedelta(days=1))
    rows = [row for row in world.store.restore(world.now).reconciled if row.meter == "grid"]
    whole = [row for row in rows if row.covered_s >= QUARTER.total_seconds() - 1e-6]
    assert len(whole) >= 5
    for row in whole:
        booked = [line for line in lines if line.start == row.start and line.account in PAYING]
        assert sum(line.energy_kwh for line in booked) == pytest.approx(row.metered_kwh, abs=1e-3)
    paid_usd = sum(line.energy_kwh * line.price_usd_per_mwh / 1000.0 for line in lines)
    assert float(totals(lines).energy_cost_usd) == pytest.approx(paid_usd, abs=0.005)


async def counted_kwh(world: World) -> float:
    reading = (await world.devices.read(world.now)).get(Metric.METER_ENERGY, "grid")
    assert reading.value is not None
    return reading.value / 3.6e6


async def test_what_the_meter_counts_is_paid_and_what_no_device_explains_is_shown(
    world_of: WorldOf, site: Site
) -> None:
    world = world_of_losses(world_of, lossy(site))
    await world.run(0)
    begun_kwh = await counted_kwh(world)
    await world.run(100, final=True)
    closes(world)
    sums = world.totals()
    counted = await counted_kwh(world) - begun_kwh
    assert sum(sums.energy_kwh.values()) + (sums.residual_kwh or 0.0) == pytest.approx(counted, rel=1e-9)
    it_kwh = sums.energy_kwh[Account.MINING] + sums.energy_kwh[Account.HPC]
    assert sums.residual_kwh == pytest.approx(0.06 * it_kwh, rel=0.15)  # the meter itself is off by half a percent
    assert world.snapshot.measured_pue == pytest.approx(1.1, rel=0.007)
    assert world.snapshot.pue == 1.04
    balance = world.snapshot.balances["grid"]
    assert (balance.metered_kwh, balance.residual_kwh) == pytest.approx((counted, sums.residual_kwh))


async def test_over_restarts_and_a_silent_meter_all_that_it_counted_is_booked_once(
    world_of: WorldOf, site: Site
) -> None:
    world = world_of_losses(world_of, lossy(site))
    await world.run(0)
    begun_kwh = await counted_kwh(world)
    await world.run(32)
    world.restart()
    world.devices.silence("grid")
    await world.run(40)
    silent_kwh = world.totals().residual_kwh
    world.restart()
    await world.run(1)
    assert world.totals().residual_kwh == pytest.approx(silent_kwh, rel=0.05)  # nothing is made up meanwhile
    world.devices.unsilence("grid")
    await world.run(37, final=True)
    closes(world)
    sums = world.totals()
    counted = await counted_kwh(world) - begun_kwh
    assert sum(sums.energy_kwh.values()) + (sums.residual_kwh or 0.0) == pytest.approx(counted, rel=1e-9)
    assert world.snapshot.balances["grid"].metered_kwh == pytest.approx(counted)
