"""Which moves go out now, and which wait for measured room."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.desired import Desired
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import Moves, plan_moves
from orchestrator.domain.decision import Direction, LimitGpus, PauseJob, RunJob, SetFleet
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from tests.scenes import Scene

ASLEEP = {SLEEP: 4}


def planned(scene: Scene) -> Moves:
    snapshot = scene.snapshot()
    return plan_moves(scene.site, snapshot, dispatch(scene.site, snapshot))


def wanting(scene: Scene, **racks: dict[str, int]) -> tuple[Snapshot, Desired]:
    """What dispatch wants, but for some fleets' racks."""
    snapshot = scene.snapshot()
    desired = dispatch(scene.site, snapshot)
    return snapshot, replace(desired, racks={**desired.racks, **{name: RackMix(mix) for name, mix in racks.items()}})


def test_nothing_moves_where_all_is_as_it_should_be(scene: Scene) -> None:
    scene.racks = {"new": {"turbo": 4}}
    assert planned(scene) == Moves((), ())


def test_power_downs_come_before_power_ups(scene: Scene) -> None:
    scene.price = 65.0
    scene.job("train", "bank", 80, JobPhase.WAITING)
    moves = planned(scene).now
    assert [move.direction for move in moves] == [Direction.DOWN, Direction.UP, Direction.UP]
    assert moves[0].move == SetFleet("old", RackMix({"eco": 4}))
    assert {type(move.move) for move in moves[1:]} == {SetFleet, RunJob}


def test_expected_changes_are_at_the_grid(scene: Scene) -> None:
    scene.price = 312.0
    scene.job("lab", "lab", 80)
    changes = {move.move.target: move.change_kw for move in planned(scene).now}
    assert changes == {
        Target.fleet("old"): pytest.approx(-1.1 * 4 * (300.0 - 1.5)),
        Target.fleet("new"): pytest.approx(-1.1 * 4 * (360.0 - 1.5)),
    }


def test_racks_wake_as_far_as_measured_room_goes_and_the_rest_waits(scene: Scene) -> None:
    """The feeder has 2,475 kW; the fleet next to it draws all but 700 kW of it as measured."""
    scene.racks["new"] = ASLEEP
    scene.kw = {"h100-node-0": 2.36 + (2475.0 - 700.0) / 1.1 - 40 * 2.36 - 4 * 1.5}
    snapshot, desired = wanting(scene, new={"eco": 4})
    moves = plan_moves(scene.site, snapshot, desired)
    # 700 kW is room for two racks of 1.1 x 288.5 kW.
    assert [move.move for move in moves.now if move.move.target == Target.fleet("new")] == [
        SetFleet("new", RackMix({SLEEP: 2, "eco": 2}))
    ]
    assert moves.waiting == (Target.fleet("new"),)


def test_a_fleet_that_goes_both_down_and_up_goes_down_first(scene: Scene) -> None:
    scene.racks["new"] = {SLEEP: 1, "normal": 3}
    snapshot, desired = wanting(scene, new={"eco": 4})
    moves = [move for move in plan_moves(scene.site, snapshot, desired).now if move.move.target == Target.fleet("new")]
    assert [(move.move, move.direction) for move in moves] == [
        (SetFleet("new", RackMix({SLEEP: 1, "eco": 3})), Direction.DOWN)
    ]
    scene.racks["new"] = {SLEEP: 1, "eco": 3}
    snapshot, desired = wanting(scene, new={"eco": 4})
    moves = [move for move in plan_moves(scene.site, snapshot, desired).now if move.move.target == Target.fleet("new")]
    assert [(move.move, move.direction) for move in moves] == [(SetFleet("new", RackMix({"eco": 4})), Direction.UP)]


def test_what_was_just_shed_is_no_room_until_it_is_measured(scene: Scene, now: datetime) -> None:
    """Asleep by setpoint since two seconds ago, still drawing: nothing else may rise into it."""
    scene.price = 10.0
    scene.site = replace(scene.site, feeders=(Feeder("a", 2000.0), Feeder("b", 1700.0)))
    scene.racks = {"old": {"turbo": 4}, "new": ASLEEP}
    scene.moved["new"] = now - timedelta(seconds=2)
    scene.put_to_sleep["new"] = now - timedelta(seconds=2)
    scene.kw = {f"new/rack-{number}": 350.0 for number in range(4)}
    scene.job("train", "bank", 160, JobPhase.WAITING)
    assert planned(scene) == Moves((), (Target.job("train"),))
    scene.kw = {}
    assert [move.move for move in planned(scene).now] == [RunJob("train")]


def test_a_rack_on_its_way_up_holds_the_room_it_will_need(scene: Scene, now: datetime) -> None:
    scene.racks["new"] = {"turbo": 4}
    scene.moved["new"] = now - timedelta(seconds=2)
    scene.kw = {f"new/rack-{number}": 20.0 for number in range(4)}
    assert scene.snapshot().fleets["new"].committed_kw == pytest.approx(1600.0)
    assert scene.snapshot().power.mining_kw == pytest.approx(4 * 300.0 + 80.0)


def test_a_job_starts_only_once_its_gpus_are_free(scene: Scene) -> None:
    scene.job("lab-1", "lab", 160)
    scene.job("lab-2", "lab", 160)
    scene.job("train", "bank", 160, JobPhase.WAITING)
    moves = planned(scene)
    assert [move.move for move in moves.now if not isinstance(move.move, SetFleet)] == [PauseJob("lab-2")]
    assert moves.waiting == (Target.job("train"),)


def test_gpu_limits_fall_at_once_and_rise_when_there_is_room(scene: Scene, now: datetime) -> None:
    scene.racks = {"old": ASLEEP, "new": ASLEEP}
    scene.price = 312.0
    scene.job("train", "bank", 160)
    scene.order(200.0)
    [down] = planned(scene).now
    assert down.move == LimitGpus("h100", 530.0)
    assert down.change_kw == pytest.approx(-1.1 * 160 * 0.17)
    scene.orders.clear()
    scene.gpu_limit_w["h100"] = 530.0
    [up] = planned(scene).now
    assert (up.move, up.direction) == (LimitGpus("h100", 700.0), Direction.UP)
    # Put to sleep just now and still drawing: no room for the 30 kW yet.
    scene.moved = scene.put_to_sleep = {"old": now, "new": now}
    scene.kw = {rack: 490.0 for _, rack in scene.site.racks()}
    assert planned(scene) == Moves((), (Target.pool("h100"),))
