"""`python -m orchestrator.runtime.compile`: compiles all there is to compile, by minutes of the example site.

An image is built with it, and `make venv` runs it, so that nobody waits for a compiler at a first tick.
"""

import asyncio
import contextlib
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

from numba.core.dispatcher import Dispatcher

from orchestrator.adapters.prices.replayed import ReplayedPrices
from orchestrator.adapters.store import SqlStore
from orchestrator.domain.market import Market, Price
from orchestrator.runtime.demo.replay import Day, replay
from orchestrator.runtime.example import example_site
from orchestrator.runtime.feeds import open_series
from orchestrator.settings import load_settings
from orchestrator.sim.jobs.arrivals import job_stream

PLAYED = timedelta(minutes=20)
"""Long enough for a plan that starts from the one before."""
KNOWN = timedelta(days=16)
"""Prices known before, made up: enough for a plan to go by."""
QUARTER = timedelta(minutes=15)


def main() -> None:
    settings = load_settings(example_site(), {})
    start = datetime(2023, 9, 6, 12, tzinfo=UTC)
    end = start + PLAYED
    prices = [
        Price(at, at + QUARTER, 40.0 + 5.0 * (number % 7), Market.REAL_TIME)
        for number in range(-KNOWN // QUARTER, PLAYED // QUARTER + 2)
        for at in [start + number * QUARTER]
    ]
    jobs = job_stream(settings.site, start, end, seed=1)
    played = Day(start, end, ReplayedPrices(prices, settings.site.timezone), open_series(settings), jobs, seed=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(SqlStore.open(f"sqlite:///{Path(folder) / 'record.db'}", durable=False)) as store,
    ):
        asyncio.run(replay(settings.site, played, store, step=timedelta(minutes=5)))
    print(f"compiled: {misses()} functions anew, the rest was there")


def misses() -> int:
    """Functions that were compiled in this process rather than found on disk."""
    found = {
        id(item): item
        for name, module in list(sys.modules.items())
        if name.startswith("orchestrator.") and isinstance(module, ModuleType)
        for item in vars(module).values()
        if isinstance(item, Dispatcher)
    }
    return sum(sum(item.stats.cache_misses.values()) for item in found.values())


if __name__ == "__main__":
    main()
