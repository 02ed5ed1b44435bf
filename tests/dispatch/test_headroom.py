"""What is left under a cap is the same for all who ask, where they take the same for drawn anyway."""

import inspect
import re
from importlib import import_module

import numpy as np
import pytest

from orchestrator.backtest.engine import Fixed
from orchestrator.dispatch.live_columns import LiveColumns
from orchestrator.dispatch.moves import MeasuredRoom
from orchestrator.dispatch.room_left import room_left
from orchestrator.domain import headroom
from orchestrator.domain.headroom import PLANNED_SHARE, START_MARGIN, left_it_kw, left_kw, usable_kw, usable_share
from orchestrator.domain.site.machines import SLEEP
from orchestrator.optimizer.formulate import fixed_kw
from tests.scenes import Scene


def test_numbers_and_arrays_follow_one_rule() -> None:
    usable = usable_kw(1000.0, 0.01)
    assert usable == 990.0
    assert left_kw(usable, 100.0, 1.1) == pytest.approx(880.0)
    assert left_it_kw(usable, 100.0, 1.1) == pytest.approx(800.0)
    limits_kw, drawn_kw = np.array([1000.0, 500.0]), np.array([100.0, 500.0])
    assert left_kw(usable_kw(limits_kw, 0.01), drawn_kw, 1.1) == pytest.approx([880.0, -55.0])
    assert left_it_kw(usable, 100.0, np.array([1.0, 1.1])) == pytest.approx([890.0, 800.0])


def test_who_asks_is_told_where_the_rule_is() -> None:
    askers = re.findall(r"`(\w+\.\w+)`", headroom.__doc__ or "")
    assert len(askers) == 5
    for asker in askers:
        assert "headroom import" in inspect.getsource(import_module(f"orchestrator.{asker}"))


def test_a_plan_leaves_what_a_start_must_leave() -> None:
    assert PLANNED_SHARE + START_MARGIN == 1.0
    assert usable_share(0.01, START_MARGIN) == pytest.approx(0.987)


def test_moves_choice_plan_and_backtest_agree_on_a_site_asleep(scene: Scene) -> None:
    scene.racks = {fleet.name: {SLEEP: fleet.racks} for fleet in scene.site.fleets}
    site, snapshot = scene.site, scene.snapshot()
    fleets, jobs, pools = LiveColumns().of(site, snapshot)
    chosen_from = room_left(site, snapshot, fleets, jobs, pools).room
    measured = MeasuredRoom.measured(site, snapshot)
    planned_kw = fixed_kw(site, fleets.columns, jobs.columns)
    played = Fixed.of(site, fleets.columns).room(site, snapshot.pue)
    for feeder, row in (("a", 0), ("b", 1)):
        limit_kw = site.feeders[row].limit_kw
        expected_kw = limit_kw * 0.99 - float(planned_kw[row]) * 1.1
        assert measured.feeder_kw[feeder] == pytest.approx(expected_kw)
        assert chosen_from.feeder_kw[row] == pytest.approx(expected_kw)
        assert played.feeder_kw[row] == pytest.approx(expected_kw)
        assert chosen_from.feeder_margin_kw[row] == played.feeder_margin_kw[row] == limit_kw * 0.003
    assert measured.grid_kw == pytest.approx(chosen_from.grid_kw) == pytest.approx(played.grid_kw)
