"""Elastic jobs run on fewer of their GPUs where caps or other jobs leave no more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import PlannedMove, plan_moves
from orchestrator.domain.decision import Direction, RunJob
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from tests.scenes import Scene

AT_LEAST_80_BY_40 = (80, 40)


def moves(scene: Scene) -> list[PlannedMove]:
    snapshot = scene.snapshot()
    return list(plan_moves(scene.site, snapshot, dispatch(scene.site, snapshot)).now)


def test_it_starts_on_the_gpus_that_others_leave(scene: Scene) -> None:
    scene.job("other", "bank", 200)
    scene.job("train", "flux", 160, JobPhase.WAITING, elastic=AT_LEAST_80_BY_40)
    desired = dispatch(scene.site, scene.snapshot())
    assert desired.jobs == {"other": 200, "train": 120}
    assert "train" in scene.why(desired)[Target.job("train")]
    assert "runs on 120 GPUs" in scene.why(desired)[Target.job("train")]
    assert RunJob("train", 120) in [planned.move for planned in moves(scene)]


def test_below_its_least_number_it_waits(scene: Scene) -> None:
    scene.job("other", "bank", 280)
    scene.job("train", "flux", 160, JobPhase.WAITING, elastic=AT_LEAST_80_BY_40)
    desired = dispatch(scene.site, scene.snapshot())
    assert desired.jobs == {"other": 280}
    assert "40 GPUs of pool h100 are left, it needs 80" in scene.why(desired)[Target.job("train")]


def test_an_order_lets_it_shrink_before_it_pauses(scene: Scene) -> None:
    scene.price = 20.0
    scene.job("train", "flux", 160, elastic=AT_LEAST_80_BY_40)
    # 240 kW less 1 %, by 1.1: 216 kW of IT load, of which racks asleep and idle GPUs take 106; 40 GPUs are 25.2 kW.
    scene.order(240.0)
    assert dispatch(scene.site, scene.snapshot()).jobs == {"train": 160}
    scene.order(215.0)
    assert dispatch(scene.site, scene.snapshot()).jobs == {"train": 120}
    shrink = next(planned for planned in moves(scene) if planned.move == RunJob("train", 120))
    assert shrink.direction is Direction.DOWN
    assert shrink.change_kw == pytest.approx(-40 * 0.63 * 1.1)
    scene.order(150.0)
    assert dispatch(scene.site, scene.snapshot()).jobs == {}


def test_it_grows_again_where_there_is_room_but_not_at_once(scene: Scene, now: datetime) -> None:
    scene.job("train", "flux", 160, given_gpus=80, changed_at=now - timedelta(minutes=9), elastic=AT_LEAST_80_BY_40)
    assert dispatch(scene.site, scene.snapshot()).jobs == {"train": 80}
    scene.jobs.clear()
    scene.job("train", "flux", 160, given_gpus=80, changed_at=now - timedelta(minutes=10), elastic=AT_LEAST_80_BY_40)
    assert dispatch(scene.site, scene.snapshot()).jobs == {"train": 160}
    grow = next(planned for planned in moves(scene) if isinstance(planned.move, RunJob))
    assert (grow.move, grow.direction) == (RunJob("train", 160), Direction.UP)
    assert grow.change_kw == pytest.approx(80 * 0.63 * 1.1)


def test_what_is_guaranteed_is_all_of_its_gpus(scene: Scene) -> None:
    scene.job("train", "bank", 160, elastic=AT_LEAST_80_BY_40)
    scene.order(150.0)
    assert dispatch(scene.site, scene.snapshot()).jobs == {"train": 160}


def test_a_job_that_is_not_elastic_runs_on_all_or_none(scene: Scene) -> None:
    scene.job("train", "flux", 160)
    scene.order(215.0)
    assert dispatch(scene.site, scene.snapshot()).jobs == {}
