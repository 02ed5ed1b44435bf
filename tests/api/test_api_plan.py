"""What the API and the command line say of the plan."""

import io
import itertools
import math
from dataclasses import replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from rich.console import Console

from orchestrator.explain.plan_view import PlanState, PlanView
from orchestrator.forecast.outlook import Switch
from orchestrator.runtime.client.plan_table import print_plan

if TYPE_CHECKING:
    from tests.api.conftest import Client
    from tests.api.fake_desk import FakeDesk


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def view_of(desk: "FakeDesk") -> PlanView:
    assert desk.planned.view is not None
    return desk.planned.view


async def test_the_plan_has_its_hours_its_bound_its_gap_and_its_age(client: httpx.AsyncClient) -> None:
    plan = await get(client, "plan")
    assert (plan["made_at"], plan["end"]) == ("2023-09-06T23:00:00Z", "2023-09-07T23:00:00Z")
    assert (plan["age_seconds"], plan["old"], plan["failed"], plan["problem"]) == (320.0, False, False, None)
    assert (plan["profit_usd"], plan["bound_usd"], plan["gap"]) == (118_240.0, 119_310.0, 0.009)
    assert (plan["step_seconds"], len(plan["steps"])) == (300.0, 288)
    first = plan["steps"][0]
    assert first["start"] == "2023-09-06T23:00:00Z"
    assert first["low_usd_per_mwh"] < first["price_usd_per_mwh"] < first["high_usd_per_mwh"]
    assert first["limit_kw"] == 100_000


async def test_each_fleet_and_job_has_its_prices_its_stretches_and_what_is_next(client: httpx.AsyncClient) -> None:
    plan = await get(client, "plan")
    assert (plan["fleets_total"], plan["jobs_total"]) == (5, 14)
    fleet = plan["fleets"][0]
    assert fleet["name"] == "s21-xp"
    assert fleet["stay_usd_per_mwh"] == pytest.approx(188.3, abs=0.1)
    assert fleet["wake_usd_per_mwh"] == pytest.approx(162.6, abs=0.1)
    assert fleet["now"] == "Antminer S21 XP is on in 27 normal, 3 eco; it would sleep above 188 USD/MWh."
    assert fleet["next"].startswith("Asleep from 15:55 to 17:10 tomorrow")
    assert [(stretch["level"], stretch["on"]) for stretch in fleet["stretches"]] == [
        ("30 normal", True),
        ("asleep", False),
        ("30 normal", True),
    ]
    job = next(job for job in plan["jobs"] if job["name"] == "train-0")
    assert (job["stay_usd_per_mwh"], job["wake_usd_per_mwh"]) == (None, None), "guaranteed: JSON has no infinity"
    assert job["ends_at"] == "2023-09-07T03:00:00Z"
    assert job["next"] == "Expected to end at 22:00, 55 min after its deadline, 21:05."


async def test_one_fleet_or_job_can_be_asked_for(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    assert (await get(client, "plan/fleets/s21"))["now"].startswith("Antminer S21 is on")
    assert (await get(client, "plan/jobs/align-13"))["now"].startswith("Waits for cheaper power: 82 USD/MWh")
    for path in ("plan/fleets/s22", "plan/jobs/s21"):
        assert (await client.get(f"/api/v1/{path}")).status_code == 404
    desk.planned = PlanState(None)
    for path in ("plan/fleets/s21", "plan/jobs/align-13"):
        assert (await client.get(f"/api/v1/{path}")).status_code == 404


async def test_of_ten_thousand_jobs_a_page_comes(connect: "Client", fakes: ModuleType) -> None:
    big: FakeDesk = fakes.FakeDesk(fleets=1000, jobs=100)
    view = view_of(big)
    one = view.jobs["train-0"]
    many = {f"job-{number:05d}": one for number in range(10_000)}
    big.planned = PlanState(replace(view, jobs=many))
    async with connect(desk=big) as client:
        plan = await get(client, "plan")
        assert (plan["fleets_total"], len(plan["fleets"])) == (1000, 50)
        assert (plan["jobs_total"], len(plan["jobs"])) == (10_000, 50)
        last = await get(client, "plan", fleets_offset=990, jobs_offset=9_999, jobs_limit=1000)
        assert [fleet["name"] for fleet in last["fleets"]] == [fleet.name for fleet in big.site.fleets[990:]]
        assert [job["name"] for job in last["jobs"]] == ["job-09999"]
        hours = await get(client, "plan", fleets_limit=0, jobs_limit=0)
        assert (hours["fleets"], hours["jobs"], hours["jobs_total"]) == ([], [], 10_000)
        refused = await client.get("/api/v1/plan", params={"jobs_limit": 1001})
        assert refused.status_code == 422


async def test_before_the_first_plan_all_is_null_and_it_says_why(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    desk.planned = PlanState(None)
    plan = await get(client, "plan")
    for name in ("made_at", "age_seconds", "end", "profit_usd", "bound_usd", "gap", "seconds_to_make", "step_seconds"):
        assert plan[name] is None
    assert (plan["steps"], plan["fleets"], plan["jobs"], plan["failed"]) == ([], [], [], False)
    assert plan["problem"] == "No plan is made yet: dispatch decides by the price now alone"
    desk.planned = PlanState(None, "the day-ahead prices are missing.")
    plan = await get(client, "plan")
    assert plan["failed"] is True
    assert plan["problem"].endswith("by the price now alone (the day-ahead prices are missing)")


async def test_a_failed_attempt_leaves_the_last_plan_in_force_with_its_age(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    view = replace(view_of(desk), broken_promises=("train-3 ends late: it would take 8 more GPUs",))
    desk.planned = PlanState(view, "planning took longer than 60 s")
    desk.now += timedelta(minutes=30)
    plan = await get(client, "plan", jobs_limit=0)
    assert (plan["failed"], plan["problem"]) == (True, "planning took longer than 60 s")
    assert (plan["old"], plan["age_seconds"]) == (True, 320.0 + 1800.0)
    assert plan["profit_usd"] == 118_240.0
    assert plan["broken_promises"] == ["train-3 ends late: it would take 8 more GPUs"]
    assert plan["fleets"][0]["next"].endswith("The plan is 35 min old.")
    desk.planned = PlanState(replace(view, end=desk.now))
    assert (await get(client, "plan"))["old"] is True, "it says nothing of what comes"


BLOCKED = "41.0% of the site's power is not measured, more than the 10.0% that a plan may assume"


async def test_what_blocks_a_plan_is_told_beside_the_one_in_force(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    desk.planned = PlanState(view_of(desk), blocked=BLOCKED)
    desk.now += timedelta(hours=2)
    for plan in (await get(client, "plan"), (await get(client, "state"))["plan"]):
        assert (plan["blocked"], plan["failed"], plan["problem"]) == (BLOCKED, False, None)
        assert (plan["made_at"], plan["age_seconds"], plan["old"]) == ("2023-09-06T23:00:00Z", 320.0 + 7200.0, True)
    text = await printed(client, desk)
    assert text.startswith(f"Plan of 18:00, 2 h 5 min old\nNo new one is made: {BLOCKED}\n")
    desk.planned = PlanState(None, blocked=BLOCKED)
    plan = await get(client, "plan")
    assert (plan["blocked"], plan["sound"], plan["failed"]) == (BLOCKED, None, False)
    assert plan["problem"] == f"No plan is made yet: dispatch decides by the price now alone ({BLOCKED})"
    assert plan["problem"] in await printed(client, desk)


async def test_a_plan_with_a_large_gap_is_not_sound(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    assert (await get(client, "plan"))["sound"] is True
    assert "large" not in await printed(client, desk)
    desk.planned = PlanState(replace(view_of(desk), gap=0.041, sound=False))
    assert (await get(client, "state"))["plan"]["sound"] is False
    assert "Its gap is large: of promises only those are told that no plan could keep." in await printed(client, desk)


async def test_figures_without_meaning_are_null(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    view = view_of(desk)
    never = replace(view.fleets["s21"], switch=Switch(math.inf, -math.inf))
    desk.planned = PlanState(replace(view, gap=math.inf, bound_usd=math.nan, fleets={"s21": never}))
    plan = await get(client, "plan")
    assert (plan["gap"], plan["bound_usd"]) == (None, None)
    assert (plan["fleets"][0]["stay_usd_per_mwh"], plan["fleets"][0]["wake_usd_per_mwh"]) == (None, None)


async def test_fleets_and_jobs_tell_what_is_next(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    fleets = (await get(client, "fleets"))["fleets"]
    assert fleets[0]["next"].startswith("Asleep from 15:55 to 17:10 tomorrow")
    jobs = (await get(client, "jobs"))["jobs"]
    assert all(job["next"] for job in jobs)
    desk.planned = PlanState(None)
    assert {fleet["next"] for fleet in (await get(client, "fleets"))["fleets"]} == {None}
    assert {job["next"] for job in (await get(client, "jobs"))["jobs"]} == {None}


async def test_the_state_tells_how_the_plan_stands(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    plan = (await get(client, "state"))["plan"]
    assert (plan["made_at"], plan["gap"], plan["old"]) == ("2023-09-06T23:00:00Z", 0.009, False)
    assert "steps" not in plan
    many = tuple(f"job-{number} ends late" for number in range(3000))
    desk.planned = PlanState(replace(view_of(desk), broken_promises=many))
    plan = (await get(client, "state"))["plan"]
    assert (plan["broken_promises"], plan["broken_promises_total"]) == (list(many[:20]), 3000)
    assert len((await get(client, "plan"))["broken_promises"]) == 3000
    desk.planned = PlanState(None)
    assert (await get(client, "state"))["plan"]["made_at"] is None


async def test_a_plan_before_the_first_observation_has_hours_and_no_sentences(
    client: httpx.AsyncClient, desk: "FakeDesk"
) -> None:
    desk.observed = False
    plan = await get(client, "plan")
    assert len(plan["steps"]) == 288
    assert {target["now"] for target in plan["fleets"] + plan["jobs"]} == {None}


async def printed(client: httpx.AsyncClient, desk: "FakeDesk") -> str:
    out = io.StringIO()
    console = Console(file=out, width=120, highlight=False)
    zone = ZoneInfo(desk.site.timezone)
    print_plan(await get(client, "plan", fleets_limit=1000, jobs_limit=1000), desk.now, zone, console)
    return out.getvalue()


async def test_the_command_line_prints_an_hour_a_row(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    text = await printed(client, desk)
    assert text.startswith("Plan of 18:00, 5 min old\n")
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    hours = [f"{(18 + number) % 24:02d}:00" for number in range(24)]
    assert [hour for hour in rows if hour] == hours
    assert "18:25 s19j-pro 18 normal" in rows["18:00"]
    assert "4 jobs end, 1 job starts" in rows["19:00"]
    assert "68.3 MW" in rows["20:00"]
    assert "15:30 s19j-pro asleep; 15:40 s19xp asleep" in rows["15:00"]
    assert "It expects 118,240 USD to its end; no plan could earn more than 119,310 (gap 0.9%). Made in 1.4 s." in text


async def test_the_command_line_says_what_is_wrong_with_the_plan(client: httpx.AsyncClient, desk: "FakeDesk") -> None:
    desk.planned = PlanState(
        replace(view_of(desk), broken_promises=("train-3 ends late [8 GPUs]",)), "it took [too] long"
    )
    desk.now += timedelta(hours=1)
    text = await printed(client, desk)
    assert "Plan of 18:00, 1 h 5 min old" in text
    assert "The newest attempt failed: it took [too] long" in text
    assert "cannot be kept: train-3 ends late [8 GPUs]" in text
    desk.planned = PlanState(replace(view_of(desk), broken_promises=tuple(f"job-{number}" for number in range(25))))
    text = await printed(client, desk)
    assert text.count("cannot be kept: job-") == 20
    assert "cannot be kept: 5 more promises" in text
    desk.planned = PlanState(None)
    assert await printed(client, desk) == "No plan is made yet: dispatch decides by the price now alone\n"


async def test_steps_are_told_in_utc(client: httpx.AsyncClient) -> None:
    steps = (await get(client, "plan"))["steps"]
    starts = [datetime.fromisoformat(step["start"]) for step in steps]
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {timedelta(minutes=5)}
