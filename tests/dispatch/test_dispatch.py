"""What dispatch wants, case by case. The site and what its hash is worth: see `site` in conftest."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.desired import Desired, gain_usd_per_h
from orchestrator.dispatch.dispatch import dispatch
from orchestrator.dispatch.moves import plan_moves
from orchestrator.domain.site.machines import SLEEP
from orchestrator.domain.site.site import Feeder, Grid, Site
from orchestrator.domain.target import GRID_CONNECTION, Target
from orchestrator.domain.work import JobPhase

if TYPE_CHECKING:
    from tests.scenes import Scene

ASLEEP = {SLEEP: 4}


def decided(scene: Scene) -> Desired:
    return dispatch(scene.site, scene.snapshot())


@pytest.mark.parametrize(
    ("price", "old", "new"),
    [
        pytest.param(-30.0, {"turbo": 4}, {"turbo": 4}, id="negative price: all in turbo"),
        pytest.param(40.0, {"turbo": 4}, {"turbo": 4}, id="cheap: all in turbo"),
        pytest.param(50.0, {"normal": 4}, {"turbo": 4}, id="50: the old fleet's turbo does not pay"),
        pytest.param(65.0, {"eco": 4}, {"turbo": 4}, id="65: the old fleet in eco"),
        pytest.param(105.0, ASLEEP, {"normal": 4}, id="105: the old fleet asleep, the new one out of turbo"),
        pytest.param(150.0, ASLEEP, {"eco": 4}, id="150: the new fleet in eco"),
        pytest.param(312.0, ASLEEP, ASLEEP, id="312: all asleep"),
        pytest.param(5000.0, ASLEEP, ASLEEP, id="5000: all asleep"),
    ],
)
def test_fleets_step_down_in_order_of_efficiency_as_power_gets_dearer(
    scene: Scene, price: float, old: dict[str, int], new: dict[str, int]
) -> None:
    scene.price = price
    desired = decided(scene)
    assert desired.racks == {"old": old, "new": new}
    assert not desired.shortfalls_kw


@pytest.mark.parametrize(
    ("price", "racks", "wanted"),
    [
        pytest.param(90.0, {"eco": 4}, {"eco": 4}, id="awake above break-even: stays, a warm-up costs more"),
        pytest.param(99.0, {"eco": 4}, ASLEEP, id="awake far above break-even: sleeps"),
        pytest.param(80.0, ASLEEP, ASLEEP, id="asleep under break-even: sleeps on, the warm-up is not paid"),
        pytest.param(73.0, ASLEEP, {"eco": 4}, id="asleep far under break-even: wakes"),
        pytest.param(57.0, {"normal": 4}, {"normal": 4}, id="throttle at break-even: stays where it is"),
        pytest.param(57.0, {"eco": 4}, {"eco": 4}, id="throttle at break-even: stays where it is, from below too"),
    ],
)
def test_hysteresis_around_the_break_even_of_86_and_57(
    scene: Scene, price: float, racks: dict[str, int], wanted: dict[str, int]
) -> None:
    scene.price = price
    scene.racks["old"] = racks
    assert decided(scene).racks["old"] == wanted


@pytest.mark.parametrize(("minutes", "wanted"), [(14.0, {"eco": 4}), (15.0, ASLEEP)])
def test_a_fleet_just_woken_stays_awake_for_its_minimum_on_time_in_its_lowest_mode(
    scene: Scene, now: datetime, minutes: float, wanted: dict[str, int]
) -> None:
    scene.price = 900.0
    scene.woken["old"] = now - timedelta(minutes=minutes)
    assert decided(scene).racks["old"] == wanted


@pytest.mark.parametrize(("minutes", "wanted"), [(14.0, ASLEEP), (15.0, {"turbo": 4})])
def test_a_fleet_just_put_to_sleep_sleeps_for_its_minimum_off_time(
    scene: Scene, now: datetime, minutes: float, wanted: dict[str, int]
) -> None:
    scene.price = 10.0
    scene.racks["old"] = ASLEEP
    scene.put_to_sleep["old"] = now - timedelta(minutes=minutes)
    assert decided(scene).racks["old"] == wanted


def test_an_order_goes_before_the_minimum_on_time(scene: Scene, now: datetime) -> None:
    scene.woken = {"old": now, "new": now}
    scene.order(200.0)
    assert decided(scene).racks == {"old": ASLEEP, "new": ASLEEP}


def test_the_feeder_binds_before_the_grid_and_only_its_own_fleet(scene: Scene) -> None:
    scene.price = 65.0
    scene.site = replace(scene.site, feeders=(Feeder("a", 1000.0), Feeder("b", 2500.0)))
    desired = decided(scene)
    # 1000 kW less 1 %, by 1.1: 900 kW of IT load, which is three racks of 240 in eco.
    assert desired.racks == {"old": {SLEEP: 1, "eco": 3}, "new": {"turbo": 4}}
    assert [cap.source for cap in desired.binding] == ["feeder a"]


def test_the_grid_cap_leaves_the_best_hash_running(scene: Scene) -> None:
    scene.price = 10.0
    scene.order(1800.0)
    desired = decided(scene)
    # 1782 kW by 1.1: 1620 kW of IT load, 106 of which idle; four new racks take 1434 in normal, 1594 in turbo.
    assert desired.racks["new"] == {"normal": 3, "turbo": 1}
    assert desired.racks["old"] == ASLEEP
    assert [cap.source for cap in desired.binding] == ["curtailment c-1"]


def test_a_running_site_at_its_cap_stays_there_and_an_idle_one_leaves_a_margin(scene: Scene) -> None:
    """Four old racks in eco and nothing else: 1,056 kW on the feeder, to the kW what is usable."""
    scene.price = 65.0
    scene.site = replace(scene.site, feeders=(Feeder("a", 1056.0 / 0.99 + 0.01), Feeder("b", 2500.0)))
    scene.racks["old"] = {"eco": 4}
    assert decided(scene).racks["old"] == {"eco": 4}
    scene.racks["old"] = ASLEEP
    assert decided(scene).racks["old"] == {SLEEP: 1, "eco": 3}


def test_under_an_order_below_everything_guaranteed_jobs_stay_gpus_are_limited_and_the_rest_is_reported(
    scene: Scene,
) -> None:
    scene.job("train", "bank", 160)
    scene.job("lab", "lab", 80)
    scene.order(100.0)
    desired = decided(scene)
    assert desired.racks == {"old": ASLEEP, "new": ASLEEP}
    assert desired.jobs.keys() == {"train"}
    assert desired.gpu_limit_w == {"h100": 200.0}
    # Asleep 8 x 1.5, idle nodes 40 x 2.36, 160 GPUs at 200 W: 12 + 94.4 + 20.8 kW of IT load, by 1.1; 99 usable.
    assert sum(desired.shortfalls_kw.values()) == pytest.approx(1.1 * 127.2 - 99.0)
    assert re.search(r"limited to 200 of 700 W: .*curtailment c-1", scene.why(desired)[Target.pool("h100")])


def test_gpus_are_limited_just_as_far_as_an_order_needs(scene: Scene) -> None:
    scene.job("train", "bank", 160)
    scene.order(200.0)
    desired = decided(scene)
    assert not desired.shortfalls_kw
    # (198 / 1.1 - 12 - 94.4) kW over 160 GPUs above 70 W.
    assert desired.gpu_limit_w["h100"] == int(70 + (180.0 - 106.4) * 1000 / 160)


def two_pools(site: Site) -> Site:
    """A second pool like the first, on the other feeder."""
    return replace(site, pools=(*site.pools, replace(site.pools[0], name="l40", feeder="a")))


def test_a_feeder_that_is_too_low_limits_its_own_gpus_alone(scene: Scene) -> None:
    scene.site = replace(two_pools(scene.site), feeders=(Feeder("a", 200.0), Feeder("b", 2500.0)))
    scene.job("here", "bank", 160, pool="l40")
    scene.job("there", "bank", 160, pool="h100")
    desired = decided(scene)
    assert desired.jobs.keys() == {"here", "there"}
    assert desired.gpu_limit_w["h100"] == 700.0
    assert 200.0 < desired.gpu_limit_w["l40"] < 700.0
    assert not desired.shortfalls_kw


def test_a_safety_limit_of_one_feeder_gives_up_no_job_on_the_other(scene: Scene) -> None:
    scene.site = replace(two_pools(scene.site), feeders=(Feeder("a", 115.0), Feeder("b", 2500.0)))
    scene.job("here", "bank", 160, pool="l40")
    scene.job("there", "bank", 160, pool="h100")
    desired = decided(scene)
    assert desired.jobs.keys() == {"there"}
    assert not desired.shortfalls_kw


@pytest.mark.parametrize(
    ("limit_kw", "kept"),
    [
        # 12 kW asleep and 94.4 idle; at 200 W 20.8 kW for the big job and 2.6 for the small one: 142.8 kW in all.
        pytest.param(145.0, {"big", "small"}, id="145 kW: GPU limits do it"),
        pytest.param(144.0, {"big"}, id="144 kW: the least that suffices is given up"),
        pytest.param(120.0, set(), id="120 kW: nothing is left to keep"),
    ],
)
def test_a_connection_that_is_itself_too_low_gives_up_guaranteed_jobs_last_and_no_more_than_needed(
    scene: Scene, limit_kw: float, kept: set[str]
) -> None:
    scene.site = replace(scene.site, grid=Grid(limit_kw, 0.01))
    scene.job("big", "bank", 160)
    scene.job("small", "bank", 20)
    scene.job("lab", "lab", 40)
    desired = decided(scene)
    assert desired.racks == {"old": ASLEEP, "new": ASLEEP}
    assert 200.0 <= desired.gpu_limit_w["h100"] < 205.0
    assert desired.jobs.keys() == kept


def test_an_order_gives_up_no_job_even_where_the_connection_would(scene: Scene) -> None:
    scene.job("train", "bank", 160)
    scene.order(0.0)
    desired = decided(scene)
    assert desired.jobs.keys() == {"train"}
    assert sum(desired.shortfalls_kw.values()) == pytest.approx(1.1 * 127.2)


def test_an_order_does_not_hide_a_connection_that_is_too_low(scene: Scene) -> None:
    scene.site = replace(scene.site, grid=Grid(120.0, 0.01))
    scene.job("train", "bank", 160)
    scene.order(60.0)
    assert decided(scene).jobs.keys() == set()


def test_no_guaranteed_job_is_given_up_because_meters_are_silent(scene: Scene) -> None:
    """Half the racks were never read and count at nameplate, which is more than the connection gives."""
    scene.site = replace(scene.site, grid=Grid(1700.0, 0.01))
    scene.job("train", "bank", 160)
    nodes = [name for _, name in scene.site.nodes()][:20]
    scene.kw = dict.fromkeys(["old/rack-0", "old/rack-1", "new/rack-0", "new/rack-1", *nodes])
    assert scene.snapshot().power.grid_kw > 1700.0
    desired = decided(scene)
    assert desired.jobs.keys() == {"train"}
    assert desired.racks == {"old": ASLEEP, "new": ASLEEP}


def test_what_nobody_sees_is_shed_only_as_far_as_setpoints_exceed_a_cap(scene: Scene) -> None:
    """All is dark: the accepted setpoints are what counts, 3008 kW with the job's."""
    scene.job("train", "bank", 160)
    scene.kw = dict.fromkeys((name for _, name in (*scene.site.racks(), *scene.site.nodes())))
    as_it_is = decided(scene)
    assert as_it_is.racks == {"old": {"normal": 4}, "new": {"normal": 4}}
    scene.site = replace(scene.site, grid=Grid(2500.0, 0.01))
    desired = decided(scene)
    assert desired.jobs.keys() == {"train"}
    assert desired.racks["new"] == {"normal": 4}
    assert desired.racks["old"].awake == 2, "two of 300 kW make up for 730 kW less"


def test_nothing_is_put_to_sleep_in_favour_of_a_fleet_that_nobody_sees(scene: Scene) -> None:
    """The new fleet is worth more, and would take the place of the old one; but it cannot go up."""
    scene.site = replace(scene.site, grid=Grid(1700.0, 0.01))
    scene.racks = {"old": {"normal": 4}, "new": ASLEEP}
    scene.price = 50.0
    assert decided(scene).racks["new"].awake > 0
    scene.kw = dict.fromkeys(f"new/rack-{number}" for number in range(4))
    desired = decided(scene)
    assert desired.racks == {"old": {"normal": 4}, "new": ASLEEP}


def test_a_silent_rack_counts_at_its_strongest_nameplate(scene: Scene) -> None:
    """Just room for four new racks in eco; one that may draw 400 kW instead of 290 leaves room for two beside it."""
    scene.price = 150.0
    scene.racks = {"old": ASLEEP, "new": {"eco": 4}}
    scene.order(1.1 * (106.4 + 4 * 288.5) / 0.99 + 0.1)
    assert decided(scene).racks["new"] == {"eco": 4}
    scene.kw = {"new/rack-3": None}
    desired = decided(scene)
    assert desired.racks["new"] == {SLEEP: 1, "eco": 3}
    assert scene.why(desired)[Target.fleet("new")].endswith("; 1 racks are silent and count at nameplate")


def test_stuck_racks_are_load_that_stays_and_the_next_are_shed(scene: Scene) -> None:
    """Two new racks were put to sleep and draw on: what they draw is shed elsewhere."""
    scene.price = 10.0
    scene.racks["new"] = {SLEEP: 2, "normal": 2}
    scene.order(1800.0)
    following = decided(scene)
    scene.kw = {"new/rack-2": 360.0, "new/rack-3": 360.0}
    stuck = decided(scene)
    usable_kw = 1782.0 / 1.1 - 94.4
    assert load_kw(scene.site, following) <= usable_kw
    assert load_kw(scene.site, stuck) + 2 * (400.0 - 1.5) <= usable_kw
    # The stuck two stay where they were asked to be: waking others in their place would put power on top.
    assert stuck.racks["new"][SLEEP] >= 2
    assert "2 racks do not follow" in scene.why(stuck)[Target.fleet("new")]


def test_a_stuck_rack_that_holds_the_room_of_another_is_not_counted_as_that_other(scene: Scene) -> None:
    """Room for two racks; one of the two asleep draws on, so one more must go."""
    scene.price = 10.0
    scene.site = replace(scene.site, feeders=(Feeder("a", 2000.0), Feeder("b", 1050.0)))
    scene.racks["new"] = {SLEEP: 2, "normal": 2}
    scene.kw = {"new/rack-3": 360.0}
    desired = decided(scene)
    usable_kw = 1050.0 * 0.99 / 1.1 - 94.4 - 400.0 - 3 * 1.5
    assert sum(scene.site.fleet("new").rack_kw(mode) * n for mode, n in desired.racks["new"].items()) <= usable_kw + 6.0


def load_kw(site: Site, desired: Desired) -> float:
    return sum(
        site.fleet(name).rack_kw(mode) * count for name, racks in desired.racks.items() for mode, count in racks.items()
    )


def test_a_few_machines_that_hang_are_no_rack_that_does_not_follow(scene: Scene) -> None:
    scene.racks["old"] = ASLEEP
    scene.kw = {"old/rack-0": 1.5 + 2 * 3.0}
    assert scene.snapshot().fleets["old"].stuck == frozenset()
    scene.kw = {"old/rack-0": 1.5 + 40 * 3.0}
    assert scene.snapshot().fleets["old"].stuck == {"old/rack-0"}


@pytest.mark.parametrize(
    ("deadline_in_h", "runs"),
    [
        pytest.param(10.3, True, id="18 minutes of slack: must run"),
        pytest.param(11.0, False, id="an hour of slack: waits"),
        pytest.param(-0.1, False, id="late already: no more urgent than it is worth"),
    ],
)
def test_a_flexible_job_near_its_deadline_runs_at_any_price(scene: Scene, deadline_in_h: float, runs: bool) -> None:
    scene.price = 5000.0
    scene.job("flex", "flux", 80, deadline_in_h=deadline_in_h)
    assert ("flex" in decided(scene).jobs) == runs


def test_a_waiting_flexible_job_counts_its_restart_against_its_deadline(scene: Scene) -> None:
    scene.price = 5000.0
    scene.job("flex", "flux", 80, JobPhase.WAITING, deadline_in_h=10.4)  # 24 minutes, 5 of them to load
    assert decided(scene).jobs.keys() == {"flex"}


def test_jobs_pause_at_a_price_above_their_gpu_hours_and_guaranteed_ones_do_not(scene: Scene) -> None:
    for tenant in ("bank", "flux", "lab"):
        scene.job(tenant, tenant, 80)
    scene.price = 1000.0
    assert decided(scene).jobs.keys() == {"bank", "flux", "lab"}
    scene.price = 2000.0  # a GPU-hour at 1 USD is worth 1,443 USD/MWh
    assert decided(scene).jobs.keys() == {"bank", "flux"}
    scene.price = 5000.0
    assert decided(scene).jobs.keys() == {"bank"}


def test_a_tenant_s_budget_of_interruptions_holds_within_one_decision(scene: Scene) -> None:
    scene.price = 5000.0
    for number in range(4):
        scene.job(f"flex-{number}", "flux", 40)
        scene.progress[f"flex-{number}"] = 1000.0 * number
    assert decided(scene).jobs.keys() == {"flex-2", "flex-3"}  # two an hour; those with the least work done are let go


def test_interruptions_of_the_last_hour_are_off_the_budget(scene: Scene) -> None:
    scene.price = 5000.0
    for number in range(4):
        scene.job(f"flex-{number}", "flux", 40)
    scene.interrupted("flex-3", minutes_ago=59)
    assert decided(scene).jobs.keys() == {"flex-1", "flex-2", "flex-3"}
    scene.interrupted("flex-2", minutes_ago=10)
    assert decided(scene).jobs.keys() == {"flex-0", "flex-1", "flex-2", "flex-3"}


def test_a_job_is_not_stopped_twice_in_an_hour_for_a_price(scene: Scene) -> None:
    scene.price = 5000.0
    scene.job("lab", "lab", 40)
    scene.interrupted("lab", minutes_ago=30)
    assert decided(scene).jobs.keys() == {"lab"}
    scene.interrupted("lab", minutes_ago=61)
    assert decided(scene).jobs.keys() == set()


def test_fewer_are_let_go_where_a_guaranteed_job_stops_others_besides(scene: Scene) -> None:
    """Two an hour: at this price the two with the least work done would go; a guaranteed job needs a third's GPUs."""
    other = replace(scene.site.pools[0], name="other", nodes=10)
    scene.site = replace(scene.site, pools=(*scene.site.pools, other))
    scene.price = 5000.0
    for number in range(3):
        scene.job(f"flex-{number}", "flux", 40)
        scene.progress[f"flex-{number}"] = 1000.0 * number
    scene.job("in-the-way", "flux", 80, pool="other")
    scene.progress["in-the-way"] = 9000.0
    assert decided(scene).jobs.keys() == {"flex-2", "in-the-way"}
    scene.job("train", "bank", 80, JobPhase.WAITING, pool="other")
    assert decided(scene).jobs.keys() == {"flex-1", "flex-2", "train"}
    scene.interrupted("flex-0")
    scene.interrupted("flex-1")
    assert decided(scene).jobs.keys() == {"flex-0", "flex-1", "flex-2", "train"}  # a guaranteed start goes before it


def test_an_order_goes_before_the_budget_of_interruptions(scene: Scene) -> None:
    scene.job("lab", "lab", 40)
    scene.interrupted("lab", minutes_ago=30)
    scene.order(50.0)
    assert decided(scene).jobs.keys() == set()


def test_a_guaranteed_job_waiting_for_gpus_takes_those_of_best_effort(scene: Scene) -> None:
    scene.job("lab-1", "lab", 160)
    scene.job("lab-2", "lab", 160)
    scene.job("train", "bank", 160, JobPhase.WAITING)
    desired = decided(scene)
    assert "train" in desired.jobs
    assert len(desired.jobs) == 2
    held = next(job for job in ("lab-1", "lab-2") if job not in desired.jobs)
    assert (
        scene.why(desired)[Target.job(held)]
        == f"{held} (best-effort, 160 GPUs) pauses: 0 GPUs of pool h100 are left, it needs 160"
    )


def test_a_guaranteed_job_that_waits_does_not_push_a_running_one_over_a_cap(scene: Scene) -> None:
    """The waiting one earns more per MWh; there is room for one of them."""
    scene.site = replace(
        scene.site, tenants=(*scene.site.tenants, replace(scene.site.tenant("bank"), name="fund", usd_per_gpu_h=9.0))
    )
    scene.job("running", "bank", 160)
    scene.job("waiting", "fund", 160, JobPhase.WAITING)
    scene.order(1.1 * (106.4 + 101.0) / 0.99 + 5.0)
    desired = decided(scene)
    assert desired.jobs.keys() == {"running"}
    assert desired.gpu_limit_w["h100"] == 700.0
    assert not desired.shortfalls_kw


def test_among_equals_running_jobs_keep_their_gpus_and_the_first_come_is_the_first_served(scene: Scene) -> None:
    scene.job("late", "lab", 160, JobPhase.WAITING, submitted_before_h=1)
    scene.job("early", "lab", 160, JobPhase.WAITING, submitted_before_h=2)
    scene.job("running", "lab", 160, submitted_before_h=0.5)
    assert decided(scene).jobs.keys() == {"running", "early"}


def test_the_gpus_of_a_job_that_writes_its_checkpoint_are_given_on_and_waited_for(scene: Scene, now: datetime) -> None:
    scene.job("stopping", "lab", 200, JobPhase.STOPPING, changed_at=now)
    scene.job("other", "lab", 100)
    scene.job("next", "bank", 160, JobPhase.WAITING)
    desired = decided(scene)
    assert desired.jobs.keys() == {"other", "next"}, "nobody else is stopped for whom it was"
    assert "still writing its checkpoint" in scene.why(desired)[Target.job("stopping")]
    moves = plan_moves(scene.site, scene.snapshot(), desired)
    assert Target.job("next") not in {planned.move.target for planned in moves.now}
    assert Target.job("next") in moves.waiting


def test_a_job_that_does_not_stop_holds_its_gpus(scene: Scene, now: datetime) -> None:
    stuck_since = now - scene.site.controls.verify_within - timedelta(seconds=1)
    scene.job("stopping", "lab", 200, JobPhase.STOPPING, changed_at=stuck_since)
    scene.job("next", "lab", 160, JobPhase.WAITING)
    assert decided(scene).jobs.keys() == set()


@pytest.mark.parametrize(
    ("price", "target", "sentence"),
    [
        (
            312.0,
            Target.fleet("old"),
            r"^Old miner asleep: power at 312 USD/MWh is worth more than its hash at 86 USD/MWh$",
        ),
        (40.0, Target.fleet("old"), r"^Old miner on, 4 turbo: its hash at 86 USD/MWh is worth more than power at 40$"),
        (90.0, Target.fleet("old"), r"on, 4 eco: power at 90 USD/MWh is above its hash at 86 USD/MWh, but below 97"),
        (
            312.0,
            Target.job("train"),
            r"^train \(guaranteed, 80 GPUs\) runs: guaranteed, whatever power costs \(312 USD/MWh now\)$",
        ),
        (
            312.0,
            Target.job("lab"),
            r"^lab \(best-effort, 80 GPUs\) runs: its GPU-hours are worth 1443 USD/MWh, power costs 312$",
        ),
        (4000.0, Target.job("lab"), r"pauses: power at 4000 USD/MWh costs more than its GPU-hours earn.* 1443$"),
        (312.0, Target.pool("h100"), r"^h100 GPUs at full power$"),
    ],
)
def test_reasons_carry_the_figures_that_decided(scene: Scene, price: float, target: Target, sentence: str) -> None:
    scene.price = price
    scene.job("train", "bank")
    scene.job("lab", "lab")
    assert re.search(sentence, scene.why(decided(scene))[target])


def test_the_reason_of_what_a_cap_keeps_asleep_names_the_cap(scene: Scene) -> None:
    scene.price = 10.0
    scene.order(1000.0)
    reason = scene.why(decided(scene))[Target.fleet("old")]
    assert reason == (
        "Old miner asleep: curtailment c-1 leaves no room for more, though its hash is worth 86 against 10 USD/MWh"
    )


def test_gains_are_of_what_changes_and_add_up(scene: Scene) -> None:
    scene.price = 312.0
    desired = decided(scene)
    # Four racks of 300 kW with 42 PH/s: power at 312 saved but for 1.5 kW asleep, the hash given up.
    saved = 4 * 298.5 * 1.1 * 312.0 / 1000.0 - 4 * 10.5 * 60.0 / 24.0
    assert gain_usd_per_h(scene.snapshot(), desired, Target.fleet("old")) == pytest.approx(saved)
    scene.price = 50.0
    scene.racks["new"] = {"turbo": 4}
    assert decided(scene).changes == ()


def test_without_orders_the_connection_is_the_grid_cap(scene: Scene) -> None:
    cap = scene.snapshot().limits.grid
    assert (cap.at, cap.id, cap.source) == (GRID_CONNECTION, "", "grid connection")
