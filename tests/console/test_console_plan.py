"""The plan on the operator's page, in a real Chromium."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, Page, expect
from rich.console import Console

from orchestrator.explain.plan_view import PlanState, PlanView
from orchestrator.runtime.client.plan_table import show_plan
from tests.api.fake_plan import make_plan

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk
    from tests.console.conftest import Served

PLANNED = ["HPC, planned", "Mining, planned", "Overhead, planned", "Cap, known ahead"]
NAMES = "chart => chart.data.map(trace => trace.name)"
X_OF = "(chart, name) => chart.data.find(trace => trace.name === name).x"


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    yield await context.new_page()
    await context.close()


def view_of(desk: "FakeDesk") -> PlanView:
    assert desk.planned.view is not None
    return desk.planned.view


async def planned_drawn(page: Page) -> None:
    """Both charts show the hours ahead."""
    for chart, name in (("power-chart", PLANNED[0]), ("price-chart", "Expected")):
        await page.wait_for_function(
            "([id, name]) => document.getElementById(id).data?.some(trace => trace.name === name)", arg=[chart, name]
        )


async def test_the_next_24_hours_are_drawn_beside_the_last_24(page: Page, served: "Served", desk: "FakeDesk") -> None:
    desk.simulated = False
    await page.goto(served.url)
    await planned_drawn(page)
    power, price = page.locator("#power-chart"), page.locator("#price-chart")
    assert (await power.evaluate(NAMES))[4:] == PLANNED
    measured, ahead = [await power.evaluate(X_OF, name) for name in ("Mining", "Mining, planned")]
    assert measured[0] == "2023-09-06T00:05:20"
    assert measured[-1] == "2023-09-06T18:05:20"
    assert ahead[0][:16] == "2023-09-06T18:05", "what is past of the plan is not drawn"
    assert ahead[-1] == "2023-09-07T18:00:00"
    expected = await price.evaluate(X_OF, "Expected")
    assert (expected[0][:16], expected[-1]) == ("2023-09-06T18:05", "2023-09-07T18:00:00")
    end = await price.evaluate("chart => chart.layout.xaxis.range[1]")
    assert end == "2023-09-07T18:00:00"
    assert await power.evaluate("chart => chart.layout.annotations[0].text") == "planned →"


async def test_the_hours_chosen_count_back_and_ahead(page: Page, served: "Served", desk: "FakeDesk") -> None:
    desk.simulated = False
    await page.goto(served.url)
    await planned_drawn(page)
    await page.get_by_role("button", name="2 h", exact=True).click()
    await page.wait_for_function("() => document.getElementById('power-chart').layout.xaxis.range[0] > '2023-09-06T16'")
    start, end = await page.locator("#power-chart").evaluate("chart => chart.layout.xaxis.range")
    assert start[:14] == "2023-09-06T16:", "from the first observation in these hours on"
    assert end[:16] in ("2023-09-06T20:05", "2023-09-06T20:06")
    assert (await page.locator("#power-chart").evaluate(X_OF, "Mining, planned"))[-1] == end


async def test_age_profit_and_gap_are_in_a_line(page: Page, served: "Served") -> None:
    await page.goto(served.url)
    line = page.locator("#plan-line")
    await expect(line).to_have_text(
        "Plan of 18:00, 5 min old · expects $118,240 by 7 Sept 18:00 · at most 0.9 % below the best possible, $119,310"
    )
    assert await line.get_attribute("data-level") == ""


async def test_rows_tell_what_is_next(page: Page, served: "Served") -> None:
    await page.goto(served.url)
    fleet = page.locator("#fleets tr").first.locator(".next")
    await expect(fleet).to_have_text(
        "Asleep from 15:55 to 17:10 tomorrow, when power is expected at 296 USD/MWh on average."
    )
    await expect(page.locator("#jobs .next")).to_have_count(14)
    await expect(page.locator("#jobs tr", has_text="align-1").first).to_contain_text("Expected to end at 21:10")


async def test_a_new_plan_is_drawn_without_a_reload(page: Page, served: "Served", desk: "FakeDesk") -> None:
    await page.goto(served.url)
    await planned_drawn(page)
    snapshot = desk.snapshot()
    assert snapshot is not None
    made = make_plan(desk.site, snapshot.jobs, desk.now.replace(minute=5, second=0))
    desk.plan_again(PlanState(replace(made, profit_usd=99_000.0)))
    await expect(page.locator("#plan-line")).to_contain_text("Plan of 18:05, 20 s old · expects $99,000")
    await page.wait_for_function(
        "() => document.getElementById('price-chart').data.find(trace => trace.name === 'Expected').x.at(-1)"
        " === '2023-09-07T18:05:00'"
    )


async def test_a_plan_that_is_old_or_failed_is_seen_to_be(page: Page, served: "Served", desk: "FakeDesk") -> None:
    await page.goto(served.url)
    await planned_drawn(page)
    alerts, line = page.locator("#alerts"), page.locator("#plan-line")
    desk.observe(1.0, minutes=40.0)
    await expect(alerts).to_contain_text("The plan is old")
    await expect(alerts).to_contain_text("The one of 18:00 stays in force, 45 min old.")
    await expect(line).to_have_attribute("data-level", "warn")
    await page.wait_for_function(
        "() => document.getElementById('power-chart').layout.annotations[0].text === 'planned 45 min ago →'"
    )
    broken = replace(view_of(desk), broken_promises=("train-3 ends late: <b>8</b> more GPUs would do",))
    desk.plan_again(PlanState(broken, "planning took longer than 60 s"))
    await expect(alerts).to_contain_text("No new plan")
    await expect(alerts).to_contain_text("planning took longer than 60 s. The one of 18:00 stays in force, 45 min old.")
    await expect(alerts).to_contain_text("train-3 ends late: <b>8</b> more GPUs would do")
    await expect(line).to_contain_text("the newest attempt failed")
    desk.plan_again(
        PlanState(replace(broken, broken_promises=tuple(f"job-{number} ends late" for number in range(40))))
    )
    await expect(alerts).to_contain_text("37 more promises")
    await expect(alerts.locator("div", has_text="ends late")).to_have_count(3)


BLOCKED = "41.0% of the site's power is not measured, more than the 10.0% that a plan may assume"


async def test_what_blocks_a_plan_is_seen_beside_the_age_of_the_one_in_force(
    page: Page, served: "Served", desk: "FakeDesk"
) -> None:
    await page.goto(served.url)
    await planned_drawn(page)
    alerts, line = page.locator("#alerts"), page.locator("#plan-line")
    desk.observe(1.0, minutes=40.0)
    desk.plan_again(PlanState(replace(view_of(desk), gap=0.041, sound=False), blocked=BLOCKED))
    await expect(alerts).to_contain_text(f"{BLOCKED}. The one of 18:00 stays in force, 45 min old.")
    await expect(line).to_contain_text("45 min old")
    await expect(line).to_contain_text("not sound: only promises that no plan could keep are told · no new one is made")
    await expect(line).to_have_attribute("data-level", "warn")
    desk.plan_again(PlanState(None, blocked=BLOCKED))
    await expect(alerts).to_contain_text(f"by the price now alone ({BLOCKED})")


async def test_a_site_without_a_plan_is_drawn_up_to_now(page: Page, served: "Served", desk: "FakeDesk") -> None:
    desk.planned = PlanState(None)
    await page.goto(served.url)
    await expect(page.locator("#plan-line")).to_have_text(
        "No plan is made yet: dispatch decides by the price now alone"
    )
    await expect(page.locator("#fleets tr")).to_have_count(5)
    for chart, traces in (("power-chart", 4), ("price-chart", 2)):
        await page.wait_for_function(
            "([id, traces]) => document.getElementById(id).data?.length === traces", arg=[chart, traces]
        )
    assert await page.locator("#price-chart").evaluate(NAMES) == ["Day-ahead", "Real-time"]
    await expect(page.locator(".next")).to_have_count(0)
    await expect(page.locator("#alerts")).to_be_empty()


async def test_the_command_line_prints_the_plan_of_a_running_controller(served: "Served") -> None:
    out = io.StringIO()
    await asyncio.to_thread(show_plan, served.url, None, Console(file=out, width=120))
    assert "Plan of 18:00, 5 min old" in out.getvalue()
    assert "gap 0.9%" in out.getvalue()
