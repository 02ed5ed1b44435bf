"""`python -m orchestrator.app.compile`: compiles all there is to compile, by minutes of the example site.

An image is built with it, and `make venv` runs it, so that nobody waits for a compiler at a first tick.
"""

import asyncio
import contextlib
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from types import ModuleType

from orchestrator import planning
from orchestrator.adapters.store import SqlStore
from orchestrator.app.demo import choose_day
from orchestrator.app.example import example_site
from orchestrator.app.feeds import open_series
from orchestrator.app.replay import Day, replay
from orchestrator.settings import load_settings
from orchestrator.sim.arrivals import job_stream

PLAYED = timedelta(minutes=20)
"""Long enough for a plan that starts from the one before."""


def main() -> None:
    settings = load_settings(example_site(), {})
    day = choose_day(settings, None, None)
    end = day.start + PLAYED
    jobs = job_stream(settings.site, day.start, end, seed=1)
    played = Day(day.start, end, day.prices, open_series(settings), jobs, seed=1)
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
        if name.startswith(planning.__name__) and isinstance(module, ModuleType)
        for item in vars(module).values()
        if hasattr(item, "stats") and hasattr(item, "py_func")
    }
    return sum(sum(item.stats.cache_misses.values()) for item in found.values())


if __name__ == "__main__":
    main()
