"""The report in a real Chromium, opened from disk."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from orchestrator.backtest.report import write_report
from orchestrator.backtest.result import BacktestResult

PATIENCE_MS = 20_000
CHARTS = ("profit", "gain", "power", "event", "duration", "bands")
DATA = "chart => document.getElementById(chart).data"


@dataclass
class Watch:
    """What a page asked for and complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text))


@pytest.fixture
def path(tmp_path: Path, result: BacktestResult) -> Path:
    write_report(tmp_path / "report.html", result)
    return tmp_path / "report.html"


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def page(browser: Browser, path: Path, watch: Watch) -> AsyncIterator[Page]:
    """Open, with all charts drawn; nothing was asked for but the file, and nothing complained of by the end."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    watch.follow(page)
    await page.goto(path.as_uri())
    for chart in CHARTS:
        await expect(page.locator(f"#{chart}-chart .main-svg").first).to_be_visible(timeout=PATIENCE_MS)
    yield page
    assert watch.complaints == []
    assert [url for url in watch.requests if not url.startswith((path.as_uri(), "data:", "blob:"))] == []
    await context.close()


async def traces(page: Page, chart: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.evaluate(DATA, f"{chart}-chart")
    return found


async def test_the_charts_show_the_figures(page: Page, result: BacktestResult) -> None:
    await expect(page.locator("h1")).to_contain_text("Run by plan, texas-100mw earned")
    profit = {trace["name"]: trace["customdata"][-1] for trace in await traces(page, "profit")}
    for strategy in result.strategies:
        assert profit[strategy.name] == pytest.approx(float(strategy.series.profit_usd.sum()), abs=0.6)
    assert {trace["name"] for trace in await traces(page, "gain")} == {"threshold=80", "plan"}
    assert await page.evaluate("document.documentElement.scrollWidth") <= 1280


async def test_packed_intervals_come_out_as_they_were(page: Page, result: BacktestResult) -> None:
    by_name = {trace["name"]: trace for trace in await traces(page, "power")}
    plan, count = result.strategy("plan").series, len(result.market)
    assert by_name["Settled price"]["customdata"][:count] == pytest.approx(
        result.market.settled_usd_per_mwh.tolist(), rel=1e-6
    )
    assert by_name["Mining"]["y"][:count] == pytest.approx((plan.mining_grid_kw / 1000.0).tolist(), abs=0.002)
    assert by_name["HPC"]["y"][:count] == pytest.approx((plan.hpc_grid_kw / 1000.0).tolist(), abs=0.002)
    assert by_name["Mining"]["x"][0] == "2024-02-27T00:00:00"  # six hours behind UTC


async def test_a_stretch_can_be_looked_at(page: Page) -> None:
    chart = page.locator("#power-chart")
    await chart.scroll_into_view_if_needed()
    box = await chart.bounding_box()
    assert box is not None
    across = box["y"] + box["height"] * 0.7
    await page.mouse.move(box["x"] + 400, across)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 600, across, steps=4)
    await page.mouse.up()
    earlier, later = page.locator("[data-look=back]"), page.locator("[data-look=on]")
    await expect(page.locator("[data-look=all]")).to_have_attribute("aria-pressed", "false")
    await expect(earlier).to_be_enabled()
    first = await page.evaluate("document.getElementById('power-chart').layout.xaxis.range")
    assert "2024-02-28" < first[0] < first[1] < "2024-03-02"
    await later.click()
    second = await page.evaluate("document.getElementById('power-chart').layout.xaxis.range")
    assert second[0] == first[1] < second[1]
    await page.locator("[data-look=all]").click()
    await expect(earlier).to_be_disabled()
    await expect(page.locator("#power-note")).to_contain_text("Intervals of 15 min, times in CST")


async def test_another_spike_can_be_chosen(page: Page) -> None:
    async def highest() -> float:
        price = next(trace for trace in await traces(page, "event") if trace["name"] == "Settled price")
        return float(max(value for value in price["customdata"] if value is not None))

    buttons = page.locator("#event-buttons button")
    await expect(buttons).to_have_text(["Fri 1 Mar 2024, 00:00", "Sun 3 Mar 2024, 00:00"])
    await expect(buttons.first).to_have_attribute("aria-pressed", "true")
    assert await highest() == 1800.0
    await buttons.last.click()
    await expect(buttons.last).to_have_attribute("aria-pressed", "true")
    assert await highest() == 900.0
    await expect(page.locator("#event-chart")).to_contain_text("always-on")


async def test_dark_and_paper_have_their_own_colours(page: Page) -> None:
    async def ink() -> str:
        colour: str = (await traces(page, "duration"))[0]["line"]["color"]
        return colour

    assert await ink() == "#18211e"
    await page.emulate_media(color_scheme="dark")
    await page.wait_for_function("() => document.getElementById('duration-chart').data[0].line.color === '#e3eae6'")
    await page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert await ink() == "#18211e"
    await page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert await ink() == "#e3eae6"
