"""Racks that draw what nobody asked for are told by name, a few machines of them too."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from tests.scenes import NOW, Scene
from tests.sites import small_site

RACK = "old/rack-1"
OLD = small_site().fleet("old")


def asleep(kw: float, **changed: object) -> Scene:
    scene = Scene(small_site(), price=20.0)
    scene.racks = {"old": {SLEEP: 4}, "new": {"normal": 4}}
    scene.kw = {RACK: kw}
    for name, value in changed.items():
        setattr(scene, name, value)
    return scene


@given(machines=st.integers(7, 100))
def test_a_fifth_of_a_rack_that_wakes_by_itself_is_told(machines: int) -> None:
    """Of 100 machines, each of 3 kW; 25 were needed before."""
    kw = (100 - machines) * 0.015 + machines * 3.0
    assert asleep(kw).snapshot().unexplained_kw == {RACK: pytest.approx(kw - 1.5)}


@given(machines=st.integers(0, 5), draw=st.floats(0.9, 1.0))
def test_a_rack_asleep_with_a_few_machines_that_hang_is_explained(machines: int, draw: float) -> None:
    assert asleep(1.5 + machines * 3.0 * draw).snapshot().unexplained_kw == {}


@given(mode=st.sampled_from(["eco", "normal", "turbo"]), draw=st.floats(0.0, 1.1))
def test_an_awake_rack_near_its_nameplate_is_explained(mode: str, draw: float) -> None:
    scene = Scene(small_site(), price=20.0, racks={"old": {mode: 4}, "new": {"normal": 4}})
    scene.kw = {RACK: OLD.rack_kw(mode) * draw}
    assert scene.snapshot().unexplained_kw == {}


def test_a_rack_in_turbo_that_was_asked_for_eco_is_told() -> None:
    scene = Scene(small_site(), price=20.0, racks={"old": {"eco": 4}, "new": {"normal": 4}})
    scene.kw = {RACK: 340.0}
    assert scene.snapshot().unexplained_kw == {RACK: pytest.approx(100.0)}


def test_while_a_fleet_moves_and_where_a_rack_is_silent_nothing_is_told(site: Site) -> None:
    assert (
        asleep(300.0, moved={"old": NOW - site.controls.verify_within + timedelta(seconds=1)}).snapshot().unexplained_kw
        == {}
    )
    scene = asleep(300.0)
    scene.kw = {RACK: None}
    assert scene.snapshot().unexplained_kw == {}
