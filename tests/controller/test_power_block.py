"""A site with a block of power bought ahead: 700 kW at 38 USD/MWh, unused power sold back at market - 3."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.charges.block import Ppa
from orchestrator.domain.units import KWH_PER_MWH
from tests.power_block import charged

if TYPE_CHECKING:
    from tests.controller.conftest import World, WorldOf

CHEAP, SPIKE = 20.0, 3000.0
SOLD = Ppa(700.0, 38.0, 3.0)


def contracted(world: World, ppa: Ppa | None) -> None:
    """A new controller on the same record and devices, the contract being in its site file or not."""
    world.site = charged(world.site, ppa)
    world.restart()


def check_lines(world: World, ppa: Ppa) -> float:
    """Each line of the block is the contract's formula; kWh of the block posted in all."""
    drawn: defaultdict[tuple[object, float], float] = defaultdict(float)
    lines = world.store.ledger(world.now - timedelta(days=2), world.now + timedelta(days=1))
    for line in lines:
        drawn[line.start, line.price_usd_per_mwh] += line.energy_kwh
    block_kwh = 0.0
    for line in lines:
        if line.account == ppa.name:
            kwh, price = line.quantity * KWH_PER_MWH, line.price_usd_per_mwh
            expected = ppa.cost_usd(line.start, kwh, drawn[line.start, price], price)
            assert line.cost_usd == pytest.approx(expected, abs=1e-6)
            assert (line.subject, line.energy_kwh) == ("site", 0.0)
            block_kwh += kwh
    return block_kwh


@pytest.mark.parametrize("killed_after_min", [0.1, 14.9, 15.1, 22.0])
async def test_the_ledger_comes_to_what_the_contract_says_over_spikes_and_a_kill(
    world_of: WorldOf, killed_after_min: float
) -> None:
    world = world_of([CHEAP] * 2 + [SPIKE] * 2 + [CHEAP] * 4)
    contracted(world, SOLD)
    world.submit("train", "bank", 8)
    await world.run(30 + killed_after_min)
    world.restart()
    await world.run(80 - killed_after_min, final=True)
    assert check_lines(world, SOLD) == pytest.approx(700.0 * 110 / 60)
    sums, counted = world.totals(), await world.counters_kwh()
    for account, kwh in counted.items():
        assert sums.energy_kwh[account] == pytest.approx(kwh, rel=1e-9), "fleets and jobs are as without a block"
    assert float(sums.charges_usd["ppa"]) < -700.0 / 1000.0 * 0.5 * (SPIKE - 38.0 - 3.0) * 0.9, (
        "half an hour of it was sold back"
    )


async def test_asleep_in_a_spike_for_what_its_power_brings(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    contracted(world, SOLD)
    await world.run(65)
    assert world.true_kw < 50.0
    decision, _ = world.store.decisions(1)[0]
    assert "power sold back at 2997 USD/MWh is worth more than its hash" in decision.summary
    assert decision.inputs["ppa"]["unused_usd_per_mwh"] == 2997.0  # type: ignore[index]  # JSON


async def test_power_that_would_be_lost_runs_racks_through_a_spike(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 4 + [SPIKE] * 4)
    contracted(world, replace(SOLD, sell_back_spread_usd_per_mwh=None))
    await world.run(70)
    assert 500.0 < world.true_kw <= 700.0


async def test_no_block_comes_in_while_the_site_file_has_none(world_of: WorldOf) -> None:
    world = world_of([CHEAP] * 16)
    contracted(world, SOLD)
    await world.run(30, final=True)
    contracted(world, None)
    await world.run(60, final=True)
    assert check_lines(world, SOLD) == pytest.approx(700.0 / 2)
    contracted(world, SOLD)
    await world.run(30, final=True)
    assert check_lines(world, SOLD) == pytest.approx(700.0)
