"""The operator's page in a real Chromium."""

from collections.abc import AsyncIterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Browser, Page, expect

from orchestrator.accounting.charges.block import Ppa
from orchestrator.api import AskedOrder
from orchestrator.domain.decision import Breach, BreachKind, BreachState
from orchestrator.domain.target import GRID_CONNECTION, Target
from tests.api.metered import some_meters
from tests.power_block import charged

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk
    from tests.console.conftest import Served

PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


class Watch:
    """What a page asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)

    def check(self, origin: str) -> None:
        assert self.complaints == []
        assert self.requests
        assert [url for url in self.requests if not url.startswith((f"{origin}/", "data:", "blob:"))] == []


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield await context.new_page()
    await context.close()


async def drawn(page: Page, url: str) -> None:
    """The page is open, and all its parts have been drawn."""
    await page.goto(url)
    await expect(page.locator("#power-chart .main-svg").first).to_be_visible()
    await expect(page.locator("#price-chart .main-svg").first).to_be_visible()
    await expect(page.locator("#fleets tr")).not_to_have_count(0)
    await expect(page.locator("#jobs tr")).not_to_have_count(0)
    await expect(page.locator("#decisions li")).not_to_have_count(0)


async def test_the_page_shows_the_site(page: Page, served: "Served") -> None:
    watch = Watch(page)
    await drawn(page, served.url)
    await expect(page.locator("#site-name")).to_have_text("Pecos Ridge")
    await expect(page.locator("#simulated")).to_have_text("simulated time, 60\u00d7")
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#price")).to_have_text("81.73")
    await expect(page.locator("#grid")).to_have_text("76.9")
    await expect(page.locator("#grid-cap")).to_have_text("MW of 100.0 MW")
    first_fleet = page.locator("#fleets tr").first
    await expect(first_fleet).to_contain_text("Antminer S21 XP")
    await expect(first_fleet).to_contain_text("27 normal, 3 eco")
    await expect(first_fleet).to_contain_text("171")
    await expect(page.locator("#jobs tr")).to_have_count(14)
    await expect(page.locator("#decisions li").first).to_contain_text("Antminer S21 down 9.8 MW")
    names = await page.locator("#power-chart").evaluate("chart => chart.data.map(trace => trace.name)")
    assert names[:4] == ["HPC", "Mining", "Overhead", "Cap"]
    assert await page.locator("#price-chart").evaluate("chart => chart.data[1].customdata.at(-1)") == 81.73
    watch.check(served.url)


async def test_what_the_meter_shows_and_no_device_explains_is_on_the_page(
    page: Page, served: "Served", desk: "FakeDesk"
) -> None:
    await drawn(page, served.url)
    await expect(page.locator("#grid-meter")).to_be_hidden()
    desk.meters = some_meters(desk.now)
    desk.observe(1.0)
    told = "1.5 MW more than the devices behind it say, 3 of which say nothing"
    await expect(page.locator("#grid-meter")).to_have_text(told)
    await expect(page.locator("#alerts")).to_contain_text("meter north: 40 MW come by")
    await expect(page.locator("#alerts")).to_contain_text("fleet/s21 draws 9.0 % more than it says (1.0 % before).")
    await expect(page.locator("#alerts")).not_to_contain_text("fleet/s19")


async def test_progress_that_is_estimated_is_marked_and_said_in_words(
    page: Page, served: "Served", desk: "FakeDesk"
) -> None:
    snapshot = desk.snapshot()
    assert snapshot is not None
    name, other, *_ = snapshot.jobs
    desk.estimated = {name}
    await drawn(page, served.url)
    row = page.locator("#jobs tr", has=page.get_by_text(name, exact=True))
    await expect(row).to_contain_text("about ")
    await expect(row.get_by_role("progressbar")).to_have_accessible_name(f"Progress of {name}, estimated")
    await expect(row.get_by_title("it serves no progress")).to_be_visible()
    await expect(page.get_by_role("progressbar", name=f"Progress of {other}", exact=True)).to_be_visible()


async def test_text_of_the_server_is_shown_as_text(page: Page, served: "Served") -> None:
    await drawn(page, served.url)
    await expect(page.locator("#jobs")).to_contain_text("<b>waits</b>: best-effort")
    assert await page.locator("#jobs .why b").count() == 0


async def test_a_price_is_seen_without_a_reload(page: Page, served: "Served", desk: "FakeDesk") -> None:
    await drawn(page, served.url)
    await page.evaluate("window.same = true")
    desk.set_price(4213.5)
    await expect(page.locator("#price")).to_have_text("4,214")
    await page.wait_for_function("() => document.getElementById('price-chart').data[1].customdata.at(-1) === 4213.5")
    assert await page.evaluate("window.same")


async def test_a_power_block_is_told_beside_the_price(page: Page, served: "Served", desk: "FakeDesk") -> None:
    await drawn(page, served.url)
    await expect(page.locator("#price-note")).not_to_contain_text("block")
    desk.site = charged(desk.site, Ppa(90_000.0, 38.0, 3.0))
    desk.set_price(500.0)
    await expect(page.locator("#price-note")).to_contain_text(
        "block of 90.0 MW at 38 USD/MWh: unused power is sold back at market - 3; one more kWh is at 497.00 USD/MWh"
    )


async def test_a_decision_and_its_outcome_are_seen_as_they_come(
    page: Page, served: "Served", desk: "FakeDesk", fakes: ModuleType
) -> None:
    await drawn(page, served.url)
    desk.decide(fakes.a_decision(desk, 20, settled=False))
    newest = page.locator("#decisions li").first
    await expect(newest).to_contain_text("down 9.8 MW for a price of 1112")
    await expect(newest).to_contain_text("2 actions, 1 sent, 1 planned")
    await expect(page.locator("#announce")).to_contain_text("for a price of 1112")
    await newest.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(newest.locator(".body")).to_be_visible()
    desk.decide(fakes.a_decision(desk, 20))
    await expect(newest).to_contain_text("2 actions, 1 measured, 1 acknowledged")
    await expect(newest.locator(".body")).to_contain_text("acknowledged after 650 ms, measured after 21 s")
    desk.decide(fakes.a_decision(desk, 2))  # an old one that changes is drawn where it is
    await expect(newest).to_contain_text("for a price of 1112")


async def test_a_curtailment_is_reviewed_ordered_seen_and_ended(page: Page, served: "Served", desk: "FakeDesk") -> None:
    watch = Watch(page)
    await drawn(page, served.url)
    await page.get_by_role("button", name="Curtail…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Review").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Give the limit in MW, 0 or more.")
    await dialog.get_by_label("Power, MW").fill("40")
    await dialog.get_by_label("Reason").fill("ERCOT EEA2 <order>")
    await dialog.get_by_role("button", name="Review").click()
    await expect(dialog).to_contain_text("Hold the site at or under 40.0 MW for 30 min")
    await expect(dialog).to_contain_text("that is 30 s on your own clock")
    assert desk.orders == [], "nothing is ordered before it is confirmed"
    await dialog.get_by_role("button", name="Curtail now").click()
    await expect(dialog).to_be_hidden()
    orders = page.locator("#orders")
    await expect(orders).to_contain_text("at or under 40.0 MW")
    await expect(orders).to_contain_text("“ERCOT EEA2 <order>”, by api")
    assert (desk.orders[0].limit_kw, desk.orders[0].reason) == (40_000.0, "ERCOT EEA2 <order>")
    desk.observe(share=desk.share)
    await expect(page.locator("#grid-cap")).to_have_text("MW of 40.0 MW")
    await page.wait_for_function("() => Number(document.getElementById('grid').textContent) < 40")
    await orders.get_by_role("button", name="End curtailment c-1").click()
    await page.get_by_role("dialog").get_by_role("button", name="End it now").click()
    await expect(orders).to_be_empty()
    assert desk.orders[0].cancelled_at is not None
    watch.check(served.url)


async def test_one_feeder_is_curtailed(page: Page, served: "Served", desk: "FakeDesk") -> None:
    await drawn(page, served.url)
    feeder = desk.site.feeders[0].name
    await page.get_by_role("button", name="Curtail…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Where").select_option(f"Feeder {feeder}")
    await dialog.get_by_label("Power, MW").fill("1")
    await dialog.get_by_label("Reason").fill("switchgear")
    await dialog.get_by_role("button", name="Review").click()
    await expect(dialog).to_contain_text(f"Hold feeder {feeder} at or under 1.0 MW for 30 min")
    await expect(dialog).to_contain_text(f"Power of feeder {feeder} is")
    await dialog.get_by_role("button", name="Curtail now").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#orders")).to_contain_text(f"feeder {feeder} at or under 1.0 MW")
    assert [order.at for order in desk.orders] == [Target.feeder(feeder)]


async def test_a_refused_curtailment_says_why(page: Page, served: "Served") -> None:
    await drawn(page, served.url)
    await page.get_by_role("button", name="Curtail…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Power, MW").fill("400")
    await dialog.get_by_label("Reason").fill("typo")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("400.0 MW")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_contain_text("at most the 100000 kW of the grid connection")


async def test_breaches_and_stale_inputs_are_in_a_banner(page: Page, served: "Served", desk: "FakeDesk") -> None:
    await drawn(page, served.url)
    desk.store.broken = [Breach("b-1", BreachKind.CAP, "grid", BreachState.ACTIVE, desk.now, "101.2 MW measured")]
    desk.stale = ("rack s21/rack-3",)
    desk.observe(share=1.0)
    banner = page.locator("#alerts")
    await expect(banner).to_contain_text("Breach: cap exceeded, grid")
    await expect(banner).to_contain_text("101.2 MW measured")
    await expect(banner).to_contain_text("rack s21/rack-3")
    desk.store.broken, desk.stale = [], ()
    desk.observe(share=1.0)
    await expect(banner).to_be_empty()


async def test_a_lost_connection_is_said_and_mended_by_itself(
    page: Page, served: "Served", desk: "FakeDesk", fakes: ModuleType
) -> None:
    await drawn(page, served.url)
    desk.hub.close()  # the stream ends, and until there is a new hub so does every next one
    await expect(page.locator("#link")).to_contain_text("Disconnected since")
    await expect(page.locator("#alerts")).to_contain_text("All figures are as of")
    assert await page.locator("body").get_attribute("data-link") == "lost"
    desk.hub = type(desk.hub)()
    desk.decide(fakes.a_decision(desk, 30))
    desk.set_price(-7.25)
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#price")).to_have_text("-7.25")
    await expect(page.locator("#decisions li").first).to_contain_text("for a price of 1512")
    await expect(page.locator("#alerts")).to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
async def test_no_layout_overflows_sideways(
    browser: Browser, served: "Served", desk: "FakeDesk", scheme: Any, width: int
) -> None:
    until = desk.now.replace(hour=23, minute=59)
    await desk.curtail(AskedOrder(GRID_CONNECTION, 40_000.0, None, until, "a reason " * 20, "api"))
    desk.stale = tuple(f"rack s21/rack-{number}" for number in range(20))
    context = await browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = await context.new_page()
    await drawn(page, served.url)
    await page.locator("#decisions summary").first.click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(11, 16, 15)"
    assert dark == (scheme == "dark")
    await page.get_by_role("button", name="Curtail…").click()
    box = await page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    await context.close()


async def test_a_page_opened_before_the_first_observation_fills_when_it_comes(
    page: Page, served: "Served", desk: "FakeDesk"
) -> None:
    watch = Watch(page)
    desk.observed = False
    await page.goto(served.url)
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#price-note")).to_have_text("waiting for the first observation")
    desk.observed = True
    desk.observe(share=1.0)
    await expect(page.locator("#price")).to_have_text("81.73")
    await expect(page.locator("#fleets tr")).to_have_count(5)
    watch.check(served.url)


async def test_the_api_page_draws_the_openapi_document(page: Page, served: "Served") -> None:
    watch = Watch(page)
    await page.goto(f"{served.url}/docs")
    await expect(page.get_by_role("heading", name="POST /api/v1/curtailments")).to_be_visible()
    await expect(page.locator("article", has_text="POST /api/v1/curtailments")).to_contain_text("for_minutes")
    watch.check(served.url)


class TestOnABigSite:
    @pytest.fixture
    def desk(self, fakes: ModuleType) -> "FakeDesk":
        big: FakeDesk = fakes.FakeDesk(fleets=1000, jobs=10_000)
        big.decide(fakes.a_decision(big, 1))
        return big

    async def test_the_first_200_are_shown_with_the_count(self, page: Page, served: "Served") -> None:
        await drawn(page, served.url)
        await expect(page.locator("#fleets-count")).to_have_text("first 200 of 1,000")
        await expect(page.locator("#jobs-count")).to_have_text("first 200 of 10,000")
        assert await page.locator("#jobs tr").count() == 200


class TestWithAKey:
    @pytest.fixture
    def api_key(self) -> str:
        return "open sesame ä"

    async def test_the_page_asks_for_the_key_and_keeps_it_in_the_tab(self, page: Page, served: "Served") -> None:
        await page.goto(served.url)
        dialog = page.get_by_role("dialog", name="API key")
        await expect(dialog.get_by_label("Key", exact=True)).to_be_visible()
        await expect(dialog.locator("input[name=user]")).to_be_hidden()  # for password managers alone
        await dialog.get_by_label("Key").fill("wrong")
        await dialog.get_by_role("button", name="Open").click()
        await expect(dialog.get_by_role("alert")).to_have_text("That key was not accepted.")
        await dialog.get_by_label("Key").fill("open sesame ä")
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_hidden()
        await expect(page.locator("#price")).to_have_text("81.73")
        await drawn(page, served.url)
        assert await page.evaluate("localStorage.length") == 0
