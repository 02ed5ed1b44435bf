"""A controller among its replicas: it stands by, leads when it is elected, and stands by again when it is not."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from orchestrator.adapters.store import StoreError
from orchestrator.adapters.store.engine import read_url, shared
from orchestrator.adapters.workloads.kubernetes.api import ApiError, ClusterError
from orchestrator.adapters.workloads.kubernetes.leader.election import Election
from orchestrator.adapters.workloads.kubernetes.leader.leader_label import LeaderLabel
from orchestrator.api.application import create_app
from orchestrator.runtime.feeds import Sources
from orchestrator.runtime.ha.standby import Front, standby_app
from orchestrator.runtime.ha.term import ClusterDriver, open_term
from orchestrator.runtime.live_site import LiveSite
from orchestrator.runtime.observability.metrics import LeaderMetrics
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runtime.observability.spans import Spans

log = logging.getLogger(__name__)

SETTLE_S = 3.0
"""For the last round of a graceful stop; with the API server or the store gone it would wait for each request."""
LABEL_S = 1.0
AGAIN_AFTER_S = 5.0
"""Whoever could not lead leaves it to another for this long."""


class Candidate:
    """`front` is the application to serve, before and after `run`, which ends with `stopping`."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        election: Election,
        label: LeaderLabel,
        *,
        open_driver: Callable[[], ClusterDriver],
        stopping: asyncio.Event,
        tell: Callable[[str], None],
        spans: "Spans | None" = None,
    ) -> None:
        self._store_shared = shared(read_url(settings.store_url))
        self._standby: ASGIApp = standby_app(
            settings.site.name, lambda: election.leader, store_shared=self._store_shared, api_key=settings.api_key
        )
        self.front = Front(self._standby)
        self._settings = settings
        self._sources = sources
        self._election = election
        self._label = label
        self._open_driver = open_driver
        self._stopping = stopping
        self._tell = tell
        self._spans = spans

    async def run(self) -> None:
        """Trouble with the API server or the store ends a term, never the process."""
        self._label.show(leads=False)
        while not self._stopping.is_set():
            log.info("%s stands by", self._election.identity)
            self._tell(f"{self._election.identity} stands by.")
            await self._first_of(self._election.win())
            if self._stopping.is_set():
                break
            if self._election.held:
                self._tell(f"{self._election.identity} leads.")
                await self._lead()
            else:
                await self._first_of(asyncio.sleep(AGAIN_AFTER_S))
        await self._label.take_off(LABEL_S)
        await self._election.release()

    async def _lead(self) -> None:
        keeping = asyncio.create_task(self._election.keep())
        governing = asyncio.create_task(self._govern())
        await self._first_of(asyncio.wait({keeping, governing}, return_when=asyncio.FIRST_COMPLETED))
        governing.cancel()
        (outcome,) = await asyncio.gather(governing, return_exceptions=True)
        if isinstance(outcome, StoreError | ApiError | ClusterError):
            log.error("the site cannot be controlled from here now: %s", outcome)
        elif isinstance(outcome, Exception):
            log.error("the site cannot be controlled from here now", exc_info=outcome)
        lost = keeping.done()
        if self._stopping.is_set():
            await self._label.take_off(LABEL_S)
        else:
            self._label.show(leads=False)
        await _end_all([keeping])
        await self._election.release()
        if not lost:
            await self._first_of(asyncio.sleep(AGAIN_AFTER_S))

    async def _govern(self) -> None:
        """Control the site until cancelled, or until the store is another's."""
        settings, election = self._settings, self._election
        driver = self._open_driver()
        async with open_term(settings.site, self._sources, settings.store_url, driver, self._spans) as live:
            live.metrics_registry.register(
                LeaderMetrics(settings.site.name, lambda: election.held, store_shared=self._store_shared)
            )
            self.front.app = create_app(live, api_key=settings.api_key)
            self._label.show(leads=True)
            live.start()
            try:
                await live.ousted.wait()
            finally:
                self.front.app = self._standby
                live.close()
                await self._end(live)

    async def _end(self, live: LiveSite) -> None:
        """A stop that was asked for settles to the last joule. Else another may lead already, and settles."""
        if self._stopping.is_set() and self._election.held:
            try:
                async with asyncio.timeout(SETTLE_S):
                    await live.pause()
                return
            except TimeoutError:
                log.warning("the last round took more than %g s; the next leader settles what it left", SETTLE_S)
            except Exception:
                log.exception("the last round failed; the next leader settles what it left")
        await live.halt()

    async def _first_of(self, doing: Coroutine[object, object, object]) -> None:
        """Until it is done or the process is to stop."""
        tasks = [asyncio.ensure_future(doing), asyncio.ensure_future(self._stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await _end_all(tasks)


async def _end_all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a part of the controller failed", exc_info=outcome)
