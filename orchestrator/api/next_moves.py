"""What the plan has next for the fleets and jobs of a document, told at one moment."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from orchestrator.dispatch.merit_order import job_switch
from orchestrator.dispatch.power_price import power_prices, price_at
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, JobStatus, Snapshot
from orchestrator.explain.next_moves import NextMove, fleet_next, job_next
from orchestrator.explain.plan_view import PlanState
from orchestrator.explain.plan_words import Moment
from orchestrator.observe.power_shares import power_shares


class Teller:
    """Words the plan in force for one document."""

    def __init__(self, site: Site, state: PlanState, snapshot: Snapshot, now: datetime) -> None:
        self._site, self._state, self._snapshot = site, state, snapshot
        busy: Counter[str] = Counter()
        for status in snapshot.jobs.values():
            if status.view.phase.holds_gpus:
                busy[status.job.pool] += status.view.gpus
        prices = power_prices(site.grid.charges, snapshot.price.interval_start, snapshot.price.usd_per_mwh)
        price = price_at(prices, power_shares(snapshot).grid.kw)
        self._moment = Moment(
            now=now,
            zone=ZoneInfo(site.timezone),
            price_usd_per_mwh=price.usd_per_mwh,
            free_gpus={pool.name: max(pool.gpus - busy[pool.name], 0) for pool in site.pools},
            power=price.what,
        )

    def fleet(self, status: FleetStatus) -> NextMove:
        return fleet_next(status, self._state, self._moment)

    def job(self, status: JobStatus) -> NextMove:
        view = self._state.view
        planned = view.jobs.get(status.job.name) if view is not None else None
        if planned is None or planned.switch is None:
            return job_next(status, self._state, self._moment)
        switch = job_switch(self._site, self._snapshot, status, planned.switch)
        return job_next(status, self._state, self._moment, switch)
