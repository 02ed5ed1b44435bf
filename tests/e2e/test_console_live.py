"""The operator's page on the real demo, in a real Chromium: a spike seen, curtail pressed, watts seen falling."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.async_api import Browser, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Live, World

PATIENCE_MS = 240_000.0
LOW, HIGH = 20.0, 4000.0
PRICES = ([LOW] * 3 + [HIGH] * 2) * 24
"""5 min intervals at 60x: 15 s of low prices on the wall, 10 s of a spike, again and again."""

SHOWN = """([price, least_kw, most_kw]) => {
  const text = id => document.getElementById(id).textContent.replace(",", "");
  const kw = Number(text("grid")) * (text("grid-cap").startsWith("MW") ? 1000 : 1);
  return Number(text("price")) === price && least_kw <= kw && kw <= most_kw;
}"""
"""Whether the page shows this price, USD/MWh, and grid power between these, kW."""


async def test_a_spike_and_a_curtailment_move_the_watts_on_the_page(
    world: "World", launch: "Callable[[Live], Live]", browser: Browser, tmp_path: Path
) -> None:
    world.write(world.lines(PRICES))
    live = launch(world.live_demo())
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    awake = [LOW, world.awake_kw, 1500]

    await page.goto(live.url)
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#simulated")).to_contain_text("60")
    await page.evaluate("window.same = true")
    await page.wait_for_function(SHOWN, arg=awake)
    await page.wait_for_function(SHOWN, arg=[HIGH, 0, world.asleep_kw])
    await expect(page.locator("#decisions li").first).to_contain_text("power at 4000 USD/MWh")
    await page.screenshot(path=tmp_path / "spike.png", full_page=True)
    await page.wait_for_function(SHOWN, arg=awake)

    await page.get_by_role("button", name="Curtail…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Power, MW").fill("0.5")
    await dialog.get_by_label("For, minutes").fill("240")
    await dialog.get_by_label("Reason").fill("a test")
    await dialog.get_by_role("button", name="Review").click()
    await dialog.get_by_role("button", name="Curtail now").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#orders")).to_contain_text("at or under 500 kW")
    # At a low price, so that it is the order and not the spike that keeps the racks asleep, and some run on under it.
    await page.wait_for_function(SHOWN, arg=[LOW, world.asleep_kw, 500])
    await page.screenshot(path=tmp_path / "curtailed.png", full_page=True)
    assert (tmp_path / "curtailed.png").stat().st_size > 20_000

    await page.locator("#orders").get_by_role("button", name="End curtailment").click()
    await page.get_by_role("dialog").get_by_role("button", name="End it now").click()
    await expect(page.locator("#orders")).to_be_empty()
    await page.wait_for_function(SHOWN, arg=awake)
    assert await page.evaluate("window.same"), "the page was never reloaded"
    assert complaints == []
    await context.close()
    live.interrupt()
