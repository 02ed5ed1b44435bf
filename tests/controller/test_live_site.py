"""A running site in this process: the controller on its clock, simulated devices, a record on disk."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.series.constant import ConstantSeries
from orchestrator.adapters.store import SqlStore
from orchestrator.clock import SiteClock
from orchestrator.domain.market import Market, Price
from orchestrator.domain.site.site import Site
from orchestrator.runtime.feeds import Series, Sources
from orchestrator.runtime.live_site import LiveSite
from orchestrator.sim.virtual import VirtualSite
from tests.controller.conftest import START

PATIENCE_S = 90.0
"""For a round on a busy machine."""


def live_site(site: Site, store: SqlStore) -> LiveSite:
    devices = VirtualSite(site, start=START, seed=1)
    prices = [Price(START, START + timedelta(days=1), 40.0, Market.REAL_TIME)]
    series = Series(ConstantSeries(60.0, "USD/PH/s/day"), ConstantSeries(20.0, "degC"))
    return LiveSite(
        site,
        SiteClock(time.time(), START, 1.0),
        Sources(ReplayedPrices(prices, site.timezone), series, devices),
        devices,
        store,
    )


async def test_a_plan_is_told_when_it_comes_into_force_not_at_the_next_tick(site: Site, tmp_path: Path) -> None:
    hourly = replace(site, controls=replace(site.controls, tick=timedelta(hours=1)))
    with closing(SqlStore.open(f"sqlite:///{tmp_path / 'live.db'}")) as store:
        live = live_site(hourly, store)
        changes = live.events()
        live.start()
        async with asyncio.timeout(PATIENCE_S):
            await anext(changes)  # of the first round, the only one
            while live._plans._making is None:  # noqa: ASYNC110 - it begins right after the round, and tells nobody
                await asyncio.sleep(0.01)
        await live._plans._making  # as long as that takes: it may have to compile
        assert live.plan().view is not None
        await live.halt()
        live.close()
        assert "plan" in [event.name async for event in changes]
