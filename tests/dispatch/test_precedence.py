"""Who wins is read off the list: for each pair of neighbours a scene in which they conflict, and the higher one has it.

No override can be given yet, so one is put among the caps here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.kernels.tranches import Rank
from orchestrator.dispatch.precedence import PRECEDENCE, caps_that_hold, claims_in_turn, kept_above_kw
from orchestrator.domain.limits import Authority, Cap
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder, Grid
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.scenes import Scene

ASLEEP: dict[str, Mapping[str, int]] = {"old": {SLEEP: 4}, "new": {SLEEP: 4}}


def decided(scene: Scene) -> Desired:
    return dispatch(scene.site, scene.snapshot())


def overridden(scene: Scene, limit_kw: float, at: Target = GRID_CONNECTION) -> Desired:
    """Decided under an operator's cap, for which all may be stopped but what is guaranteed."""
    snapshot = scene.snapshot()
    caps = (*snapshot.limits.caps, Cap(limit_kw, at, Authority.OVERRIDE, "o-1"))
    return dispatch(scene.site, replace(snapshot, limits=replace(snapshot.limits, caps=caps)))


def test_the_list_is_the_order() -> None:
    assert [rule.name for rule in PRECEDENCE] == [
        "safety limits",
        "safe power",
        "grid orders",
        "operator overrides",
        "SLA",
        "profit",
    ]
    assert claims_in_turn() == tuple(Rank), "as the table of what is chosen between is sorted"


def test_safety_limits_go_before_grid_orders(scene: Scene) -> None:
    """The order would let the site draw 3 MW, the connection carries 0.1: a guaranteed job is given up for it."""
    scene.site = replace(scene.site, grid=Grid(100.0, 0.01))
    scene.job("train", "bank", 160)
    scene.order(3000.0)
    desired = decided(scene)
    assert desired.jobs == {}
    assert [cap.source for cap in desired.binding] == ["grid connection"]
    assert desired.rules[0] == "safety limits"


def test_an_order_takes_what_a_safety_limit_leaves_and_interrupts_nothing_guaranteed(scene: Scene) -> None:
    scene.job("train", "bank", 160)
    scene.order(100.0)
    snapshot = scene.snapshot()
    caps = caps_that_hold(snapshot.limits)
    assert caps[GRID_CONNECTION].source == "curtailment c-1"
    assert caps[Target.feeder("a")].limit_kw == 2000.0
    assert caps_that_hold(snapshot.limits, stopping=Rank.GUARANTEED)[GRID_CONNECTION].limit_kw == 4000.0
    kept_kw = kept_above_kw(snapshot.limits, Rank.GUARANTEED)
    assert kept_kw == {caps[at].at: pytest.approx(0.99 * 3900.0) if at == GRID_CONNECTION else 0.0 for at in caps}
    assert set(kept_above_kw(snapshot.limits, Rank.DUE).values()) == {0.0}
    assert decided(scene).jobs.keys() == {"train"}


def test_grid_orders_go_before_operator_overrides(scene: Scene) -> None:
    scene.price = 10.0
    scene.order(200.0)
    desired = overridden(scene, 3000.0)
    assert desired.racks == ASLEEP
    assert [cap.source for cap in desired.binding] == ["curtailment c-1"]
    assert desired.rules == ("grid orders",)


@pytest.mark.parametrize("at", [GRID_CONNECTION, Target.feeder("b")], ids=str)
def test_operator_overrides_go_before_what_tenants_were_promised(scene: Scene, at: Target) -> None:
    """A job at its deadline is paused for it; what is guaranteed is throttled and kept."""
    scene.job("due", "flux", 160, deadline_in_h=10.1)
    scene.job("train", "bank", 40)
    scene.price = 10.0
    assert decided(scene).jobs.keys() == {"due", "train"}
    desired = overridden(scene, 120.0, at)
    assert desired.jobs.keys() == {"train"}
    assert desired.racks["new"] == ASLEEP["new"]
    assert (desired.racks["old"] == ASLEEP["old"]) == (at == GRID_CONNECTION), "it is on the other feeder"
    assert desired.gpu_limit_w["h100"] < 700.0
    assert [cap.source for cap in desired.binding] == ["override o-1"]
    assert desired.rules[0] == "operator overrides"


def test_grid_orders_go_before_what_tenants_were_promised(scene: Scene) -> None:
    """A job at its deadline is paused for an order, and a guaranteed one that waits is not begun under it."""
    scene.job("due", "flux", 160, deadline_in_h=10.1)
    scene.job("waits", "bank", 80, JobPhase.WAITING)
    scene.order(120.0)
    desired = decided(scene)
    assert desired.jobs == {}
    assert desired.rules == ("grid orders",)


def test_what_tenants_were_promised_goes_before_profit(scene: Scene) -> None:
    """Power at 5000 USD/MWh: what is guaranteed starts and what is due runs on, at a loss; all else goes off."""
    scene.price = 5000.0
    scene.job("due", "flux", 80, deadline_in_h=10.1)
    scene.job("train", "bank", 80, JobPhase.WAITING)
    scene.job("lab", "lab", 80)
    desired = decided(scene)
    assert desired.jobs.keys() == {"due", "train"}
    assert desired.racks == ASLEEP
    assert desired.rules == ("SLA", "profit")


def test_a_guaranteed_job_takes_the_gpus_of_one_that_earns_more(scene: Scene) -> None:
    scene.job("flex", "flux", 320)
    scene.job("train", "bank", 80, JobPhase.WAITING)
    desired = decided(scene)
    assert desired.jobs.keys() == {"train"}
    assert desired.rules[-1] in ("SLA", "profit")
    assert "SLA" in desired.rules


def test_a_feeder_is_a_safety_limit_of_its_own(scene: Scene) -> None:
    scene.price = 10.0
    scene.racks = ASLEEP
    scene.site = replace(scene.site, feeders=(Feeder("a", 1000.0), Feeder("b", 2500.0)))
    desired = decided(scene)
    assert [cap.source for cap in desired.binding] == ["feeder a"]
    assert desired.rules == ("safety limits", "profit")


def test_an_order_for_a_feeder_frees_that_feeder_alone_and_interrupts_nothing_guaranteed(scene: Scene) -> None:
    """Feeder b: mining sleeps, what is flexible pauses, what is guaranteed is throttled; what is then missing is short
    there, and not at the connection."""
    scene.price = 10.0
    scene.job("train", "bank", 160)
    scene.job("lab", "lab", 80)
    scene.order(60.0, at=Target.feeder("b"))
    desired = decided(scene)
    assert desired.jobs.keys() == {"train"}
    assert desired.gpu_limit_w["h100"] == 200.0
    assert {name: racks.get(SLEEP, 0) for name, racks in desired.racks.items()} == {"old": 0, "new": 4}
    assert [cap.source for cap in desired.binding] == ["curtailment c-1"]
    assert [cap.source for cap in desired.shortfalls_kw] == ["curtailment c-1"]
    assert desired.rules == ("grid orders", "profit")


def test_what_stays_as_it_is_was_shaped_by_no_rule(scene: Scene) -> None:
    scene.price = 50.0
    scene.racks = {"old": {"normal": 4}, "new": {"turbo": 4}}
    desired = decided(scene)
    assert not desired.changes
    assert desired.rules == ()
