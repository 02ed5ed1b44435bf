"""What is told of the plan: why now, when next. It is 12:45 in Texas, where the plan begins."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestrator.domain.rack_mix import RackMix
from orchestrator.domain.site.machines import SLEEP, Fleet, Mode
from orchestrator.domain.site.site import Tenant
from orchestrator.domain.sla import SlaClass
from orchestrator.domain.snapshot import FleetStatus, JobStatus
from orchestrator.domain.work import FleetView, Job, JobPhase, JobView
from orchestrator.explain.next_moves import NextMove, fleet_next, is_old, job_next
from orchestrator.explain.plan_view import PlanState, PlanStep, PlanView, Stretch, TargetPlan
from orchestrator.explain.plan_words import Moment
from orchestrator.forecast.outlook import Switch

START = datetime(2023, 9, 6, 17, 45, tzinfo=UTC)
STEP = timedelta(minutes=15)
END = START + timedelta(hours=24)
ZONE = ZoneInfo("America/Chicago")
FLEET = Fleet(
    name="s21-xp",
    model="S21 XP",
    feeder="a",
    racks=10,
    machines_per_rack=100,
    modes=(Mode("eco", 3000.0, 240.0), Mode("turbo", 4000.0, 290.0)),
    default_mode="eco",
    sleep_w=15.0,
    warm_up=timedelta(minutes=5),
    min_on=timedelta(minutes=15),
    min_off=timedelta(minutes=15),
)
ON, ASLEEP = {"eco": 4, "turbo": 6}, {SLEEP: 10}
SWITCH = Switch(stay_usd_per_mwh=214.0, wake_usd_per_mwh=190.0)


def local(hour: int, minute: int = 0, day: int = 6) -> datetime:
    return datetime(2023, 9, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


NOON, SIX = local(12, 45), local(18)


def price_at(at: datetime) -> float:
    """305 until 13:00, 340 from 17:15 to 19:30, else 76."""
    return 305.0 if at < local(13) else 340.0 if local(17, 15) <= at < local(19, 30) else 76.0


def stretches(*turns: tuple[datetime, str, bool]) -> tuple[Stretch, ...]:
    ends = [start for start, _, _ in turns[1:]] + [END]
    return tuple(Stretch(start, end, level, on) for (start, level, on), end in zip(turns, ends, strict=True))


def made(target: TargetPlan | None, problem: str = "") -> PlanState:
    steps = tuple(
        PlanStep(at, price_at(at), 0.0, 500.0, 1000.0, 100.0, 100.0, 2000.0)
        for at in (START + number * STEP for number in range(96))
    )
    targets = {} if target is None else {"it": target}
    fleets = {"s21-xp": target} if target is not None else {}
    return PlanState(
        PlanView(START, END, STEP, steps, 10.0, 11.0, 0.1, False, 1.0, (), fleets=fleets, jobs=targets), problem
    )


def moment(price_usd_per_mwh: float, now: datetime = NOON, free: int = 64) -> Moment:
    return Moment(now, ZONE, price_usd_per_mwh, {"h100": free})


def fleet(racks: dict[str, int], held: str = "", moved_at: datetime = START - timedelta(hours=2)) -> FleetStatus:
    view = FleetView("s21-xp", RackMix(racks), {}, moved_at, moved_at, moved_at, moved_at, held=held)
    return FleetStatus(FLEET, view, 0.0, 0.0, 1.0, 0.0, frozenset(), frozenset())


def tell_fleet(
    racks: dict[str, int],
    price: float,
    *turns: tuple[datetime, str, bool],
    switch: Switch = SWITCH,
    now: datetime = NOON,
    held: str = "",
    moved_at: datetime = START - timedelta(hours=2),
) -> NextMove:
    return fleet_next(fleet(racks, held, moved_at), made(TargetPlan(switch, stretches(*turns))), moment(price, now))


ALL_DAY = (START, "4 eco, 6 turbo", True)
EVENING = (ALL_DAY, (local(17, 15), "asleep", False), (local(19, 30), "10 eco", True))
AFTER_ONE = ((START, "asleep", False), (local(13), "4 eco, 6 turbo", True))


@pytest.mark.parametrize(
    ("racks", "price", "turns", "now", "next_"),
    [
        (
            ASLEEP,
            305.0,
            AFTER_ONE,
            "S21 XP is asleep: power at 305 USD/MWh is above 190, below which the plan would wake it.",
            "It should wake at 13:00, when power is expected at 76 USD/MWh.",
        ),
        (
            ON,
            80.0,
            EVENING,
            "S21 XP is on in 4 eco, 6 turbo; it would sleep above 214 USD/MWh.",
            "Asleep from 17:15 to 19:30, when power is expected at 340 USD/MWh on average.",
        ),
        (
            ON,
            80.0,
            (ALL_DAY, (local(12, 15, day=7), "asleep", False)),
            "S21 XP is on in 4 eco, 6 turbo; it would sleep above 214 USD/MWh.",
            "Asleep from 12:15 tomorrow to the plan's end, when power is expected at 76 USD/MWh on average.",
        ),
        (
            ON,
            80.0,
            (ALL_DAY,),
            "S21 XP is on in 4 eco, 6 turbo; it would sleep above 214 USD/MWh.",
            "It stays on to the plan's end, 12:45 tomorrow.",
        ),
        (
            ASLEEP,
            305.0,
            ((START, "asleep", False),),
            "S21 XP is asleep: power at 305 USD/MWh is above 190, below which the plan would wake it.",
            "It stays asleep to the plan's end, 12:45 tomorrow.",
        ),
        (
            ON,
            80.0,
            (ALL_DAY, (local(14), "4 eco, 6 asleep", True)),
            "S21 XP is on in 4 eco, 6 turbo; it would sleep above 214 USD/MWh.",
            "It goes to 4 eco, 6 asleep at 14:00, when power is expected at 76 USD/MWh.",
        ),
        (
            ASLEEP,
            190.4,
            EVENING,
            "S21 XP is asleep: power at 190.4 USD/MWh is above 190.0, below which the plan would wake it.",
            "It wakes once power is below 190 USD/MWh; the plan, which expected 305 USD/MWh now, has it on until "
            "17:15.",
        ),
        (
            ASLEEP,
            76.0,
            EVENING,
            "S21 XP is asleep, though power at 76 USD/MWh is below 190, where it would wake.",
            "The plan has it on until 17:15.",
        ),
        (
            ON,
            80.0,
            AFTER_ONE,
            "S21 XP is on in 4 eco, 6 turbo; it would sleep above 214 USD/MWh.",
            "It sleeps once power is above 214 USD/MWh; the plan, which expected 305 USD/MWh now, has it asleep until "
            "13:00.",
        ),
        (
            {"eco": 4, SLEEP: 6},
            80.0,
            EVENING,
            "S21 XP is on in 4 eco, 6 asleep; it would sleep above 214 USD/MWh, and what sleeps would wake below 190, "
            "given room.",
            "Asleep from 17:15 to 19:30, when power is expected at 340 USD/MWh on average.",
        ),
    ],
)
def test_a_fleet(
    racks: dict[str, int], price: float, turns: Sequence[tuple[datetime, str, bool]], now: str, next_: str
) -> None:
    told = tell_fleet(racks, price, *turns)
    assert (told.now, told.next) == (now, next_)
    assert told.sentence == f"{now} {next_}"


def test_a_minimum_time_is_told_while_it_lasts() -> None:
    moved_at = local(12, 40)
    asleep = tell_fleet(ASLEEP, 76.0, ALL_DAY, moved_at=moved_at)
    assert asleep.now.endswith("where it would wake: its minimum off time lasts until 12:55.")
    on = tell_fleet(ON, 305.0, *AFTER_ONE, moved_at=moved_at)
    assert on.now == (
        "S21 XP is on in 4 eco, 6 turbo, though power at 305 USD/MWh is above 214, where it would sleep: its minimum "
        "on time lasts until 12:55."
    )
    assert on.next == "The plan has it asleep until 13:00.", "the price is not what keeps it on"
    assert "minimum" not in tell_fleet(ASLEEP, 76.0, ALL_DAY, now=local(12, 55), moved_at=moved_at).now


def test_switches_without_a_price_are_told_in_words() -> None:
    always = tell_fleet(ON, 5000.0, ALL_DAY, switch=Switch(math.inf, math.inf))
    assert always.now == "S21 XP is on in 4 eco, 6 turbo; the plan keeps it on whatever power costs."
    never = tell_fleet(ASLEEP, -20.0, (START, "asleep", False), switch=Switch(-math.inf, -math.inf))
    assert never.now == "S21 XP is asleep: the plan would not wake it at any price."


def test_what_is_held_is_told_with_its_reason() -> None:
    told = tell_fleet(ON, 80.0, *EVENING, held="held by an operator until 15:00")
    assert told.now == "S21 XP stays as it is: held by an operator until 15:00."
    assert told.next == "The plan of 12:45 moves it again when it is let go."


def test_an_old_plan_tells_its_age() -> None:
    fresh = tell_fleet(ON, 80.0, *EVENING, now=START + timedelta(minutes=30))
    assert "old" not in fresh.next
    old = tell_fleet(ON, 80.0, *EVENING, now=START + timedelta(minutes=47))
    assert old.next.endswith("on average. The plan is 47 min old.")
    view = made(None).view
    assert view is not None
    assert not is_old(view, START + timedelta(minutes=30))
    assert is_old(view, START + timedelta(minutes=31))


@pytest.mark.parametrize(
    ("state", "now", "says"),
    [
        (PlanState(None), NOON, "There is no plan yet: the price now decides alone."),
        (
            PlanState(None, "forecasts lack prices."),
            NOON,
            "There is no plan yet (forecasts lack prices): the price now decides alone.",
        ),
        (
            PlanState(None, "forecasts lack prices.", "half the site is not measured"),
            NOON,
            "There is no plan yet (half the site is not measured): the price now decides alone.",
        ),
        (
            made(None, "the worker died"),
            END,
            "The last plan, of 12:45 yesterday, reached only to 12:45 (the worker died): the price now decides alone.",
        ),
    ],
)
def test_without_a_plan_that_reaches_to_now_it_says_so(state: PlanState, now: datetime, says: str) -> None:
    assert fleet_next(fleet(ON), state, moment(80.0, now)) == NextMove(says, "")
    assert job_next(job(JobPhase.RUNNING), state, moment(80.0, now)) == NextMove(says, "")


def test_a_fleet_that_the_plan_does_not_have() -> None:
    assert fleet_next(fleet(ON), made(None), moment(80.0)) == NextMove("The plan of 12:45 does not have S21 XP.", "")


def job(
    phase: JobPhase,
    sla: SlaClass = SlaClass.FLEXIBLE,
    deadline: datetime | None = SIX,
    held: str = "",
    submitted_at: datetime = START - timedelta(hours=4),
    starts: int = 1,
) -> JobStatus:
    work = Job("it", "tenant", "h100", 64, 3600.0, submitted_at, deadline, timedelta(minutes=10), timedelta(minutes=2))
    view = JobView(work, phase, START, 0 if phase is JobPhase.WAITING else starts, timedelta(0), held=held)
    return JobStatus(work, view, Tenant("tenant", sla, 2.0, 0.5, 2), 0.0, 0.0, 0)


RUNS = (START, "64 GPUs", True)
BREAK = (RUNS, (local(17, 15), "waits", False), (local(19, 30), "64 GPUs", True))
LATER = ((START, "waits", False), (local(13), "64 GPUs", True))
DONE = (RUNS, (local(15, 30), "waits", False))


@pytest.mark.parametrize(
    ("status", "price", "turns", "ends_at", "now", "next_"),
    [
        (
            job(JobPhase.RUNNING),
            80.0,
            DONE,
            local(15, 20),
            "Runs on 64 GPUs; it would pause above 214 USD/MWh.",
            "Expected to end at 15:20, 2 h 40 min before its deadline.",
        ),
        (
            job(JobPhase.RUNNING, deadline=local(20)),
            80.0,
            BREAK,
            local(20, 40),
            "Runs on 64 GPUs; it would pause above 214 USD/MWh.",
            "Pauses from 17:15 to 19:30, when power is expected at 340 USD/MWh on average; expected to end at 20:40, "
            "40 min after its deadline, 20:00.",
        ),
        (
            job(JobPhase.RUNNING, SlaClass.GUARANTEED, deadline=local(6, day=8)),
            5000.0,
            (RUNS,),
            None,
            "Runs on 64 GPUs whatever power costs: it is guaranteed.",
            "Runs past the plan's end, 12:45 tomorrow; its deadline is 06:00 on 8 Sep.",
        ),
        (
            job(JobPhase.RUNNING, deadline=local(9)),
            305.0,
            (RUNS,),
            None,
            "Runs on 64 GPUs, though power at 305 USD/MWh is above 214, where it would pause.",
            "Runs past the plan's end, 12:45 tomorrow; its deadline, 09:00, has passed.",
        ),
        (
            job(JobPhase.RUNNING, deadline=None),
            80.0,
            (RUNS, (local(14), "32 GPUs", True)),
            local(22),
            "Runs on 64 GPUs; it would pause above 214 USD/MWh.",
            "On 32 GPUs from 14:00; expected to end at 22:00.",
        ),
        (
            job(JobPhase.RUNNING, deadline=None),
            80.0,
            LATER,
            local(22),
            "Runs on 64 GPUs; it would pause above 214 USD/MWh.",
            "It pauses once power is above 214 USD/MWh; the plan, which expected 305 USD/MWh now, has it wait until "
            "13:00; expected to end at 22:00.",
        ),
        (
            job(JobPhase.WAITING),
            305.0,
            LATER,
            local(16),
            "Waits for cheaper power: 305 USD/MWh is above 190, below which the plan would start it.",
            "It starts at 13:00, when power is expected at 76 USD/MWh; expected to end at 16:00, 2 h before its "
            "deadline.",
        ),
        (
            job(JobPhase.PAUSED),
            305.0,
            LATER,
            local(16),
            "Paused for cheaper power: 305 USD/MWh is above 190, below which the plan would start it.",
            "It goes on at 13:00, when power is expected at 76 USD/MWh; expected to end at 16:00, 2 h before its "
            "deadline.",
        ),
        (
            job(JobPhase.PAUSED, deadline=None),
            305.0,
            DONE,
            local(15, 20),
            "Paused for cheaper power: 305 USD/MWh is above 190, below which the plan would start it.",
            "It goes on once power is below 190 USD/MWh; the plan, which expected 305 USD/MWh now, has it run; "
            "expected to end at 15:20.",
        ),
        (
            job(JobPhase.WAITING),
            76.0,
            ((START, "waits", False),),
            None,
            "Waits, though power at 76 USD/MWh is below 190, where the plan would start it.",
            "It does not run before the plan's end, 12:45 tomorrow; it is not done by its deadline, 18:00.",
        ),
        (
            job(JobPhase.STOPPING, deadline=None),
            305.0,
            LATER,
            local(16),
            "Is stopping: it writes its checkpoint.",
            "It goes on at 13:00, when power is expected at 76 USD/MWh; expected to end at 16:00.",
        ),
    ],
)
def test_a_job(
    status: JobStatus,
    price: float,
    turns: Sequence[tuple[datetime, str, bool]],
    ends_at: datetime | None,
    now: str,
    next_: str,
) -> None:
    told = job_next(status, made(TargetPlan(SWITCH, stretches(*turns), ends_at)), moment(price))
    assert (told.now, told.next) == (now, next_)


@pytest.mark.parametrize(
    ("switch", "free", "says"),
    [
        (SWITCH, 40, "Waits for GPUs: it needs 64, 40 are free. Power at 76 USD/MWh is below its 190."),
        (Switch(math.inf, math.inf), 40, "Waits for GPUs: it needs 64, 40 are free; it starts whatever power costs."),
        (Switch(math.inf, math.inf), 64, "Waits for room; it starts whatever power costs."),
        (Switch(-math.inf, -math.inf), 64, "Waits: the plan would not start it at any price now."),
    ],
)
def test_what_a_job_waits_for(switch: Switch, free: int, says: str) -> None:
    plan = made(TargetPlan(switch, stretches(*LATER), local(16)))
    assert job_next(job(JobPhase.WAITING), plan, moment(76.0, free=free)).now == says


def test_an_elastic_job_waits_for_the_least_it_can_run_on() -> None:
    status = job(JobPhase.WAITING)
    elastic = replace(status.job, min_gpus=16, gpu_step=8)
    status = replace(status, job=elastic, view=replace(status.view, job=elastic))
    plan = made(TargetPlan(SWITCH, stretches(*LATER), local(16)))
    assert "it needs 16, 8 are free" in job_next(status, plan, moment(76.0, free=8)).now
    assert "GPUs" not in job_next(status, plan, moment(76.0, free=16)).now


def test_a_job_that_the_plan_does_not_have() -> None:
    late = job(JobPhase.WAITING, submitted_at=START + timedelta(minutes=1))
    told = job_next(late, made(None), moment(80.0, START + timedelta(minutes=2)))
    assert told == NextMove("The plan of 12:45 does not have it: it came later.", "Its deadline is 18:00.")
    told = job_next(job(JobPhase.WAITING, deadline=None), made(None), moment(80.0))
    assert told == NextMove("The plan of 12:45 does not have it: it was left out.", "")


def test_a_held_job() -> None:
    plan = made(TargetPlan(SWITCH, stretches(*BREAK), local(20, 40)))
    told = job_next(job(JobPhase.RUNNING, held="its queue decides"), plan, moment(80.0))
    assert told == NextMove("Runs on: its queue decides.", "The plan of 12:45 moves it again when it is let go.")
    assert job_next(job(JobPhase.PAUSED, held="its queue decides"), plan, moment(80.0)).now.startswith("Waits: ")


def test_no_change_is_made_up_beyond_the_stretches() -> None:
    short = TargetPlan(SWITCH, (Stretch(START, local(13), "64 GPUs", True),))
    assert job_next(job(JobPhase.RUNNING), made(short), moment(80.0, local(14))).next == "The plan is 1 h 15 min old."


def test_a_fleet_without_prices_of_the_plan_goes_by_the_price_now_and_says_so() -> None:
    """In a site's first week too little is known of how prices go."""
    alone = "too little is known yet of how prices go, so the price now decides alone."
    plan = TargetPlan(None, stretches((START, "4 eco, 6 turbo", True)))
    on = fleet_next(fleet(ON), made(plan), moment(76.0))
    assert on == NextMove(f"S21 XP is on in 4 eco, 6 turbo: {alone}", "It stays on to the plan's end, 12:45 tomorrow.")
    asleep = fleet_next(fleet(ASLEEP), made(plan), moment(400.0))
    assert asleep.now == f"S21 XP is asleep: {alone}"
    assert asleep.next == "The plan has it on until its end, 12:45 tomorrow."


def test_a_job_that_runs_on_past_the_end_the_plan_had_for_it_is_told_so() -> None:
    plan = TargetPlan(SWITCH, stretches((START, "8 GPUs", True), (local(13), "waits", False)), ends_at=local(13))
    told = job_next(job(JobPhase.RUNNING), made(plan), moment(76.0, now=local(13, 5)))
    assert told.next.startswith("The plan had it end at 13:00")
