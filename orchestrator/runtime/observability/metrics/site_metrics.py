"""A site's metrics: wired to a controller before it is made, and to be told of it once it is."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from orchestrator.accounting.billing import JobRecord
from orchestrator.controller import Controller
from orchestrator.domain.site.site import Site
from orchestrator.explain.plan_view import PlanState
from orchestrator.ports import Record, WorkloadDriver
from orchestrator.runtime.observability.metrics.actions import Actions, TimedDriver
from orchestrator.runtime.observability.metrics.counters import Counters
from orchestrator.runtime.observability.metrics.gauges import Gauges, Seen
from orchestrator.runtime.observability.metrics.process import process_registry
from orchestrator.runtime.observability.metrics.rounds import AlwaysOn, RoundTimes
from orchestrator.runtime.observability.metrics.sheet import Sheet
from orchestrator.runtime.observability.metrics.tally import Tally

log = logging.getLogger(__name__)


class SiteMetrics(Collector):
    """Give a controller `rounds` as its watch, `timed` of its driver and `count` to publish to, then `watch` it."""

    def __init__(self, site: Site, now: Callable[[], datetime], *, simulated: bool = False, speed: float = 1.0) -> None:
        """`now` is site time."""
        self.registry = process_registry(site.name, simulated=simulated, speed=speed)
        self._site = site
        self._now = now
        self._counters = Counters(site.name)
        self._actions = Actions(self._counters, now)
        self._tally = Tally(site, self._counters, self._job_before)
        self._always_on = AlwaysOn(site, self._counters)
        self._gauges = Gauges(site)
        self.rounds = RoundTimes(self._counters, self._observed)
        self._controller: Controller | None = None
        self._plan: Callable[[], PlanState] = lambda: PlanState(None)
        self._last_at: datetime | None = None
        self.registry.register(self)

    def timed(self, driver: WorkloadDriver) -> WorkloadDriver:
        return TimedDriver(driver, self._actions, self._now)

    def watch(self, controller: Controller, plan: Callable[[], PlanState]) -> None:
        """Before its first round."""
        self._controller, self._plan = controller, plan
        self._last_at = controller.observed_at
        self._actions.left_open(controller.left_open)

    def count(self, records: Sequence[Record]) -> None:
        """Count what was published. It is on disk already, so whatever goes wrong here is no matter of the round's."""
        try:
            self._actions.count(records)
            self._tally.count(records)
        except Exception:
            log.exception("some of what was put on record is not in the metrics")

    def _job_before(self, job: str) -> JobRecord | None:
        return self._controller.job_record(job) if self._controller is not None else None

    def _observed(self) -> None:
        if self._controller is None or self._controller.snapshot is None:
            return
        try:
            self._always_on.observed(self._controller.snapshot, self._last_at)
        except Exception:
            log.exception("a stretch of the always-on site's time is not in the metrics")

    def collect(self) -> Iterator[Metric]:
        yield from self._counters.families()
        sheet = Sheet(self._site.name)
        if self.rounds.ended_well_at is not None:
            sheet.put("last_round_timestamp_seconds", self.rounds.ended_well_at)
        controller = self._controller
        if controller is not None and controller.snapshot is not None and controller.inputs is not None:
            self._gauges.fill(
                sheet,
                Seen(
                    now=self._now(),
                    snapshot=controller.snapshot,
                    inputs=controller.inputs,
                    curtailments=controller.curtailments,
                    plan=self._plan(),
                    pending=controller.pending,
                ),
            )
        yield from sheet.families()
