"""Dispatch where so much is put on top of the market price: the hash of the old fleet is worth 86 USD/MWh in eco."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.accounting.charges.block import Ppa
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import plan_moves
from orchestrator.domain.decision import Trigger
from orchestrator.domain.site.machines import SLEEP
from orchestrator.explain.decision_record import write_up
from orchestrator.forecast.outlook import PlanValues, Switch
from tests.adder import Adder
from tests.power_block import charged

if TYPE_CHECKING:
    from tests.scenes import Scene

PLAN = PlanValues({"new": Switch(181.0, 181.0), "old": Switch(86.0, 86.0)}, {})
NOW_ON, LATER = Adder(7.0, 19, 21, "UTC"), Adder(7.0, 20, 21, "UTC")
"""Scenes are at 19:00."""


@pytest.mark.parametrize(
    ("market", "charges", "old"),
    [
        pytest.param(82.0, (), {"eco": 4}, id="82: ----82-86"),
        pytest.param(82.0, (NOW_ON,), {SLEEP: 4}, id="82 + 7: --86-89"),
        pytest.param(82.0, (LATER,), {"eco": 4}, id="82, and 7 from 20 on only"),
        pytest.param(78.0, (NOW_ON,), {"eco": 4}, id="78 + 7: --85-86"),
        pytest.param(100.0, (Ppa(3900.0, 38.0, 30.0), NOW_ON), {"eco": 4}, id="sold back at 70, 7 on top of it: 77"),
        pytest.param(100.0, (Ppa(3900.0, 38.0, 18.0), NOW_ON), {SLEEP: 4}, id="sold back at 82, 7 on top of it: 89"),
        pytest.param(100.0, (Ppa(3900.0, 38.0, 18.0), LATER), {"eco": 4}, id="sold back at 82, nothing on top yet"),
    ],
)
def test_what_runs_is_decided_at_the_market_price_and_what_is_on_top(
    scene: Scene, market: float, charges: tuple[Ppa | Adder, ...], old: dict[str, int]
) -> None:
    scene.site = charged(scene.site, *charges)
    scene.price = market
    scene.racks = {"new": {SLEEP: 4}, "old": {SLEEP: 4}}
    assert dispatch(scene.site, scene.snapshot(), PLAN).racks["old"] == old


def test_reasons_and_record_name_it(scene: Scene) -> None:
    scene.site = charged(scene.site, NOW_ON)
    scene.price = 82.0
    scene.racks = {"new": {"turbo": 4}, "old": {"eco": 4}}
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot, PLAN)
    moves = plan_moves(scene.site, snapshot, desired)
    decision = write_up(snapshot, desired, scene.why(desired), moves, Trigger.PRICE, snapshot.at)
    assert decision is not None
    assert "power and delivery at 89 USD/MWh" in decision.summary
    assert decision.inputs["adder"] == {"more_usd_per_mwh": 7.0}
