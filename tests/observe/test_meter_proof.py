"""A move proven or refuted by the meter of its place, whatever its devices say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.decision import Action, Direction, Move, Outcome, OutcomeState, PauseJob, SetFleet
from orchestrator.domain.metering.metered import Bias, Learnt
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.observe.proof.verify import Pending, check, followed_unseen, mark_of, power_before
from tests.scenes import Scene, metered
from tests.sites import small_site

ASLEEP, NORMAL = {SLEEP: 4}, {"normal": 4}
OLD = [f"old/rack-{number}" for number in range(4)]
NEW = [f"new/rack-{number}" for number in range(4)]
PUE = 1.1
FULL_KW, SLEEP_KW = 300.0, 1.5
"""Of a rack of the old fleet in normal, and asleep."""


def scene_of(*meters: str) -> Scene:
    return Scene(metered(small_site(), *meters))


def shows(scene: Scene, true_kw: dict[str, float] | None = None, *, share: float = 1.0) -> None:
    """The meters show what all devices draw, `true_kw` in place of what some say, times `share`."""
    silent = {name: None for name, kw in scene.kw.items() if kw is None}
    said, scene.kw = scene.kw, {name: kw for name, kw in {**scene.kw, **(true_kw or {})}.items() if kw is not None}
    power, scene.kw = scene.snapshot().power, {**said, **silent}
    scene.meters_kw = {"grid": power.grid_kw * share, **{name: kw * share for name, kw in power.feeders_kw.items()}}


def sent(before: Snapshot, move: Move, direction: Direction, *, s_ago: float = 10.0) -> Pending:
    at = before.at - timedelta(seconds=s_ago)
    outcome = Outcome("d-1/0", OutcomeState.ACKNOWLEDGED, sent_at=at, acknowledged_at=at)
    action = Action("d-1/0", move, direction, "test", -1313.0 if direction is Direction.DOWN else 1313.0)
    return Pending(action, outcome, power_before(action, before), mark_of(move, before), at, before)


def shed(scene: Scene, *, s_ago: float = 10.0) -> Pending:
    """The old fleet was told to sleep."""
    shows(scene)
    before = scene.snapshot()
    scene.racks["old"] = ASLEEP
    return sent(before, SetFleet("old", RackMix(ASLEEP)), Direction.DOWN, s_ago=s_ago)


def judged(scene: Scene, pending: Pending) -> Outcome:
    return check(pending, scene.snapshot(), scene.site.controls)


@pytest.mark.parametrize("meter", ["a", "grid"])
@pytest.mark.parametrize("silent", [OLD[:1], OLD])
def test_a_shed_whose_devices_are_silent_is_proven_by_the_meter(meter: str, silent: list[str]) -> None:
    scene = scene_of(meter)
    pending = shed(scene)
    scene.kw = dict.fromkeys(silent)
    shows(scene, dict.fromkeys(silent, FULL_KW))
    assert judged(scene, pending).state is OutcomeState.ACKNOWLEDGED
    shows(scene, dict.fromkeys(silent, SLEEP_KW))
    outcome = judged(scene, pending)
    assert outcome.state is OutcomeState.MEASURED
    place = "feeder a" if meter == "a" else "grid connection"
    assert f"the meter of {place} leaves 1194 kW less for it" in outcome.detail


def test_devices_that_claim_what_the_meter_contradicts_prove_nothing() -> None:
    scene = scene_of("a")
    pending = shed(scene, s_ago=61.0)
    shows(scene, dict.fromkeys(OLD, FULL_KW))  # they say that they sleep
    outcome = judged(scene, pending)
    assert outcome.state is OutcomeState.LATE
    assert "its devices say 1194 kW less; the meter of feeder a leaves 0 kW more for it" in outcome.detail
    shows(scene)
    assert judged(scene, pending).state is OutcomeState.MEASURED


def test_devices_that_stand_still_do_not_hide_what_the_meter_shows() -> None:
    scene = scene_of("a")
    pending = shed(scene)
    scene.kw = dict.fromkeys(OLD, FULL_KW)
    shows(scene, dict.fromkeys(OLD, SLEEP_KW))
    assert judged(scene, pending).state is OutcomeState.MEASURED


def test_devices_that_deny_it_are_believed_while_others_that_say_nothing_may_have_gone_down() -> None:
    scene = scene_of("grid")
    pending = shed(scene)
    scene.kw = {**dict.fromkeys(OLD, FULL_KW), **dict.fromkeys(NEW)}
    shows(scene, {**dict.fromkeys(OLD, FULL_KW), **dict.fromkeys(NEW, 60.0)})
    assert judged(scene, pending).state is OutcomeState.ACKNOWLEDGED


def test_power_ups_are_held_against_the_meter_too() -> None:
    scene = scene_of("a")
    scene.racks["old"] = ASLEEP
    shows(scene)
    pending = sent(scene.snapshot(), SetFleet("old", RackMix(NORMAL)), Direction.UP)
    scene.racks["old"] = NORMAL
    shows(scene, dict.fromkeys(OLD, SLEEP_KW))
    assert judged(scene, pending).state is OutcomeState.ACKNOWLEDGED
    scene.kw = dict.fromkeys(OLD)
    shows(scene, dict.fromkeys(OLD, FULL_KW))
    assert judged(scene, pending).state is OutcomeState.MEASURED


def test_a_paused_job_of_a_pool_with_a_silent_node_is_proven_by_the_meter() -> None:
    scene = scene_of("b")
    scene.racks["new"] = ASLEEP
    scene.job("train", "bank", 240)
    shows(scene)
    pending = sent(scene.snapshot(), PauseJob("train"), Direction.DOWN)
    idle_kw = scene.site.pool("h100").node_idle_kw
    nodes = scene.site.pool("h100").node_names()
    scene.jobs[0] = replace(scene.jobs[0], phase=JobPhase.PAUSED)
    scene.kw = {nodes[0]: None}
    shows(scene, dict.fromkeys(nodes, idle_kw + 240 * 0.63 / 40))
    assert judged(scene, pending).state is OutcomeState.ACKNOWLEDGED
    shows(scene, dict.fromkeys(nodes, idle_kw))
    assert judged(scene, pending).state is OutcomeState.MEASURED


def test_moves_of_both_directions_that_nobody_sees_prove_nothing_of_each_other() -> None:
    """Old goes down by 1194 kW and new up by 1434: the meter shows nothing moved, or both."""
    scene = scene_of("grid")
    scene.racks["new"] = ASLEEP
    pending = shed(scene)
    scene.racks["new"] = NORMAL
    scene.kw = dict.fromkeys([*OLD, *NEW])
    shows(scene, dict.fromkeys(OLD, SLEEP_KW) | dict.fromkeys(NEW, 360.0))
    assert judged(scene, pending).state is OutcomeState.ACKNOWLEDGED
    shows(scene, dict.fromkeys(OLD, SLEEP_KW) | dict.fromkeys(NEW, SLEEP_KW))
    assert judged(scene, pending).state is OutcomeState.MEASURED


def test_a_meter_that_was_not_read_since_is_waited_for_until_the_limit() -> None:
    scene = scene_of("a")
    for s_ago, state in ((20.0, OutcomeState.ACKNOWLEDGED), (61.0, OutcomeState.MEASURED)):
        pending = shed(scene, s_ago=s_ago)
        shows(scene)
        snapshot = scene.snapshot()
        meter = snapshot.meters.meters["a"]
        read_at = pending.since + timedelta(seconds=4)
        old = replace(meter, reading=replace(meter.reading, at=read_at))
        snapshot = replace(snapshot, meters=replace(snapshot.meters, meters={**snapshot.meters.meters, "a": old}))
        assert check(pending, snapshot, scene.site.controls).state is state
        scene.racks.clear()


def test_a_move_that_is_lost_in_the_meters_error_is_left_to_its_devices() -> None:
    scene = scene_of("grid")
    scene.job("lab", "lab", 8)
    shows(scene)
    pending = sent(scene.snapshot(), PauseJob("lab"), Direction.DOWN)
    scene.jobs[0] = replace(scene.jobs[0], phase=JobPhase.PAUSED)
    assert judged(scene, pending).state is OutcomeState.MEASURED  # 5 of 3000 kW, and the meter stands


def test_what_was_learnt_of_a_fault_refutes_no_move() -> None:
    """The fleet said half of what it drew for days, as a small part of a site; it says all of it when it is shed."""
    scene = scene_of("a")
    pending = shed(scene)
    halved = Learnt(pending.quiet.at, (Bias(Target.fleet("old"), share=1.0, spread=0.004, before=None),))
    quiet = replace(pending.quiet, meters=replace(pending.quiet.meters, learnt=halved))
    shows(scene)
    assert judged(scene, replace(pending, quiet=quiet)).state is OutcomeState.MEASURED


def test_what_the_meter_has_seen_of_silent_racks_is_owed_no_more() -> None:
    scene = scene_of("a")
    pending = shed(scene)
    scene.before = pending.quiet
    scene.kw = dict.fromkeys(OLD[:2])
    shows(scene, dict.fromkeys(OLD[:2], SLEEP_KW))
    snapshot = scene.snapshot()
    assert set(snapshot.fleets["old"].lowered) == set(OLD[:2])
    assert snapshot.fleets["old"].silent_kw == pytest.approx(2 * FULL_KW)
    scene.before = followed_unseen(pending, snapshot, scene.site.controls)
    assert scene.before.fleets["old"].lowered == {}
    assert scene.snapshot().fleets["old"].silent_kw == pytest.approx(2 * SLEEP_KW)


@dataclass(frozen=True)
class Rack:
    """What a rack that may have been moved does and says."""

    follows: float
    """Share of what it was asked that it has done."""
    silent: bool


RACK = st.builds(Rack, follows=st.sampled_from([0.0, 0.2, 0.5, 1.0]), silent=st.booleans())


@given(
    old=st.lists(RACK, min_size=4, max_size=4),
    new=st.lists(RACK, min_size=4, max_size=4),
    new_moves=st.sampled_from([None, ASLEEP, {"eco": 4}, {"turbo": 4}]),
    lie=st.booleans(),
    error=st.floats(-0.0005, 0.0005),
)
def test_nothing_is_proven_that_has_not_happened_and_what_has_is_where_all_that_moves_goes_one_way(
    old: list[Rack], new: list[Rack], new_moves: dict[str, int] | None, lie: bool, error: float
) -> None:
    """`lie`: those of the old fleet that answer say that they sleep, whatever they do. What others may have done that
    nobody has seen may pass for theirs, but so much has to come by less."""
    scene = scene_of("grid")
    pending = shed(scene)
    true_kw = {rack: FULL_KW + of.follows * (SLEEP_KW - FULL_KW) for rack, of in zip(OLD, old, strict=True)}
    if new_moves is not None:
        scene.racks["new"] = new_moves
    new_fleet = scene.site.fleet("new")
    (mode,) = new_moves or {"normal": 4}
    for rack, of in zip(NEW, new, strict=True):
        true_kw[rack] = 360.0 + of.follows * (new_fleet.rack_kw(mode) - 360.0)
    said: dict[str, float | None] = {}
    for rack, of in zip([*OLD, *NEW], [*old, *new], strict=True):
        said[rack] = None if of.silent else SLEEP_KW if lie and rack in OLD else true_kw[rack]
    scene.kw = said
    shows(scene, true_kw, share=1.0 + error)
    done_kw = sum(FULL_KW - true_kw[rack] for rack in OLD)
    proven = judged(scene, pending).state is OutcomeState.MEASURED
    asked_kw = 4 * (FULL_KW - SLEEP_KW)
    if proven and not (lie and new_moves):
        assert done_kw >= 0.7 * asked_kw
    if proven:
        others_kw = sum(max(360.0 - true_kw[rack], 0.0) for rack in NEW)
        assert done_kw + others_kw >= 0.7 * asked_kw
    all_did = all(of.follows == 1.0 for of in (*old, *new))
    if all_did and new_moves != {"turbo": 4}:
        assert proven


def test_the_scene_is_the_small_site() -> None:
    site: Site = small_site()
    assert site.fleet("old").rack_kw("normal") == FULL_KW
    assert site.fleet("old").rack_kw(SLEEP) == SLEEP_KW
    assert site.cooling.pue(20.0) == PUE
