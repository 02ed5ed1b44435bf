"""What forecasts are made from outlives the controller: a new process and a standby forecast as the one before did."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from orchestrator.adapters.prices.pushed import PushedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.series.csv_series import CsvSeries
from orchestrator.adapters.store import SqlStore
from orchestrator.clock import SiteClock
from orchestrator.controller.planner import Planner
from orchestrator.domain.market import Market, Price
from orchestrator.domain.site.site import Site
from orchestrator.domain.work import Job
from orchestrator.forecast.outlook import Outlook
from orchestrator.runtime.feeds import Series, Sources
from orchestrator.runtime.live_site import LiveSite
from orchestrator.sim.virtual import VirtualSite
from tests.controller.conftest import START

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAYS = 9
END = START + DAYS * DAY
WEATHER = CsvSeries([(START + n * HOUR, 20.0 + (n * 7) % 24) for n in range(-24, DAYS * 24 + 1)], "degC", 2 * HOUR)


def process(site: Site, store: SqlStore, prices: PushedPrices, devices: VirtualSite) -> LiveSite:
    return LiveSite(
        site,
        SiteClock(time.time(), END, 1.0),
        Sources(prices, Series(ConstantSeries(60.0, "USD/PH/s/day"), WEATHER), devices),
        devices,
        store,
    )


async def outlook_of(live: LiveSite) -> Outlook:
    snapshot = live.snapshot()
    assert snapshot is not None
    return Planner(live.site).question(snapshot, await live._controller.past(snapshot.at)).known.outlook


def known_at(at: datetime, dice: random.Random) -> list[Price]:
    """The hour's real-time price, and on the eve the next day's day-ahead prices; one corrects the hour before."""
    prices = [Price(at, at + HOUR, 40.0 + dice.gauss(0.0, 15.0), Market.REAL_TIME)]
    if at.hour == 10:
        prices.append(Price(at - HOUR, at, 77.0, Market.REAL_TIME))
    if at.hour == 18:
        midnight = at.astimezone(ZoneInfo("America/Chicago")).replace(hour=0) + DAY
        prices += [Price(midnight + n * HOUR, midnight + (n + 1) * HOUR, 30.0 + n, Market.DAY_AHEAD) for n in range(24)]
    return prices


def a_job(number: int, at: datetime) -> Job:
    return Job(f"try-{number}", "lab", "h100", 8, 8 * 1800.0, at, None, HOUR / 4, HOUR / 60)


@pytest.mark.parametrize("follower", ["restarted", "standby"])
async def test_who_follows_forecasts_as_the_one_before(
    site: Site, tmp_path: Path, follower: str, request: pytest.FixtureRequest
) -> None:
    standby = follower == "standby"
    url = request.getfixturevalue("postgres_url") if standby else f"sqlite:///{tmp_path / 'live.db'}"
    waiting = PushedPrices()  # a standby's: nobody tells it
    devices, dice = VirtualSite(site, start=START, seed=1), random.Random(1)
    with ExitStack() as opened:
        store = SqlStore.open(url, durable=False)
        opened.callback(store.close)
        prices = PushedPrices()
        before = process(site, store, prices, devices)
        for number in range(DAYS * 24 + 1):
            at = START + number * HOUR
            prices.accept(known_at(at, dice), at)
            if number % 5 == 0:
                devices.submit(a_job(number, at), at)
            await before._controller.tick(at)
        expected = await outlook_of(before)
        if not standby:
            store.close()
        after = process(
            site, opened.enter_context(closing(SqlStore.open(url))), waiting, VirtualSite(site, start=END, seed=1)
        )
        await after._controller.tick(END)
        outlook = await outlook_of(after)
    assert expected.paths_usd_per_mwh is not None, "enough is known of how prices go"
    assert expected.arrivals_gpus["h100"].max() > 0.5
    assert np.ptp(expected.outdoor_c) > 10.0
    assert outlook.start == expected.start
    np.testing.assert_array_equal(outlook.price_usd_per_mwh, expected.price_usd_per_mwh)
    for probability, values in expected.price_quantiles.items():
        np.testing.assert_array_equal(outlook.price_quantiles[probability], values)
    np.testing.assert_array_equal(outlook.paths_usd_per_mwh, expected.paths_usd_per_mwh)
    np.testing.assert_array_equal(outlook.outdoor_c, expected.outdoor_c)
    # the follower's first round is an instant later
    np.testing.assert_allclose(outlook.arrivals_gpus["h100"], expected.arrivals_gpus["h100"], rtol=1e-6)


async def test_only_prices_that_are_new_or_corrected_are_written(site: Site, tmp_path: Path) -> None:
    written: list[Price] = []
    with closing(SqlStore.open(f"sqlite:///{tmp_path / 'live.db'}")) as store:
        prices = PushedPrices()
        live = process(site, store, prices, VirtualSite(site, start=START, seed=1))
        record = store.record

        def noted(records: object) -> None:
            assert isinstance(records, list)
            written.extend(each for each in records if isinstance(each, Price))
            record(records)

        store.record = noted  # type: ignore[method-assign]  # it is the doorway that is watched
        hours = [Price(START + n * HOUR, START + (n + 1) * HOUR, 40.0 + n, Market.REAL_TIME) for n in range(3)]
        prices.accept(hours, START)
        for number in range(3):
            await live._controller.tick(START + number * HOUR)
            await live._controller.tick(START + number * HOUR + HOUR / 2)
        assert written == hours, "each once, as its interval begins"
        written.clear()
        quarters = [
            Price(START + HOUR + n * HOUR / 4, START + HOUR + (n + 1) * HOUR / 4, 9.0 + n, Market.REAL_TIME)
            for n in range(4)
        ]
        prices.accept(quarters, START + 2 * HOUR)
        await live._controller.tick(START + 3 * HOUR - HOUR / 60)
        assert written == quarters
        assert store.restore(START + 3 * HOUR).prices == (hours[0], *quarters, hours[2])
