"""A site, a market over a change of month, and strategies that were made up in it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.backtest.result import BacktestResult, MarketSeries
from orchestrator.backtest.tally import Tally
from orchestrator.domain.site.site import Site
from orchestrator.settings import load_settings
from tests.backtest.made_up import a_market, a_result, a_strategy, made_up_batches

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site() -> Site:
    return load_settings(ROOT / "examples" / "texas-100mw.yaml", {}).site


@pytest.fixture(scope="session")
def market() -> MarketSeries:
    """Six days over the end of February 2024, in Texas's months: 29 February is whole, March is not."""
    return a_market(datetime(2024, 2, 27, 6, tzinfo=UTC), 96 * 6)


@pytest.fixture(scope="session")
def result(site: Site, market: MarketSeries) -> BacktestResult:
    strategies = []
    for name, stop_above in (("always-on", 1e9), ("threshold=80", 80.0), ("plan", 65.0)):
        tally = Tally(site, market)
        for batch in made_up_batches(site, market, stop_above):
            tally.add(batch)
        strategies.append(a_strategy(name, tally))
    return a_result(site, market, strategies)
