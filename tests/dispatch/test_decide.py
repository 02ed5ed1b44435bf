"""The door for sites that are only computed: columns in, columns out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.dispatch.decide import Decided, SiteColumns, decide
from orchestrator.dispatch.inputs import pool_columns
from orchestrator.dispatch.kernels.choice import Room
from orchestrator.dispatch.kernels.rows import Moment, Switches
from orchestrator.dispatch.relief import Excused, short, shortfalls_kw
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import JobPhase
from orchestrator.observe.columns import FleetColumns, JobColumns, fleet_columns, job_columns

if TYPE_CHECKING:
    from tests.scenes import Scene

AMPLE_KW = 1e6


def moment(site: Site, *, interruptions_left: int = 10) -> Moment:
    return Moment(0.0, 60.0, 1.1, 3600.0, np.full(len(site.tenants), interruptions_left))


def room(site: Site, *, grid_kw: float = AMPLE_KW, gpus: int = 320) -> Room:
    feeders = len(site.feeders)
    return Room(grid_kw, np.full(feeders, AMPLE_KW), 0.0, np.zeros(feeders), np.full(len(site.pools), gpus))


def columns(scene: Scene) -> tuple[FleetColumns, JobColumns]:
    """Times are as if the scene were at 0."""
    snapshot = scene.snapshot()
    return fleet_columns(scene.site, snapshot), job_columns(scene.site, snapshot.jobs.values())


def decided(scene: Scene, price: float, given: Room, switches: Switches | None = None) -> Decided:
    fleets, jobs = columns(scene)
    fleets.woken_at[:] = fleets.slept_at[:] = -86_400.0
    return decide(
        SiteColumns(fleets, jobs, pool_columns(scene.site)), moment(scene.site), given, price, switches=switches
    )


def test_racks_and_gpus_come_out_by_row(scene: Scene) -> None:
    scene.job("one", "bank", 40, JobPhase.WAITING)
    scene.job("two", "lab", 80)
    chosen = decided(scene, 65.0, room(scene.site)).chosen
    assert chosen.at_step.tolist() == [[4, 0, 0], [4, 4, 4]]
    assert chosen.gpus.tolist() == [40, 80]
    assert not chosen.bound.any()


def test_of_equal_jobs_the_first_row_goes_first(scene: Scene) -> None:
    scene.job("b", "lab", 80, JobPhase.WAITING)
    scene.job("a", "lab", 80, JobPhase.WAITING)
    chosen = decided(scene, 65.0, room(scene.site, gpus=100)).chosen
    assert chosen.gpus.tolist() == [80, 0]
    assert (chosen.lacks_of.tolist(), chosen.lacks_for.tolist()) == ([-1, 20], [0, 80])


def test_the_cap_that_bound_is_named(scene: Scene) -> None:
    """600 kW at the grid are two racks of the new fleet in eco, 1.1 x 288.5 kW each, less one."""
    chosen = decided(scene, 150.0, room(scene.site, grid_kw=600.0)).chosen
    assert chosen.at_step.tolist() == [[0, 0, 0], [1, 0, 0]]
    assert chosen.bound.tolist() == [1, 0, 0]
    assert chosen.grid_kw == pytest.approx(600.0 - 1.1 * 288.5)


def test_guaranteed_jobs_above_a_cap_are_throttled_then_given_up_unless_an_order_asks(scene: Scene) -> None:
    """160 GPUs draw 110.88 kW above idle at the grid, and 22.88 at their lowest limit."""
    scene.job("first", "bank", 80)
    scene.job("second", "bank", 80)
    fleets, jobs = columns(scene)
    pools = pool_columns(scene.site)

    def at(grid_kw: float, order_kw: float = 0.0) -> Decided:
        given, excused = room(scene.site, grid_kw=grid_kw), Excused(order_kw, np.zeros(2), np.zeros(2))
        return decide(SiteColumns(fleets, jobs, pools), moment(scene.site), given, 5000.0, excused=excused)

    throttled = at(50.0)
    assert throttled.chosen.gpus.tolist() == [80, 80]
    assert 200.0 < throttled.gpu_limit_w[0] < 700.0
    assert not short(throttled.chosen)
    given_up = at(20.0)
    assert given_up.gpu_limit_w.tolist() == [200.0]
    assert given_up.chosen.gpus.tolist() == [0, 80]
    assert not short(given_up.chosen)
    kept = at(20.0, order_kw=100.0)
    assert kept.chosen.gpus.tolist() == [80, 80]
    assert shortfalls_kw(kept.chosen).tolist() == [pytest.approx(2.88), 0.0, 0.0]


def test_nothing_given_is_changed(scene: Scene) -> None:
    scene.job("runs", "lab", 80)
    fleets, jobs = columns(scene)
    given, at_step, gpus = room(scene.site), fleets.at_step.copy(), jobs.on_gpus.copy()
    decide(SiteColumns(fleets, jobs, pool_columns(scene.site)), moment(scene.site), given, 5000.0)
    assert (given.feeder_kw == AMPLE_KW).all()
    assert (given.gpus == 320).all()
    assert (fleets.at_step == at_step).all()
    assert (jobs.on_gpus == gpus).all()


def test_a_site_of_nothing_wants_nothing(scene: Scene) -> None:
    fleets, jobs = columns(scene)
    fleets.held[:] = True
    chosen = decide(
        SiteColumns(fleets, jobs, pool_columns(scene.site)), moment(scene.site), room(scene.site), 5000.0
    ).chosen
    assert chosen.at_step.tolist() == fleets.at_step.tolist()
    assert len(chosen.gpus) == len(chosen.units) == 0


def test_a_plan_does_not_start_above_the_price_at_which_it_stops(scene: Scene) -> None:
    """Else a fleet would go to and fro at a price in between."""
    scene.racks = {"old": {"sleep": 4}, "new": {"sleep": 4}}
    switches = Switches(np.full(2, 100.0), np.full(2, 200.0), np.empty(0), np.empty(0))
    assert not decided(scene, 150.0, room(scene.site), switches).chosen.at_step.any()
    assert decided(scene, 99.0, room(scene.site), switches).chosen.at_step[:, 0].tolist() == [4, 4]
