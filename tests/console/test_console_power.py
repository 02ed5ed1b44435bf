"""What the page says of power that is not wholly measured."""

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, Page, expect

from tests.api import blind
from tests.api.metered import some_meters

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk
    from tests.console.conftest import Served

PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def page(browser: Browser, served: "Served") -> AsyncIterator[Page]:
    """The console, drawn."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(served.url)
    await expect(page.locator("#power-chart .main-svg").first).to_be_visible()
    await expect(page.locator("#fleets tr")).not_to_have_count(0)
    yield page
    await context.close()


async def test_a_site_that_is_all_measured_says_so_quietly(page: Page) -> None:
    await expect(page.locator("#grid-shares")).to_have_text("all measured")
    await expect(page.locator("#grid-shares")).to_have_attribute("data-quality", "fresh")
    await expect(page.locator(".assumed")).to_have_count(0)
    await expect(page.locator("#alerts")).to_be_empty()


async def test_silent_racks_are_assumed_and_the_figure_stays_one(page: Page, desk: "FakeDesk") -> None:
    desk.changed = blind.three_silent
    desk.observe(1.0)
    told = "75.0 MW measured, 1.9 MW assumed of 3 silent racks at the setpoint"
    await expect(page.locator("#grid-shares")).to_have_text(told)
    await expect(page.locator("#grid-shares")).to_have_attribute("data-quality", "assumed")
    await expect(page.locator("#grid")).to_have_text("76.9")
    await expect(page.locator("#fleets tr", has_text="Antminer S21 awake").locator(".assumed")).to_have_text(
        "1.7 MW assumed"
    )
    await expect(page.locator("#feeders .assumed")).to_have_count(1)
    await page.locator("#curtail-open").click()
    await page.locator("input[name=mw]").fill("40")
    await page.locator("input[name=reason]").fill("EEA2")
    await page.locator("#curtail-next").click()
    await expect(page.locator("#curtail-facts")).to_contain_text(f"Grid power is 76.9 MW now ({told}); 36.9 MW will")


async def test_a_suspect_reading_is_told_and_not_counted(page: Page, desk: "FakeDesk") -> None:
    desk.changed = blind.one_suspect
    desk.observe(1.0)
    await expect(page.locator("#grid-shares")).to_contain_text("1 suspect reading (1.0 MW) not counted")
    await expect(page.locator("#grid")).to_have_text("76.9")
    await expect(page.locator("#alerts")).to_contain_text("s21/rack-0: asic_power_watts: 1000 kW drawn")


async def test_a_rack_that_is_read_in_part_is_named(page: Page, desk: "FakeDesk") -> None:
    desk.changed = blind.in_part
    desk.observe(1.0)
    await expect(page.locator("#alerts")).to_contain_text("Read in part")
    await expect(page.locator("#alerts")).to_contain_text("167 of 168 answer; the others count at 3500 W.")
    await expect(page.locator("#grid-shares")).to_contain_text("3.9 kW assumed of 1 device read in part")


async def test_a_dark_site_is_told_with_how_long_it_is_held_and_what_comes_then(page: Page, desk: "FakeDesk") -> None:
    desk.changed = blind.source_down
    desk.observe(1.0)
    held = page.locator("#alerts [data-level=warn]", has_text="Held on setpoints")
    await expect(held).to_contain_text("since 18:04 until 18:19, then brought to 12.0 MW by 18:29.")
    await expect(page.locator("#alerts")).to_contain_text("http://prometheus:9090: 61 of 61 queries fail")
    await expect(page.locator("#grid-shares")).to_contain_text("assumed of 124 silent racks held on the setpoint")
    desk.changed = partial(blind.source_down, minutes=18.0)
    desk.observe(1.0)
    closing = page.locator("#alerts [data-level=bad]", has_text="Safe power closes in")
    await expect(closing).to_contain_text("held until 18:04: at most 61.2 MW now, brought to 12.0 MW by 18:14.")
    desk.changed = lambda snapshot: snapshot
    desk.observe(1.0)
    await expect(page.locator("#alerts")).to_be_empty()


async def test_what_the_meter_shows_is_a_line_of_its_own_over_the_uses(page: Page, desk: "FakeDesk") -> None:
    names = "() => document.getElementById('power-chart').data.map(trace => trace.name)"
    assert "By the meter" not in await page.evaluate(names)
    desk.meters = some_meters(desk.now)
    desk.observe(1.0)
    await expect(page.locator("#grid")).to_have_text("80.0")
    await expect(page.locator("#grid-shares")).to_have_text("by the meter")
    await page.wait_for_function(f"() => ({names})().includes('By the meter')")
    shown = "() => document.getElementById('power-chart').data.find(trace => trace.name === 'By the meter').y.at(-1)"
    assert await page.evaluate(shown) == pytest.approx(80.0)
