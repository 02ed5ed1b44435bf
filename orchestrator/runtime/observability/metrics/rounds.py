"""Rounds of the loop, timed on the wall, and the always-on site kept up beside them."""

import time
from collections.abc import Callable, KeysView
from dataclasses import replace
from datetime import datetime

from orchestrator.accounting.metering import intervals
from orchestrator.accounting.mining_pace import mined
from orchestrator.controller.rounds import Part, Result
from orchestrator.dispatch.baseline import default_modes, mining_beside, warm
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import Snapshot
from orchestrator.runtime.observability.metrics.counters import Counters
from orchestrator.runtime.observability.metrics.vocabulary import WHOLE


class RoundTimes:
    """A RoundWatch. `ended` is called after each round that ended well."""

    def __init__(self, counters: Counters, ended: Callable[[], None], clock: Callable[[], float] = time.perf_counter):
        self._counters = counters
        self._ended = ended
        self._clock = clock
        self._began = self._part_began = 0.0
        self.ended_well_at: float | None = None
        """Unix time on the wall."""

    def begin(self) -> None:
        self._began = self._part_began = self._clock()

    def done(self, part: Part) -> None:
        now = self._clock()
        self._counters.observe("round_seconds", now - self._part_began, part)
        self._part_began = now

    def end(self, result: Result) -> None:
        self._counters.observe("round_seconds", self._clock() - self._began, WHOLE)
        self._counters.add("rounds_total", 1.0, result)
        if result is Result.OK:
            self.ended_well_at = time.time()
            self._ended()


class AlwaysOn:
    """The always-on site's mining, from one observation to the next: at the pace that the first of the two allowed."""

    def __init__(self, site: Site, counters: Counters) -> None:
        self._site = default_modes(site)
        self._counters = counters
        self._before: Snapshot | None = None
        self._fleets: KeysView[str] = {}.keys()
        self._seen = replace(self._site, fleets=())
        self._warm = warm(self._seen, 0.0)

    def observed(self, snapshot: Snapshot, last_at: datetime | None) -> None:
        """`last_at`: of the observation before the first, by a run before."""
        before = self._before
        self._before = snapshot
        since = before.at if before is not None else last_at
        if since is None or since >= snapshot.at:
            return
        held = before or snapshot
        if held.fleets.keys() != self._fleets:
            self._fleets = held.fleets.keys()
            self._seen = replace(self._site, fleets=tuple(self._site.fleet(name) for name in self._fleets))
            self._warm = warm(self._seen, 0.0)
        hpc_kw: dict[str, float] = {}
        for status in held.pools.values():
            hpc_kw[status.pool.feeder] = hpc_kw.get(status.pool.feeder, 0.0) + status.counted_kw
        hashprice = held.hashprice.value
        assert hashprice is not None, "the stale policy gives a hashprice"
        money = mined(
            mining_beside(self._seen, self._warm, held.limits, hpc_kw, held.pue),
            snapshot.at - since,
            intervals(snapshot.book, since, snapshot.at, self._site.stale.price),
            pue=held.pue,
            hashprice_usd_per_ph_day=hashprice,
            charges=self._site.grid.charges,
            hpc_kw=sum(hpc_kw.values()),
        )
        self._counters.add("always_on_revenue_usd_total", money.revenue_usd)
        self._counters.add("always_on_energy_cost_usd_total", money.energy_cost_usd)
        self._counters.add("always_on_energy_income_usd_total", money.energy_income_usd)
