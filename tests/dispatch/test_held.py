"""What an operator or another controller holds stays as it is, and what it draws is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import plan_moves
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from tests.scenes import Scene

WHY = "held by an operator until 2023-09-06 20:00:00 UTC"


def test_a_held_fleet_is_not_moved_whatever_the_price_and_says_why(scene: Scene) -> None:
    scene.price = 5000.0
    scene.held["old"] = WHY
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot)
    assert desired.racks == {"old": {"normal": 4}, "new": {SLEEP: 4}}
    assert WHY in scene.why(desired)[Target.fleet("old")]
    assert [planned.move.target for planned in plan_moves(scene.site, snapshot, desired).now] == [Target.fleet("new")]


def test_what_a_held_fleet_draws_is_kept_free_for_it_under_an_order(scene: Scene) -> None:
    scene.price = 10.0
    scene.order(1800.0)
    free = dispatch(scene.site, scene.snapshot())
    scene.held["old"] = WHY
    beside = dispatch(scene.site, scene.snapshot())
    assert free.racks["old"] == {SLEEP: 4}
    assert beside.racks["old"] == {"normal": 4}
    assert sum(count for mode, count in beside.racks["new"].items() if mode != SLEEP) < 4


def test_held_fleets_beyond_an_order_are_reported_short(scene: Scene) -> None:
    scene.held = {"old": WHY, "new": WHY}
    scene.order(200.0)
    desired = dispatch(scene.site, scene.snapshot())
    assert desired.racks == {"old": {"normal": 4}, "new": {"normal": 4}}
    assert max(desired.shortfalls_kw.values()) > 1000.0


def test_a_held_job_runs_on_at_any_price_and_keeps_its_gpus(scene: Scene) -> None:
    scene.price = 5000.0
    scene.job("kept", "lab", 200, held=WHY)
    scene.job("other", "lab", 80)
    scene.job("next", "bank", 160, JobPhase.WAITING)
    desired = dispatch(scene.site, scene.snapshot())
    assert desired.jobs == {"kept": 200}
    assert WHY in scene.why(desired)[Target.job("kept")]
    assert "120 GPUs of pool h100 are left" in scene.why(desired)[Target.job("next")]


def test_a_held_job_that_waits_is_not_started(scene: Scene) -> None:
    scene.price = -20.0
    scene.job("kept", "lab", 80, JobPhase.PAUSED, held=WHY)
    desired = dispatch(scene.site, scene.snapshot())
    assert desired.jobs == {}
    assert WHY in scene.why(desired)[Target.job("kept")]
