"""What the meter says of an action, and promises that are not kept from their opening to their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.domain.decision import (
    Action,
    BreachKind,
    BreachState,
    Direction,
    LimitGpus,
    Move,
    Outcome,
    OutcomeState,
    PauseJob,
    RunJob,
    SetFleet,
)
from orchestrator.domain.limits import limits_due
from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder, Grid
from orchestrator.domain.snapshot import Snapshot
from orchestrator.domain.target import Target
from orchestrator.domain.work import JobPhase
from orchestrator.observe.proof.verify import Pending, above_caps, breaches_now, check, follow, mark_of, power_before

if TYPE_CHECKING:
    from tests.scenes import Scene

ASLEEP = {SLEEP: 4}
WITHIN = timedelta(minutes=1)


def pending(move: Move, change_kw: float, before: Snapshot, *, sent_s_ago: float = 10.0) -> Pending:
    direction = Direction.DOWN if change_kw < 0 else Direction.UP
    action = Action("d-1/0", move, direction, "test", change_kw)
    sent_at = before.at - timedelta(seconds=sent_s_ago)
    outcome = Outcome("d-1/0", OutcomeState.ACKNOWLEDGED, sent_at=sent_at, acknowledged_at=sent_at)
    return Pending(action, outcome, power_before(action, before), mark_of(move, before), sent_at, before)


def shed(scene: Scene, *, sent_s_ago: float = 10.0) -> Pending:
    """The old fleet told to sleep from normal."""
    scene.racks["old"] = {"normal": 4}
    before = scene.snapshot()
    scene.racks["old"] = ASLEEP
    return pending(SetFleet("old", RackMix(ASLEEP)), -1.1 * 4 * 298.5, before, sent_s_ago=sent_s_ago)


def test_a_power_down_is_measured_once_the_watts_are_gone(scene: Scene) -> None:
    sent = shed(scene)
    scene.kw = {f"old/rack-{number}": 150.0 for number in range(4)}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED
    scene.kw = {}
    outcome = check(sent, scene.snapshot(), scene.site.controls)
    assert (outcome.state, outcome.measured_at) == (OutcomeState.MEASURED, scene.snapshot().at)


def test_a_power_down_that_the_meter_does_not_show_in_time_is_late_with_its_figures(scene: Scene) -> None:
    sent = shed(scene, sent_s_ago=61.0)
    scene.kw = {"old/rack-0": 300.0}
    outcome = check(sent, scene.snapshot(), scene.site.controls)
    assert outcome.state is OutcomeState.LATE
    assert outcome.detail == "304 kW counted after 60 s, 1200 kW before"


def test_a_shed_whose_meters_are_silent_is_not_taken_as_delivered(scene: Scene) -> None:
    sent = shed(scene, sent_s_ago=61.0)
    scene.kw = {f"old/rack-{number}": None for number in range(4)}
    outcome = check(sent, scene.snapshot(), scene.site.controls)
    assert outcome.state is OutcomeState.LATE
    assert "4 meters are silent, which proves nothing" in outcome.detail


def test_a_power_up_is_measured_once_most_of_it_is_drawn(scene: Scene) -> None:
    scene.racks["new"] = ASLEEP
    before = scene.snapshot()
    scene.racks["new"] = {"normal": 4}
    sent = pending(SetFleet("new", RackMix({"normal": 4})), 1.1 * 4 * 358.5, before)
    scene.kw = {f"new/rack-{number}": 200.0 for number in range(4)}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED
    scene.kw = {f"new/rack-{number}": 340.0 for number in range(4)}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.MEASURED


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (JobPhase.RUNNING, OutcomeState.ACKNOWLEDGED),
        (JobPhase.STOPPING, OutcomeState.ACKNOWLEDGED),
        (JobPhase.PAUSED, OutcomeState.MEASURED),
        (JobPhase.SUCCEEDED, OutcomeState.MEASURED),
    ],
)
def test_a_pause_is_measured_when_the_job_is_paused_or_has_ended(
    scene: Scene, phase: JobPhase, state: OutcomeState
) -> None:
    scene.job("lab", "lab", 80)
    sent = pending(PauseJob("lab"), -1.1 * 80 * 0.63, scene.snapshot())
    scene.jobs[0] = replace(scene.jobs[0], phase=phase)
    assert check(sent, scene.snapshot(), scene.site.controls).state is state


def test_a_pause_whose_gpus_draw_on_is_not_measured(scene: Scene) -> None:
    scene.job("lab", "lab", 80)
    sent = pending(PauseJob("lab"), -1.1 * 80 * 0.63, scene.snapshot())
    scene.jobs[0] = replace(scene.jobs[0], phase=JobPhase.PAUSED)
    scene.kw = {"h100-node-0": 2.36 + 80 * 0.63}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED


def test_a_start_is_measured_when_the_job_runs_and_its_pool_draws(scene: Scene) -> None:
    scene.job("lab", "lab", 80, JobPhase.WAITING)
    sent = pending(RunJob("lab"), 1.1 * 80 * 0.63, scene.snapshot())
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED
    scene.jobs[0] = replace(scene.jobs[0], phase=JobPhase.RUNNING)
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.MEASURED


def test_a_gpu_limit_is_measured_on_its_pool(scene: Scene) -> None:
    scene.job("train", "bank", 160)
    before = scene.snapshot()
    scene.gpu_limit_w["h100"] = 400.0
    sent = pending(LimitGpus("h100", 400.0), -1.1 * 160 * 0.3, before)
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.MEASURED
    scene.kw = {"h100-node-0": 40.0}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED


def broken(scene: Scene, *, late: dict[Target, str] | None = None, short_kw: float = 0.0) -> dict[Any, str]:
    snapshot = scene.snapshot()
    due = limits_due(scene.site, scene.orders, snapshot.at)
    shortfalls_kw = dict.fromkeys(snapshot.limits.tightest.values(), short_kw)
    return breaches_now(scene.site, snapshot, due, late or {}, shortfalls_kw, snapshot.at - timedelta(hours=1))


def test_all_in_order_is_no_breach(scene: Scene) -> None:
    scene.job("train", "bank", 80)
    assert broken(scene) == {}


def test_power_above_a_cap_is_a_breach_of_that_cap(scene: Scene) -> None:
    scene.site = replace(scene.site, grid=Grid(2800.0, 0.01), feeders=(Feeder("a", 1300.0), Feeder("b", 2500.0)))
    assert broken(scene) == {
        (BreachKind.CAP, "grid connection"): "3008 kW measured, 2800 kW allowed",
        (BreachKind.CAP, "feeder a"): "1320 kW measured, 1300 kW allowed",
    }


def test_an_order_is_judged_after_its_response_time(scene: Scene, now: datetime) -> None:
    scene.order(1000.0, response=timedelta(minutes=5))
    assert broken(scene) == {}
    scene.orders.clear()
    scene.order(1000.0, response=timedelta(seconds=30))
    assert set(broken(scene)) == {(BreachKind.CAP, "curtailment c-1")}


def test_silent_meters_do_not_make_a_cap_exceeded_but_are_a_breach_themselves(scene: Scene) -> None:
    scene.site = replace(scene.site, grid=Grid(3100.0, 0.01))
    scene.kw = {"old/rack-0": None, "new/rack-1": None, "h100-node-3": None}
    assert scene.snapshot().power.grid_kw > 3100.0
    assert broken(scene) == {
        (
            BreachKind.METER,
            "telemetry",
        ): "no fresh reading of node h100-node-3, rack new/rack-1, rack old/rack-0"
    }


def test_after_a_start_meters_get_time_to_answer(scene: Scene) -> None:
    scene.kw = {"old/rack-0": None}
    snapshot = scene.snapshot()
    due = limits_due(scene.site, (), snapshot.at)
    for minutes, count in ((2, 0), (3, 1)):
        started_at = snapshot.at - timedelta(minutes=minutes)
        assert len(breaches_now(scene.site, snapshot, due, {}, {}, started_at)) == count


def test_late_sheds_shortfalls_stuck_racks_and_a_paused_guaranteed_job_are_breaches(scene: Scene) -> None:
    scene.racks["old"] = ASLEEP
    scene.kw = {"old/rack-0": 300.0}
    scene.job("train", "bank", 80, JobPhase.PAUSED)
    assert broken(scene, late={Target.job("lab"): "no change"}, short_kw=12.0) == {
        (BreachKind.SHED, "job/lab"): "no change",
        (BreachKind.SHED, "grid connection"): "12 kW could be shed only by interrupting guaranteed jobs",
        (BreachKind.SHED, "feeder a"): "12 kW could be shed only by interrupting guaranteed jobs",
        (BreachKind.SHED, "feeder b"): "12 kW could be shed only by interrupting guaranteed jobs",
        (BreachKind.SHED, "fleet/old"): "racks that do not follow their setpoint: old/rack-0",
        (BreachKind.SLA, "train"): "a guaranteed job is not running",
    }


def test_above_caps_names_the_source_of_each(scene: Scene) -> None:
    scene.order(100.0, response=timedelta(0))
    snapshot = scene.snapshot()
    above = above_caps(snapshot, limits_due(scene.site, scene.orders, snapshot.at))
    assert [cap.source for cap in above] == ["curtailment c-1"]


def test_a_breach_opens_escalates_and_is_resolved(now: datetime) -> None:
    key = (BreachKind.SHED, "fleet/old")
    [opened] = follow((), {key: "300 kW"}, now, WITHIN)
    assert (opened.state, opened.opened_at, opened.detail) == (BreachState.ACTIVE, now, "300 kW")
    assert follow([opened], {key: "300 kW"}, now + WITHIN / 2, WITHIN) == []
    [escalated] = follow([opened], {key: "290 kW"}, now + WITHIN, WITHIN)
    assert (escalated.state, escalated.escalated_at, escalated.detail) == (
        BreachState.ESCALATED,
        now + WITHIN,
        "290 kW",
    )
    assert follow([escalated], {key: "290 kW"}, now + 3 * WITHIN, WITHIN) == []
    [resolved] = follow([escalated], {}, now + 4 * WITHIN, WITHIN)
    assert (resolved.state, resolved.resolved_at) == (BreachState.RESOLVED, now + 4 * WITHIN)
    assert (resolved.id, resolved.escalated_at) == (opened.id, now + WITHIN)


def test_breaches_of_two_subjects_are_two(now: datetime) -> None:
    keys = {(BreachKind.CAP, "grid connection"): "x", (BreachKind.CAP, "feeder a"): "y"}
    opened = follow((), keys, now, WITHIN)
    assert len({breach.id for breach in opened}) == 2
    [resolved] = follow(opened, {(BreachKind.CAP, "feeder a"): "y"}, now + WITHIN / 2, WITHIN)
    assert resolved.subject == "grid connection"


def test_a_reading_of_the_moment_of_the_answer_proves_nothing(scene: Scene) -> None:
    """Between the two lies a tick: what was read with the answer is of before."""
    for sent_s_ago, state in ((4.0, OutcomeState.ACKNOWLEDGED), (5.0, OutcomeState.MEASURED)):
        sent = shed(scene, sent_s_ago=sent_s_ago)
        assert check(sent, scene.snapshot(), scene.site.controls).state is state


def test_of_a_fleet_only_what_was_moved_has_to_be_seen(scene: Scene) -> None:
    """Two racks of four sleep; another one's exporter is dead."""
    scene.racks["old"] = {"normal": 4}
    before = scene.snapshot()
    move = SetFleet("old", RackMix({SLEEP: 2, "normal": 2}))
    scene.racks["old"] = move.racks
    modes = scene.snapshot().fleets["old"].view.rack_modes
    moved = [rack for rack, mode in modes.items() if mode == SLEEP]
    (kept, *_) = [rack for rack, mode in modes.items() if mode != SLEEP]
    sent = pending(move, -1.1 * 2 * 298.5, before)
    scene.kw = {kept: None}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.MEASURED
    scene.kw = {moved[0]: None}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED


def test_a_power_up_is_not_proven_by_those_that_were_on_before(scene: Scene) -> None:
    """One rack is woken beside three, and stays dark: the fleet as a whole draws three quarters of what it should."""
    scene.racks["new"] = {SLEEP: 1, "normal": 3}
    before = scene.snapshot()
    modes = before.fleets["new"].view.rack_modes
    (woken,) = [rack for rack, mode in modes.items() if mode == SLEEP]
    scene.racks["new"] = {"normal": 4}
    sent = pending(SetFleet("new", RackMix({"normal": 4})), 1.1 * 358.5, before)
    scene.kw = {woken: 1.5}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.ACKNOWLEDGED
    scene.kw = {}
    assert check(sent, scene.snapshot(), scene.site.controls).state is OutcomeState.MEASURED


def test_up_and_down_have_time_limits_of_their_own(scene: Scene) -> None:
    controls = replace(scene.site.controls, verify_up=timedelta(minutes=2), verify_down=timedelta(seconds=30))
    down = shed(scene, sent_s_ago=40.0)
    scene.kw = {"old/rack-0": 300.0}
    assert check(down, scene.snapshot(), controls).state is OutcomeState.LATE
    scene.racks["new"], scene.kw = ASLEEP, {}
    before = scene.snapshot()
    scene.racks["new"] = {"normal": 4}
    scene.kw = {f"new/rack-{number}": 1.5 for number in range(4)}
    for sent_s_ago, state in ((90.0, OutcomeState.ACKNOWLEDGED), (121.0, OutcomeState.LATE)):
        up = pending(SetFleet("new", RackMix({"normal": 4})), 1.1 * 4 * 358.5, before, sent_s_ago=sent_s_ago)
        assert check(up, scene.snapshot(), controls).state is state
