"""Dispatch where a block of power is bought ahead.

At 60 USD per PH/s per day the new fleet's hash is worth 181 USD/MWh in eco, 114 and 97 on top, the old one's 86, 57 and
45. At the grid the site draws 117 kW asleep and idle, a rack 317 kW in eco (new; 77 and 44 on top) or 262 kW (old).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.charges.block import Ppa
from orchestrator.dispatch.decide import SiteColumns, decide
from orchestrator.dispatch.desired import gain_usd_per_h
from orchestrator.dispatch.dispatch import dispatch, moment_of
from orchestrator.dispatch.kernels.choice import BlockLeft
from orchestrator.dispatch.kernels.tranches import Rank
from orchestrator.dispatch.live_columns import LiveColumns
from orchestrator.dispatch.moves import plan_moves
from orchestrator.dispatch.power_price import power_prices, price_at
from orchestrator.dispatch.room_left import room_left
from orchestrator.domain.decision import Trigger
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.explain.decision_record import write_up
from orchestrator.forecast.outlook import PlanValues, Switch
from tests.dispatch.test_dispatch_properties import ANY_SPEED
from tests.power_block import charged
from tests.scenes import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.domain.site.site import Site
    from tests.scenes import Scene

PLAN = PlanValues({"new": Switch(181.0, 181.0), "old": Switch(86.0, 86.0)}, {})
NEW_KW = 117.04 + 4 * (317.35 + 77.0 + 44.0)
"""The new fleet in turbo, at the grid."""


def bought(scene: Scene, ppa: Ppa | None) -> None:
    scene.site = charged(scene.site, ppa)


@pytest.mark.parametrize(
    ("market", "ppa", "new", "old"),
    [
        pytest.param(100.0, None, {"normal": 4}, {SLEEP: 4}, id="no block, market 100: ----new|----"),
        pytest.param(
            80.0, Ppa(500.0, 38.0, 3.0), {"turbo": 4}, {"eco": 4}, id="market 80, block used up: by the market"
        ),
        pytest.param(
            100.0,
            Ppa(3900.0, 38.0, 30.0),
            {"turbo": 4},
            {"eco": 4},
            id="market 100, sold back at 70, block left: old in eco",
        ),
        pytest.param(
            100.0,
            Ppa(3900.0, 38.0, 3.0),
            {"turbo": 4},
            {SLEEP: 4},
            id="market 100, sold back at 97 (98.9 - 3): old sleeps",
        ),
        pytest.param(
            100.0, Ppa(3900.0, 38.0, None), {"turbo": 4}, {"turbo": 4}, id="market 100, unused power lost: all it can"
        ),
        pytest.param(
            100.0,
            Ppa(NEW_KW + 2 * 262.35 + 10.0, 38.0, 30.0),
            {"turbo": 4},
            {"eco": 2, SLEEP: 2},
            id="block for 2 of 4 old racks, 10 kW over: the third would be at 98.9",
        ),
        pytest.param(
            100.0,
            Ppa(NEW_KW + 2 * 262.35 + 200.0, 38.0, 30.0),
            {"turbo": 4},
            {"eco": 3, SLEEP: 1},
            id="block for 2 of 4 old racks, 200 kW over: the third is at 77",
        ),
        pytest.param(
            100.0,
            Ppa(117.04 + 4 * 394.35, 38.0, 30.0),
            {"normal": 4},
            {SLEEP: 4},
            id="block just used up by what pays anyway",
        ),
        pytest.param(900.0, Ppa(3900.0, 38.0, 3.0), {SLEEP: 4}, {SLEEP: 4}, id="spike, sold back at 897: all asleep"),
        pytest.param(
            900.0, Ppa(1000.0, 38.0, None), {"turbo": 2, SLEEP: 2}, {SLEEP: 4}, id="spike, lost: the block and no more"
        ),
        pytest.param(-20.0, Ppa(1000.0, 38.0, 3.0), {"turbo": 4}, {"turbo": 4}, id="paid to take power: all it can"),
    ],
)
def test_the_block_is_filled_at_what_it_brings_unused_and_the_rest_is_at_the_market(
    scene: Scene, market: float, ppa: Ppa | None, new: dict[str, int], old: dict[str, int]
) -> None:
    bought(scene, ppa)
    scene.price = market
    scene.racks = {"new": {"turbo": 4}, "old": {"eco": 4}}
    desired = dispatch(scene.site, scene.snapshot(), PLAN)
    assert desired.racks == {"new": new, "old": old}


def test_a_rack_is_not_woken_for_the_last_share_of_the_block_but_one_that_is_awake_stays(scene: Scene) -> None:
    """There is 2 kW more than three old racks draw, and 8 kW are left alone when something is switched on: else they
    would be bought at 5,000."""
    bought(scene, Ppa(NEW_KW + 3 * 262.35 + 2.0, 38.0, None))
    scene.price = 5000.0
    scene.racks = {"new": {"turbo": 4}, "old": {SLEEP: 4}}
    assert dispatch(scene.site, scene.snapshot(), PLAN).racks["old"] == {"turbo": 2, SLEEP: 2}
    scene.racks["old"] = {"eco": 3, SLEEP: 1}
    assert dispatch(scene.site, scene.snapshot(), PLAN).racks["old"] == {"eco": 3, SLEEP: 1}


def test_reasons_name_the_price_that_decided(scene: Scene) -> None:
    scene.racks = {"new": {"turbo": 4}, "old": {"eco": 4}}
    bought(scene, Ppa(3900.0, 38.0, 3.0))
    scene.price = 900.0
    reasons = scene.why(dispatch(scene.site, scene.snapshot()))
    assert (
        reasons[Target.fleet("old")]
        == "Old miner asleep: power sold back at 897 USD/MWh is worth more than its hash at 86 USD/MWh"
    )
    scene.price = 60.0
    reasons = scene.why(dispatch(scene.site, scene.snapshot()))
    assert "its hash at 181 USD/MWh is worth more than power sold back at 57" in reasons[Target.fleet("new")]
    bought(scene, Ppa(600.0, 38.0, 3.0))
    reasons = scene.why(dispatch(scene.site, scene.snapshot()))
    assert "its hash at 181 USD/MWh is worth more than power at 60" in reasons[Target.fleet("new")]
    bought(scene, Ppa(3900.0, 38.0, None))
    reasons = scene.why(dispatch(scene.site, scene.snapshot()))
    assert "is worth more than block power left unused at 0" in reasons[Target.fleet("old")]


def test_a_job_runs_on_the_block_at_a_price_above_what_it_earns(scene: Scene) -> None:
    """A GPU-hour of the lab's is paid 1 USD: 1,443 USD/MWh. Its 40 GPUs draw 28 kW at the grid."""
    scene.job("starts", "lab", 40, JobPhase.WAITING)
    scene.price = 3000.0
    for ppa, runs in ((None, False), (Ppa(200.0, 38.0, None), True), (Ppa(120.0, 38.0, None), False)):
        bought(scene, ppa)
        desired = dispatch(scene.site, scene.snapshot())
        assert ("starts" in desired.jobs) is runs
    bought(scene, Ppa(200.0, 38.0, None))
    assert "power" in scene.why(dispatch(scene.site, scene.snapshot()))[Target.job("starts")]


def test_a_gain_counts_what_the_power_would_have_brought(scene: Scene) -> None:
    """Four old racks fall asleep: 1,049 kW less, sold back at 897 instead of bought at 900."""
    scene.racks = {"new": {SLEEP: 4}, "old": {"eco": 4}}
    scene.price = 900.0
    gains = []
    for ppa in (None, Ppa(3900.0, 38.0, 3.0)):
        bought(scene, ppa)
        snapshot = scene.snapshot()
        gains.append(gain_usd_per_h(snapshot, dispatch(scene.site, snapshot), Target.fleet("old")))
    assert gains[0] - gains[1] == pytest.approx(1.0494 * 3.0, rel=1e-3)


def test_a_decision_has_what_was_left_of_the_block_on_record(scene: Scene) -> None:
    scene.racks = {"new": {"turbo": 4}, "old": {"eco": 4}}
    scene.price = 900.0
    for ppa in (None, Ppa(3900.0, 38.0, 3.0)):
        bought(scene, ppa)
        snapshot = scene.snapshot()
        desired = dispatch(scene.site, snapshot)
        moves = plan_moves(scene.site, snapshot, desired)
        decision = write_up(snapshot, desired, scene.why(desired), moves, Trigger.PRICE, snapshot.at)
        assert decision is not None
        if ppa is None:
            assert "ppa" not in decision.inputs
        else:
            assert decision.inputs["ppa"] == {
                "left_kw": pytest.approx(3900.0 - 117.04, abs=0.1),
                "unused_usd_per_mwh": 897.0,
            }


def test_one_more_kw_costs_what_is_told_on_both_sides_of_the_block() -> None:
    sold = Ppa(1000.0, 38.0, 3.0)
    prices = power_prices((sold,), NOW, 50.0)
    assert (price_at(prices, 999.0).usd_per_mwh, price_at(prices, 999.0).what) == (47.0, "power sold back")
    assert price_at(prices, 1000.0) == price_at(power_prices((), NOW, 50.0), 0.0)


@given(
    market=st.floats(-50, 300),
    block_kw=st.floats(0, 5000),
    spread=st.none() | st.floats(0, 200),
    old=st.integers(0, 4),
    new=st.integers(0, 4),
)
@ANY_SPEED
def test_nothing_earns_more_than_one_rack_beyond_what_is_chosen(
    scene_of: Callable[[Site], Scene],
    site: Site,
    market: float,
    block_kw: float,
    spread: float | None,
    old: int,
    new: int,
) -> None:
    """Were racks divisible, the best would be to take what is worth most first, up to the price of the next kW."""
    ppa = Ppa(block_kw + 1.0, 38.0, spread)
    scene = scene_of(site)
    bought(scene, ppa)
    scene.racks = {"old": {"turbo": old, SLEEP: 4 - old}, "new": {"turbo": new, SLEEP: 4 - new}}
    snapshot = scene.snapshot()
    fleets, jobs, pools = LiveColumns().of(scene.site, snapshot)
    room = room_left(scene.site, snapshot, fleets, jobs, pools).room
    room = room._replace(grid_kw=1e9, feeder_kw=np.full(2, 1e9))
    unused = ppa.unused_usd_per_mwh(market)
    left = BlockLeft(block_kw, 0.0, unused)
    columns = SiteColumns(fleets.columns, jobs.columns, pools)
    decided = decide(columns, moment_of(scene.site, snapshot), room, market, bought=left)
    tranches, units = decided.tranches, decided.chosen.units
    kw, value = tranches.unit_kw * snapshot.pue, tranches.value_usd_per_mwh

    def usd(drawn_kw: np.ndarray) -> float:
        """Of worth less power, kW x USD/MWh."""
        total = float(drawn_kw.sum())
        return (
            float(np.dot(drawn_kw, value)) - max(total - block_kw, 0.0) * market + max(block_kw - total, 0.0) * unused
        )

    best_kw, room_kw = np.zeros(len(kw)), block_kw
    for row in range(len(kw)):
        most = kw[row] * tranches.units[row]
        if tranches.rank[row] != Rank.WORTH or value[row] > market:
            best_kw[row] = most
        elif value[row] > unused:
            best_kw[row] = min(most, max(room_kw, 0.0))
        room_kw -= best_kw[row]
    assert usd(units * kw) >= usd(best_kw) - kw.max(initial=0.0) * (market - unused) - 1e-6
